import { coalesce } from '../bytes/runs.ts';
import type { Device, ReadableDevice } from '../device/device.ts';
import { ioError } from '../errors.ts';
import { type Patch, type PatchStep, stepExtents, withPatch } from '../fs/patch.ts';
import {
  applyOperation,
  deviatingEntries,
  entryAt,
  type FoundEntry,
  inPieces,
  mayHold,
  type PatchBits,
  type PatchChain,
  type PatchOperation,
} from '../fs/patch-operation.ts';
import type { ByteLength, ByteOffset } from '../units.ts';

/** Writes a patch phase by phase, a flush after each, and reads back from the medium what must stand there at the end. */
export const applyPatch = (partition: Device, patch: Patch): void => {
  for (const phase of patch.phases) {
    for (const step of phase) {
      if (step.kind === undefined) partition.write(step.offset, step.after);
      else operate(partition, step, patch.sectorSize);
    }
    partition.flush();
  }
  readBack(partition, patch);
};

/** Piece by piece, each read, changed and written: of a long operation no more is held in memory. */
const operate = (partition: Device, operation: PatchOperation, sectorSize: ByteLength): void => {
  for (const { start, length } of inPieces(stepExtents(operation, sectorSize))) {
    const bytes = partition.read(start, length);
    applyOperation(operation, start, bytes);
    partition.write(start, bytes);
  }
};

const readBack = (partition: ReadableDevice, patch: Patch): void => {
  // Laid once more over what is there, an applied patch changes nothing.
  const applied = withPatch(partition, patch);
  const extents = patch.phases.flat().flatMap((step) => [...stepExtents(step, patch.sectorSize)]);
  extents.sort((a, b) => a.start - b.start);
  for (const { start, length } of inPieces(coalesce(extents))) {
    const expected = applied.read(start, length);
    const found = new Uint8Array(length);
    partition.readUncachedInto(start, found);
    if (Buffer.compare(found, expected) === 0) continue;
    throw ioError('the device does not hold what was written to it', {
      code: 'read-back',
      structure: 'patched metadata',
      offset: start + found.findIndex((byte, index) => byte !== expected[index]),
    });
  }
};

/** Every content that a written sector had before the patch or gets by one of its phases; by position. */
type Versions = ReadonlyMap<ByteOffset, readonly Uint8Array[]>;

const versionsOf = ({ sectorSize, phases }: Patch): Versions => {
  const versions = new Map<ByteOffset, Uint8Array[]>();
  for (const step of phases.flat()) {
    if (step.kind !== undefined || step.scratch === true) continue;
    const { offset, before, after } = step;
    for (let at = 0; at < after.length; at += sectorSize) {
      const known = versions.get(offset + at) ?? [before.subarray(at, at + sectorSize)];
      known.push(after.subarray(at, at + sectorSize));
      versions.set(offset + at, known);
    }
  }
  return versions;
};

const isOperation = (step: PatchStep): step is PatchOperation => step.kind !== undefined;

/**
 * Whether every sector of the patch is as it was before or as one of the patch's phases leaves it: only then may the
 * patch be finished. What anybody else changed in between gives false. Scratch writes and what is filled do not count; of
 * a chain, its entries do, each by itself: it may have been cut off between any two sectors. A sector of bits has all of them set or
 * all of them clear.
 */
export const patchMayBeFinished = (partition: ReadableDevice, patch: Patch): boolean => {
  const versions = versionsOf(patch);
  const operations = patch.phases.flat().filter(isOperation);
  const chains = operations.filter((each) => each.kind === 'chain');
  const bits = operations.filter((each) => each.kind === 'bits');
  const shared = operations.filter((each) => each.kind !== 'bits');
  // A sector may hold entries of a chain, too: those are asked about with the chain, and here made alike.
  const alike = (offset: ByteOffset, bytes: Uint8Array): Uint8Array => {
    if (shared.length === 0) return bytes;
    const copy = Uint8Array.from(bytes);
    for (const operation of shared) applyOperation(operation, offset, copy);
    return copy;
  };
  for (const [offset, known] of versions) {
    const found = alike(offset, partition.read(offset, patch.sectorSize));
    // Asked about with its bits.
    if (bits.some((each) => each.offset <= offset && offset < each.offset + each.length)) continue;
    if (!known.some((version) => Buffer.compare(alike(offset, version), found) === 0)) return false;
  }
  if (!bits.every((each) => bitsMayBeFinished(partition, patch.sectorSize, each, versions))) return false;
  return chains.every((chain) => chainMayBeFinished(partition, patch.sectorSize, chain, chains, versions));
};

const bitsMayBeFinished = (
  partition: ReadableDevice,
  sectorSize: ByteLength,
  bits: PatchBits,
  versions: Versions,
): boolean => {
  for (const { start, length } of inPieces(stepExtents(bits, sectorSize))) {
    const piece = partition.read(start, length);
    for (let at = 0; at < length; at += sectorSize) {
      const sector = piece.subarray(at, at + sectorSize);
      const byte = sector[0]!;
      if ((byte === 0 || byte === 0xff) && sector.every((each) => each === byte)) continue;
      const known = versions.get(start + at) ?? [];
      if (!known.some((version) => Buffer.compare(version, sector) === 0)) return false;
    }
  }
  return true;
};

const chainMayBeFinished = (
  partition: ReadableDevice,
  sectorSize: ByteLength,
  chain: PatchChain,
  chains: readonly PatchChain[],
  versions: Versions,
): boolean => {
  for (const { start, length } of inPieces(stepExtents(chain, sectorSize))) {
    for (const entry of deviatingEntries(chain, start, partition.read(start, length))) {
      const planned = chains.some((other) => mayHold(other, entry)) || isWritten(entry, versions, sectorSize);
      if (!planned) return false;
    }
  }
  return true;
};

/** Whether a write of the patch puts this value there. */
const isWritten = ({ position, value }: FoundEntry, versions: Versions, sectorSize: ByteLength): boolean => {
  const within = position % sectorSize;
  const known = versions.get(position - within) ?? [];
  return known.some((version) => entryAt(version, within) === value);
};

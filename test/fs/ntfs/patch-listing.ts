import { createHash } from 'node:crypto';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { extentRuns } from '../../../rescue/fs/ntfs/file.ts';
import {
  AT_BITMAP,
  AT_DATA,
  AT_INDEX_ALLOCATION,
  FILE_BITMAP,
  FILE_LOGFILE,
  FILE_MFT,
  FILE_MFTMIRR,
  FILE_ROOT,
  NAME_INDEX,
} from '../../../rescue/fs/ntfs/layout.ts';
import { findInRoot } from '../../../rescue/fs/ntfs/root-files.ts';
import { clustersOf } from '../../../rescue/fs/ntfs/runlist.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import type { Patch, PatchStep } from '../../../rescue/fs/patch.ts';
import { applyPatch } from '../../../rescue/job/apply.ts';

/** A range of the disk that has a name. Content is numbered in units, if it has some. */
interface Named {
  readonly start: number;
  readonly length: number;
  /** Where it begins in the content to which it belongs. */
  readonly within: number;
  readonly unit: number;
  readonly name: (index: number) => string;
}

function* namedRanges(volume: NtfsVolume): Generator<Named> {
  const { clusterSize, recordSize } = volume;
  function* content(
    number: number,
    type: number,
    attribute: string,
    unit: number,
    name: Named['name'],
  ): Generator<Named> {
    const found = volume.file(number).find(type, attribute);
    if (found === undefined || found.resident) return;
    let within = 0;
    for (const { start, length } of clustersOf(extentRuns(volume, found))) {
      yield { start: volume.clusterOffset(start), length: length * clusterSize, within, unit, name };
      within += length * clusterSize;
    }
  }
  yield* content(FILE_MFT, AT_DATA, '', recordSize, (index) => `record ${index}`);
  yield* content(FILE_MFTMIRR, AT_DATA, '', recordSize, (index) => `copy of record ${index}`);
  yield* content(FILE_MFT, AT_BITMAP, '', Infinity, () => 'bitmap of $MFT');
  yield* content(FILE_BITMAP, AT_DATA, '', Infinity, () => '$Bitmap');
  yield* content(FILE_LOGFILE, AT_DATA, '', Infinity, () => '$LogFile');
  yield* content(FILE_ROOT, AT_INDEX_ALLOCATION, NAME_INDEX, 4096, (index) => `block ${index} of /`);
  for (const { file } of findInRoot(volume, ['.holdfast']))
    yield* content(
      file.record.number,
      AT_INDEX_ALLOCATION,
      NAME_INDEX,
      4096,
      (index) => `block ${index} of /.holdfast`,
    );
}

const NOWHERE = 'clusters';

/** What stands at a byte of the disk, and which byte of that it is. */
const nameOf = (named: readonly Named[], offset: number): readonly [string, number] => {
  const found = named.find(({ start, length }) => offset >= start && offset < start + length);
  if (found === undefined) return [NOWHERE, offset];
  const at = found.within + offset - found.start;
  const index = found.unit === Infinity ? 0 : Math.floor(at / found.unit);
  return [found.name(index), found.unit === Infinity ? at : at % found.unit];
};

interface Row {
  readonly name: string;
  readonly at: number;
  readonly text: string;
}

/** Rows of 16 bytes that are not as before; bytes that stay are `..`. */
const rowsOf = (step: Extract<PatchStep, { kind?: undefined }>, named: readonly Named[]): Row[] => {
  const rows: Row[] = [];
  for (let from = 0; from < step.after.length; from += 16) {
    const [before, after] = [step.before, step.after].map((bytes) => bytes.subarray(from, from + 16));
    if (Buffer.compare(before!, after!) === 0) continue;
    const [name, at] = nameOf(named, step.offset + from);
    const bytes = [...after!].map((byte, index) =>
      byte === before![index] ? '..' : byte.toString(16).padStart(2, '0'),
    );
    rows.push({ name, at, text: bytes.join(' ') });
  }
  return rows;
};

/** Rows of one structure from which on those in the middle are told by their digest alone. */
const LONG = 40;

const linesOf = (rows: readonly Row[]): string[] => {
  const lines = rows.map(({ at, text }) => `${at.toString(16).padStart(4, '0')}: ${text}`);
  if (lines.length < LONG) return lines;
  const middle = lines.slice(8, -8);
  const digest = createHash('sha256').update(middle.join('\n')).digest('hex').slice(0, 16);
  return [...lines.slice(0, 8), `${middle.length} rows: ${digest}`, ...lines.slice(-8)];
};

/** Structures changed in one phase from which on those in the middle are told by their digest alone. */
const MANY = 6;

const linesOfWrite = (
  step: Extract<PatchStep, { kind?: undefined }>,
  named: readonly Named[],
): (readonly string[])[] => {
  const [first] = step.after;
  if (step.after.length > 1024 && step.after.every((byte) => byte === first))
    return [[`${nameOf(named, step.offset)[0]}: ${step.after.length} bytes of ${first!.toString(16)}`]];
  return [...Map.groupBy(rowsOf(step, named), ({ name }) => name)].map(([name, rows]) => [
    name,
    ...linesOf(rows),
  ]);
};

const linesOfPhase = (phase: readonly PatchStep[], named: readonly Named[]): string[] => {
  const structures = phase.flatMap((step): (readonly string[])[] => {
    if (step.kind === undefined) return linesOfWrite(step, named);
    const [name, at] = nameOf(named, step.offset);
    const what = step.kind === 'fill' ? step.byte.toString(16) : step.kind === 'bits' ? step.direction : '';
    return [[`${name}: ${step.kind} ${what}, ${step.length} bytes from ${at}`]];
  });
  if (structures.length < MANY) return structures.flat();
  const middle = structures.slice(1, -1);
  const digest = createHash('sha256').update(middle.flat().join('\n')).digest('hex').slice(0, 16);
  return [...structures[0]!, `${middle.length} structures: ${digest}`, ...structures.at(-1)!];
};

/** All that a patch does, for people: by phase, structure and row. Structures are named as they are before, or as they will be. */
export const listingOf = (device: MemoryDevice, patch: Patch): string[] => {
  const after = device.snapshot();
  applyPatch(after, patch);
  const named = [...namedRanges(new NtfsVolume(device)), ...namedRanges(new NtfsVolume(after))];
  return patch.phases.flatMap((phase, index) => [`phase ${index + 1}`, ...linesOfPhase(phase, named)]);
};

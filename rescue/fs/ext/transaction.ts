import type { ReadableDevice } from '../../device/device.ts';
import { corrupt } from '../../errors.ts';
import { type ByteOffset, roundDown } from '../../units.ts';
import { type Editor, onlyWrites, type Patch, PatchBuilder, type PatchWrite } from '../patch.ts';
import { setSuperblockChecksum } from './checksum.ts';
import { FEATURES } from './features.ts';
import { type Journal, openJournal, withStart } from './journal.ts';
import { type LoggedBlock, logLength, transactionBlocks } from './journal-log.ts';
import { STATE_VALID, SUPERBLOCK, SUPERBLOCK_OFFSET } from './layout.ts';
import { ExtVolume } from './volume.ts';

/**
 * Runs `edit` on an overlay and gives what it changed as a patch that survives a power cut between any two writes.
 * With an internal journal that is empty and large enough, all of it is one jbd2 transaction; else the volume is
 * marked as not cleanly unmounted by the first phase and as before by the last. See README.md, "How the volume is
 * edited". Throws what `edit` throws, and what reading the journal throws. Writes nothing.
 */
export const patch = (device: ReadableDevice, edit: (editor: Editor) => void): Patch<PatchWrite> => {
  const recorded = new PatchBuilder(device);
  edit(recorded);
  const volume = new ExtVolume(device);
  const journal = openJournal(volume);
  return (journal && journaled(volume, journal, recorded)) ?? marked(volume, onlyWrites(recorded.build()));
};

/** Changes the superblock as it is planned so far, and its checksum. */
const editSuperblock = (
  volume: ExtVolume,
  builder: PatchBuilder,
  change: (bytes: Uint8Array) => void,
): void => {
  const bytes = builder.read(SUPERBLOCK_OFFSET, SUPERBLOCK.size);
  change(bytes);
  setSuperblockChecksum(volume.parameters, bytes);
  builder.write(SUPERBLOCK_OFFSET, bytes);
};

// --- without a journal ------------------------------------------------------------------------------------------

const setState = (volume: ExtVolume, builder: PatchBuilder, bits: number): void =>
  editSuperblock(volume, builder, (bytes) => SUPERBLOCK.set(bytes, 's_state', bits));

/** The recorded phases, between a first one that marks the volume and a last one that takes the mark away. */
const marked = (volume: ExtVolume, plain: Patch<PatchWrite>): Patch<PatchWrite> => {
  if (plain.phases.length === 0) return plain;
  const state = SUPERBLOCK.get(volume.parameters.superblock, 's_state');
  const builder = new PatchBuilder(volume.device);
  const clearMark = (): void => setState(volume, builder, state & ~STATE_VALID);
  clearMark();
  builder.barrier();
  for (const phase of plain.phases) {
    for (const { offset, after } of phase) builder.write(offset, after);
    clearMark();
    builder.barrier();
  }
  setState(volume, builder, state);
  const { sectorSize, phases } = onlyWrites(builder.build());
  const view = new PatchBuilder(volume.device);
  const joined = phases.map((phase) => {
    const writes = joinInBlocks(volume, view, phase);
    for (const { offset, after } of writes) view.write(offset, after);
    return writes;
  });
  return { sectorSize, phases: joined };
};

/**
 * A block with a checksum is one thing: changes of the same block become one write, with what lies between them.
 * `phase` is ascending; `view` shows what was there before it.
 */
const joinInBlocks = (
  volume: ExtVolume,
  view: ReadableDevice,
  phase: readonly PatchWrite[],
): PatchWrite[] => {
  const joined: PatchWrite[] = [];
  for (const write of phase) {
    const last = joined.at(-1);
    const end = last === undefined ? 0 : last.offset + last.before.length;
    if (
      last === undefined ||
      roundDown(end - 1, volume.blockSize) !== roundDown(write.offset, volume.blockSize)
    ) {
      joined.push(write);
      continue;
    }
    const between = view.read(end, write.offset - end);
    const join = (a: Uint8Array, b: Uint8Array): Uint8Array => Buffer.concat([a, between, b]);
    joined[joined.length - 1] = {
      offset: last.offset,
      before: join(last.before, write.before),
      after: join(last.after, write.after),
    };
  }
  return joined;
};

// --- with a journal ---------------------------------------------------------------------------------------------

const setRecovery = (bytes: Uint8Array, on: boolean): void => {
  const { bit } = FEATURES.needs_recovery;
  const word = SUPERBLOCK.get(bytes, 's_feature_incompat');
  SUPERBLOCK.set(bytes, 's_feature_incompat', (on ? word | bit : word & ~bit) >>> 0);
};

/** The superblock of `view`, with the mark that there is something to replay. */
const recoverySuperblock = (volume: ExtVolume, view: ReadableDevice): Uint8Array => {
  const bytes = view.read(SUPERBLOCK_OFFSET, SUPERBLOCK.size);
  setRecovery(bytes, true);
  setSuperblockChecksum(volume.parameters, bytes);
  return bytes;
};

/** A copy of `bytes`, which stand at `offset`, with the superblock put in as far as it lies there. */
const withSuperblock = (bytes: Uint8Array, offset: ByteOffset, superblock: Uint8Array): Uint8Array => {
  const from = Math.max(offset, SUPERBLOCK_OFFSET);
  const to = Math.min(offset + bytes.length, SUPERBLOCK_OFFSET + superblock.length);
  if (from >= to) return bytes;
  const copy = Uint8Array.from(bytes);
  copy.set(superblock.subarray(from - SUPERBLOCK_OFFSET, to - SUPERBLOCK_OFFSET), from - offset);
  return copy;
};

/** The whole of every block that is changed, as it is in the end; read when it is asked for. */
const finalBlocks = (
  volume: ExtVolume,
  recorded: ReadableDevice,
  changes: readonly PatchWrite[],
  superblock: Uint8Array,
): LoggedBlock[] => {
  const numbers = new Set<number>();
  for (const { offset, after } of changes) {
    const end = Math.ceil((offset + after.length) / volume.blockSize);
    for (let block = Math.floor(offset / volume.blockSize); block < end; block += 1) numbers.add(block);
  }
  return [...numbers].map((block) => ({
    block,
    get content(): Uint8Array {
      const offset = volume.blockOffset(block);
      return withSuperblock(recorded.read(offset, volume.blockSize), offset, superblock);
    },
  }));
};

/** Bitmaps that call the journal's own blocks free would have us write there. */
const requireOutside = (volume: ExtVolume, journal: Journal, blocks: readonly LoggedBlock[]): void => {
  const inside = blocks.find(({ block }) => journal.blocks.has(block));
  if (inside === undefined) return;
  throw corrupt('blocks of the journal are marked as free', {
    code: 'ext.journal-not-allocated',
    structure: 'ext block bitmap',
    offset: volume.blockOffset(inside.block),
    wayOut: 'Run e2fsck -f on the partition first',
  });
};

/** Undefined if the transaction does not fit the journal. */
const journaled = (
  volume: ExtVolume,
  journal: Journal,
  recorded: PatchBuilder,
): Patch<PatchWrite> | undefined => {
  const { sectorSize } = recorded;
  const changes = recorded.changes();
  if (changes.length === 0) return { sectorSize, phases: [] };
  // A replay must not take the mark away before it has put everything in place.
  const superblock = recoverySuperblock(volume, recorded);
  const blocks = finalBlocks(volume, recorded, changes, superblock);
  requireOutside(volume, journal, blocks);
  const length = logLength(journal.format, blocks.length);
  const tooHigh = !journal.format.is64bit && blocks.some(({ block }) => block >= 2 ** 32);
  if (length > journal.capacity || tooHigh) return undefined;
  const sequence = journal.unusedSequence(length);

  const first = new PatchBuilder(volume.device);
  const marked = recoverySuperblock(volume, volume.device);
  first.write(SUPERBLOCK_OFFSET, marked);
  const log = logWrites(volume, journal, transactionBlocks(journal.format, sequence, blocks));
  const second = new PatchBuilder(first);
  const started = withStart(journal.superblock, journal.first, sequence);
  second.write(journal.offset, started);
  const inPlace = changes.map(({ offset, before, after }) => ({
    offset,
    before: withSuperblock(before, offset, marked),
    after: withSuperblock(after, offset, superblock),
  }));
  // What the last phases find: all in place, the journal not yet empty.
  const there = new PatchBuilder(recorded);
  there.write(SUPERBLOCK_OFFSET, superblock);
  there.write(journal.offset, started);
  const last = new PatchBuilder(there);
  last.write(journal.offset, withStart(journal.superblock, 0, (sequence + 1) >>> 0));
  last.barrier();
  editSuperblock(volume, last, (bytes) => setRecovery(bytes, false));
  return {
    sectorSize,
    phases: [...writes(first), log, ...writes(second), inPlace, ...writes(last)],
  };
};

const writes = (builder: PatchBuilder): Patch<PatchWrite>['phases'] => onlyWrites(builder.build()).phases;

/** Longest single write of the log. */
const WRITE_LIMIT = 1024 * 1024;

/** The blocks of the transaction at their places in the journal, neighbours joined. */
const logWrites = (volume: ExtVolume, journal: Journal, images: Iterable<Uint8Array>): PatchWrite[] => {
  const writes: PatchWrite[] = [];
  let open: { offset: number; images: Uint8Array[] } | undefined;
  const close = (): void => {
    if (open === undefined) return;
    const after = Buffer.concat(open.images);
    writes.push({ offset: open.offset, before: new Uint8Array(after.length), after, scratch: true });
  };
  let logical = journal.first;
  for (const image of images) {
    const offset = volume.blockOffset(journal.blockOf(logical));
    const length = (open?.images.length ?? 0) * volume.blockSize;
    if (open !== undefined && open.offset + length === offset && length < WRITE_LIMIT)
      open.images.push(image);
    else {
      close();
      open = { offset, images: [image] };
    }
    logical += 1;
  }
  close();
  return writes;
};

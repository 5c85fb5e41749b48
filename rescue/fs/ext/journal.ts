import { SpanSet } from '../../bytes/runs.ts';
import { corrupt, refused, unsupported } from '../../errors.ts';
import type { ByteOffset } from '../../units.ts';
import { readInode } from './inode.ts';
import { LOG_HEADER, type LogFormat, logFormat, setJournalSuperblockChecksum } from './journal-log.ts';
import {
  JOURNAL_COMPAT_CHECKSUM,
  JOURNAL_INCOMPAT_64BIT,
  JOURNAL_INCOMPAT_ASYNC_COMMIT,
  JOURNAL_INCOMPAT_CSUM_V2,
  JOURNAL_INCOMPAT_CSUM_V3,
  JOURNAL_INCOMPAT_FAST_COMMIT,
  JOURNAL_INCOMPAT_REVOKE,
  JOURNAL_MAGIC,
  JOURNAL_SUPERBLOCK,
  JOURNAL_SUPERBLOCK_V2,
  SUPERBLOCK,
} from './layout.ts';
import { type DataItem, dataRuns } from './mapping.ts';
import { readJournalSuperblock } from './state.ts';
import type { ExtVolume } from './volume.ts';

/** The volume's own journal, empty, ready to take one transaction (kernel docs, journal.rst "Super Block"). */
export interface Journal {
  /** Where its superblock stands. */
  readonly offset: ByteOffset;
  readonly superblock: Uint8Array;
  readonly format: LogFormat;
  /** First block of the log, in the journal. */
  readonly first: number;
  /** Blocks that a transaction may take from `first` on. */
  readonly capacity: number;
  /** Blocks of the volume that belong to the journal. */
  readonly blocks: SpanSet;
  /** Block of the volume that holds a block of the journal. */
  blockOf(logical: number): number;
  /** An id for a transaction of so many blocks from `first` on, that nothing in the log can be taken for. */
  unusedSequence(length: number): number;
}

const KNOWN_INCOMPAT =
  JOURNAL_INCOMPAT_REVOKE |
  JOURNAL_INCOMPAT_64BIT |
  JOURNAL_INCOMPAT_ASYNC_COMMIT |
  JOURNAL_INCOMPAT_CSUM_V2 |
  JOURNAL_INCOMPAT_CSUM_V3 |
  JOURNAL_INCOMPAT_FAST_COMMIT;
/** What a journal with fast commits keeps for them if it does not say (`JBD2_DEFAULT_FAST_COMMIT_BLOCKS`). */
const DEFAULT_FAST_COMMIT_BLOCKS = 256;
/** The smallest journal (`JBD2_MIN_JOURNAL_BLOCKS`). */
const MIN_BLOCKS = 1024;

/**
 * Undefined without a journal. Throws `refused` (`ext.journal-not-empty`) if it has to be replayed first,
 * `unsupported` (`ext.journal-feature`), `corrupt` (`ext.journal-...`).
 */
export const openJournal = (volume: ExtVolume): Journal | undefined => {
  const found = readJournalSuperblock(volume);
  if (found === undefined) return undefined;
  const { offset, bytes: superblock } = found;
  const field = (name: NumberField): number => JOURNAL_SUPERBLOCK.get(superblock, name);
  const version2 = field('h_blocktype') === JOURNAL_SUPERBLOCK_V2;
  const features = version2 ? field('s_feature_incompat') : 0;
  const compatible = version2 ? field('s_feature_compat') : 0;
  if ((features & ~KNOWN_INCOMPAT) !== 0 || (compatible & ~JOURNAL_COMPAT_CHECKSUM) !== 0) {
    throw unsupported('the journal has unknown features', {
      code: 'ext.journal-feature',
      offset,
      found: features,
    });
  }
  if (field('s_start') !== 0 || field('s_errno') !== 0) {
    throw refused('the journal has to be replayed first', {
      code: 'ext.journal-not-empty',
      structure: 'jbd2 superblock',
      offset,
      wayOut: 'Mount and unmount the partition once, or run: e2fsck -p DEVICE',
    });
  }
  const runs = [
    ...dataRuns(volume, readInode(volume, SUPERBLOCK.get(volume.parameters.superblock, 's_journal_inum'))),
  ];
  const first = field('s_first');
  const end = logEnd(volume, superblock, runs, offset);
  const blockOf = (logical: number): number => blockIn(runs, logical, offset);
  return {
    offset,
    superblock,
    format: logFormat(superblock),
    first,
    // The block after the transaction must be one of the log: it ends a replay.
    capacity: end - first - 1,
    blocks: new SpanSet(runs),
    blockOf,
    unusedSequence: (length) => {
      const after = volume.device.read(volume.blockOffset(blockOf(first + length)), LOG_HEADER.size);
      return unusedSequence(field('s_sequence'), end, after);
    },
  };
};

type NumberField = Exclude<Parameters<typeof JOURNAL_SUPERBLOCK.get>[1], 's_uuid' | 's_users'>;

/** One past the last block of the log: fast commits have their own blocks at the end. */
const logEnd = (
  volume: ExtVolume,
  superblock: Uint8Array,
  runs: readonly DataItem[],
  offset: number,
): number => {
  const field = (name: NumberField): number => JOURNAL_SUPERBLOCK.get(superblock, name);
  const total = field('s_maxlen');
  const last = runs.at(-1);
  const mapped = last === undefined ? 0 : last.logical + last.length;
  const version2 = field('h_blocktype') === JOURNAL_SUPERBLOCK_V2;
  const fast =
    version2 &&
    (volume.has('fast_commit') || (field('s_feature_incompat') & JOURNAL_INCOMPAT_FAST_COMMIT) !== 0);
  const end = total - (fast ? field('s_num_fc_blks') || DEFAULT_FAST_COMMIT_BLOCKS : 0);
  const first = field('s_first');
  const sound =
    field('s_blocksize') === volume.blockSize &&
    total >= MIN_BLOCKS &&
    total <= mapped &&
    first >= 1 &&
    end > first + 3;
  if (sound) return end;
  throw corrupt('sizes that cannot be', {
    code: 'ext.journal-size',
    structure: 'jbd2 superblock',
    offset,
    expected: `${volume.blockSize} bytes per block, ${MIN_BLOCKS} to ${mapped} blocks`,
    found: `${field('s_blocksize')} bytes per block, ${total} blocks, log from ${first} to ${end}`,
  });
};

const blockIn = (runs: readonly DataItem[], logical: number, offset: number): number => {
  let low = 0;
  let high = runs.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (runs[middle]!.logical <= logical) low = middle;
    else high = middle;
  }
  const run = runs[low];
  if (run !== undefined && !run.uninitialised && logical >= run.logical && logical < run.logical + run.length)
    return run.start + logical - run.logical;
  throw corrupt(`block ${logical} of the journal is missing`, {
    code: 'ext.journal-hole',
    structure: 'ext journal',
    offset,
  });
};

/**
 * The kernel goes on with the id after `s_sequence`. If our transaction is cut off before it counts, the kernel's
 * next ones must not run into what is left of it: each takes two blocks at least, so one log length ahead is safe.
 * And what stands behind ours must not look like its successor.
 */
const unusedSequence = (last: number, logLengthInBlocks: number, after: Uint8Array): number => {
  const successor =
    LOG_HEADER.get(after, 'h_magic') === JOURNAL_MAGIC ? LOG_HEADER.get(after, 'h_sequence') : undefined;
  let sequence = last;
  do sequence = (sequence + 1 + logLengthInBlocks) >>> 0;
  while (sequence === 0 || (sequence + 1) >>> 0 === successor);
  return sequence;
};

/** A copy of the journal's superblock that says where the log starts (0: empty) and with which transaction. */
export const withStart = (superblock: Uint8Array, start: number, sequence: number): Uint8Array => {
  const bytes = Uint8Array.from(superblock);
  JOURNAL_SUPERBLOCK.set(bytes, 's_start', start);
  JOURNAL_SUPERBLOCK.set(bytes, 's_sequence', sequence);
  setJournalSuperblockChecksum(bytes);
  return bytes;
};

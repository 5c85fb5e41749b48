import { corrupt } from '../../errors.ts';
import type { Problem } from '../filesystem.ts';
import { mmpChecksumOk } from './checksum.ts';
import { swapPaths } from './excludes.ts';
import { readInode } from './inode.ts';
import {
  JOURNAL_INCOMPAT_64BIT,
  JOURNAL_INCOMPAT_ASYNC_COMMIT,
  JOURNAL_INCOMPAT_CSUM_V2,
  JOURNAL_INCOMPAT_CSUM_V3,
  JOURNAL_INCOMPAT_FAST_COMMIT,
  JOURNAL_INCOMPAT_REVOKE,
  JOURNAL_MAGIC,
  JOURNAL_SUPERBLOCK,
  JOURNAL_SUPERBLOCK_V2,
  MMP,
  MMP_CLEAN,
  MMP_FSCK,
  MMP_MAGIC,
  STATE_ERRORS,
  STATE_FAST_COMMIT_REPLAY,
  STATE_ORPHANS,
  STATE_VALID,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
} from './layout.ts';
import { blockOf } from './mapping.ts';
import type { SwapFile } from './swap.ts';
import type { ExtVolume } from './volume.ts';

/** Why a volume must be left alone for now, with the way out of each state. */
const STATES = {
  'ext.not-clean': {
    message: 'is in use, or was not cleanly unmounted',
    wayOut: 'Unmount it; if it is not mounted, run: e2fsck -p DEVICE',
  },
  'ext.errors': {
    message: 'has recorded errors',
    wayOut: 'Run: e2fsck -f DEVICE',
  },
  'ext.orphan-recovery': {
    message: 'was interrupted while it cleaned up deleted files',
    wayOut: 'Run: e2fsck -p DEVICE',
  },
  'ext.journal-replay': {
    message: 'has a journal that must be replayed first',
    wayOut: 'Mount and unmount it once, or run: e2fsck -p DEVICE',
  },
  'ext.journal-error': {
    message: 'has a journal that was aborted after an error',
    wayOut: 'Run: e2fsck -f DEVICE',
  },
  'ext.journal-feature': {
    message: 'has a journal of an unknown kind',
    wayOut: 'Make the journal anew: tune2fs -O ^has_journal DEVICE; tune2fs -j DEVICE',
  },
  'ext.orphans': {
    message: 'has deleted files that were still open and are to be cleaned up',
    wayOut: 'Mount and unmount it once, or run: e2fsck -p DEVICE',
  },
  'ext.mmp-in-use': {
    message: 'is in use by this or another machine (multiple mount protection)',
    wayOut: 'Unmount it there; if nothing uses it, run: tune2fs -E clear_mmp DEVICE',
  },
  'ext.suspended': {
    message: 'holds a suspended system in a swap file',
    wayOut: 'Resume that system and shut it down',
  },
} as const;
type StateCode = keyof typeof STATES;

const state = (code: StateCode, where: string): Problem => ({
  code,
  message: `The volume ${STATES[code].message}.`,
  where,
  wayOut: STATES[code].wayOut,
});

const KNOWN_JOURNAL_FEATURES =
  JOURNAL_INCOMPAT_REVOKE |
  JOURNAL_INCOMPAT_64BIT |
  JOURNAL_INCOMPAT_ASYNC_COMMIT |
  JOURNAL_INCOMPAT_CSUM_V2 |
  JOURNAL_INCOMPAT_CSUM_V3 |
  JOURNAL_INCOMPAT_FAST_COMMIT;

const inSuperblock = (field: Parameters<typeof SUPERBLOCK.get>[1]): string =>
  `ext superblock, ${String(field)}, byte position 0x${(SUPERBLOCK_OFFSET + SUPERBLOCK.offsetOf(field)).toString(16)}`;

/** Where the internal journal's superblock is, and its 1024 bytes; undefined without a journal. */
export const readJournalSuperblock = (
  volume: ExtVolume,
): { readonly offset: number; readonly bytes: Uint8Array } | undefined => {
  if (!volume.has('has_journal')) return undefined;
  const inode = readInode(volume, SUPERBLOCK.get(volume.parameters.superblock, 's_journal_inum'));
  const offset = volume.blockOffset(blockOf(volume, inode, 0));
  const bytes = volume.device.read(offset, JOURNAL_SUPERBLOCK.size);
  const magic = JOURNAL_SUPERBLOCK.get(bytes, 'h_magic');
  if (magic !== JOURNAL_MAGIC) {
    throw corrupt('wrong magic', {
      code: 'ext.journal-magic',
      structure: 'jbd2 superblock',
      offset,
      expected: JOURNAL_MAGIC,
      found: magic,
    });
  }
  return { offset, bytes };
};

function* journalStates(volume: ExtVolume): Generator<Problem> {
  if (volume.has('needs_recovery')) {
    yield state('ext.journal-replay', inSuperblock('s_feature_incompat'));
    return;
  }
  const journal = readJournalSuperblock(volume);
  if (journal === undefined) return;
  const where = `jbd2 superblock, byte position 0x${journal.offset.toString(16)}`;
  if (JOURNAL_SUPERBLOCK.get(journal.bytes, 's_start') !== 0) yield state('ext.journal-replay', where);
  if (JOURNAL_SUPERBLOCK.get(journal.bytes, 's_errno') !== 0) yield state('ext.journal-error', where);
  if (JOURNAL_SUPERBLOCK.get(journal.bytes, 'h_blocktype') !== JOURNAL_SUPERBLOCK_V2) return;
  const features = JOURNAL_SUPERBLOCK.get(journal.bytes, 's_feature_incompat');
  if ((features & ~KNOWN_JOURNAL_FEATURES) !== 0) yield state('ext.journal-feature', where);
}

function* mmpStates(volume: ExtVolume): Generator<Problem> {
  if (!volume.has('mmp')) return;
  const block = SUPERBLOCK.get(volume.parameters.superblock, 's_mmp_block');
  const bytes = volume.readBlock(block, 'ext MMP block').subarray(0, MMP.size);
  const offset = volume.blockOffset(block);
  if (MMP.get(bytes, 'mmp_magic') !== MMP_MAGIC || !mmpChecksumOk(volume.parameters, bytes))
    throw corrupt('wrong magic or checksum', { code: 'ext.mmp', structure: 'ext MMP block', offset });
  const sequence = MMP.get(bytes, 'mmp_seq');
  if (sequence === MMP_CLEAN) return;
  const by = sequence === MMP_FSCK ? ' (e2fsck)' : '';
  yield state('ext.mmp-in-use', `ext MMP block${by}, byte position 0x${offset.toString(16)}`);
}

/**
 * All reasons to leave the volume alone as it stands. Reads a few blocks only.
 * Throws `corrupt` if the journal or the MMP block cannot be made out, `io`.
 */
export function* volumeStates(volume: ExtVolume): Generator<Problem> {
  const { superblock } = volume.parameters;
  const bits = SUPERBLOCK.get(superblock, 's_state');
  if ((bits & STATE_VALID) === 0) yield state('ext.not-clean', inSuperblock('s_state'));
  if ((bits & STATE_ERRORS) !== 0) yield state('ext.errors', inSuperblock('s_state'));
  else if (SUPERBLOCK.get(superblock, 's_error_count') !== 0)
    yield state('ext.errors', inSuperblock('s_error_count'));
  if ((bits & (STATE_ORPHANS | STATE_FAST_COMMIT_REPLAY)) !== 0)
    yield state('ext.orphan-recovery', inSuperblock('s_state'));
  yield* journalStates(volume);
  if (SUPERBLOCK.get(superblock, 's_last_orphan') !== 0)
    yield state('ext.orphans', inSuperblock('s_last_orphan'));
  if (volume.has('orphan_present')) yield state('ext.orphans', inSuperblock('s_feature_ro_compat'));
  yield* mmpStates(volume);
}

/** Swap files that hold a suspended system: its memory would not fit a file system that was changed or restored. */
export function* suspendedStates(
  volume: ExtVolume,
  swapFiles: () => readonly SwapFile[],
): Generator<Problem> {
  const suspended = swapFiles().filter((file) => file.suspended);
  for (const path of swapPaths(volume, suspended)) yield state('ext.suspended', path);
}

import { isHoldfastError } from '../../errors.ts';
import type { Problem } from '../filesystem.ts';
import { HIBERNATION_FILE, hibernationState } from './hibernation.ts';
import { volumeInformation } from './information.ts';
import {
  VOLUME_CHKDSK_UNDERWAY,
  VOLUME_DELETE_USN_UNDERWAY,
  VOLUME_IS_DIRTY,
  VOLUME_MODIFIED_BY_CHKDSK,
  VOLUME_REPAIR_OBJECT_ID,
  VOLUME_RESIZE_LOG_FILE,
  VOLUME_UPGRADE_ON_MOUNT,
} from './layout.ts';
import { type LogState, logState } from './log-file.ts';
import { at } from './problems.ts';
import { findInRoot } from './root-files.ts';
import type { Place } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

const FULL_SHUTDOWN =
  'Start Windows and shut it down fully: shutdown /s /f /t 0 (to switch hibernation and fast startup off for good: powercfg /h off)';
const CHKDSK = 'In Windows, run: chkdsk /f on the volume; then shut down fully (shutdown /s /f /t 0)';
const START_WINDOWS = 'Let Windows mount the volume once and shut it down fully: shutdown /s /f /t 0';

/** Why a volume must be left alone for now, with the way out of each state. */
const STATES = {
  'ntfs.dirty': { message: 'is marked as dirty', wayOut: CHKDSK },
  'ntfs.chkdsk-underway': { message: 'is being repaired by chkdsk', wayOut: CHKDSK },
  'ntfs.pending': { message: 'has work that Windows does at the next mount', wayOut: START_WINDOWS },
  'ntfs.version': {
    message: 'is of an NTFS version that Holdfast does not know',
    wayOut: 'Holdfast handles NTFS 3.0 and 3.1 (Windows 2000 and later)',
  },
  'ntfs.log-open': {
    message: 'was not cleanly unmounted: its $LogFile has changes that Windows must finish or undo',
    wayOut: START_WINDOWS,
  },
  'ntfs.log-cached': {
    message:
      'belongs to a Windows that is suspended (hibernation, fast startup), or was pulled out while in use',
    wayOut: FULL_SHUTDOWN,
  },
  'ntfs.log-version': { message: 'has a $LogFile of an unknown version', wayOut: START_WINDOWS },
  'ntfs.log-damaged': { message: 'has a damaged $LogFile', wayOut: CHKDSK },
  'ntfs.hibernated': {
    message: 'holds a suspended Windows (hibernation or fast startup)',
    wayOut: FULL_SHUTDOWN,
  },
  'ntfs.hibernation-unreadable': {
    message: 'has a hibernation file that cannot be looked into',
    wayOut: FULL_SHUTDOWN,
  },
} as const;
type StateCode = keyof typeof STATES;

const state = (code: StateCode, where: string, more = ''): Problem => ({
  code,
  message: `The volume ${STATES[code].message}${more}.`,
  where,
  wayOut: STATES[code].wayOut,
});

const inPlace = ({ structure, offset }: Place): string => at(structure, offset);

/** Other bits say nothing of consistency: the volume was in NT 4, it makes no short names, ... */
const PENDING: readonly (readonly [bit: number, name: string])[] = [
  [VOLUME_RESIZE_LOG_FILE, 'a new size of $LogFile'],
  [VOLUME_UPGRADE_ON_MOUNT, 'an upgrade'],
  [VOLUME_DELETE_USN_UNDERWAY, 'deleting the change journal'],
  [VOLUME_REPAIR_OBJECT_ID, 'a repair of object ids'],
  [VOLUME_MODIFIED_BY_CHKDSK, 'what follows a repair by chkdsk'],
];

function* informationStates(volume: NtfsVolume): Generator<Problem> {
  const { flags, major, minor, place } = volumeInformation(volume);
  const where = inPlace({ ...place, structure: '$Volume' });
  if (major !== 3 || minor > 1) yield state('ntfs.version', where, ` (${major}.${minor})`);
  if ((flags & VOLUME_IS_DIRTY) !== 0) yield state('ntfs.dirty', where);
  if ((flags & VOLUME_CHKDSK_UNDERWAY) !== 0) yield state('ntfs.chkdsk-underway', where);
  const pending = PENDING.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  if (pending.length > 0) yield state('ntfs.pending', where, ` (${pending.join(', ')})`);
}

const LOG_STATES: Readonly<Record<LogState['kind'], StateCode | undefined>> = {
  empty: undefined,
  clean: undefined,
  open: 'ntfs.log-open',
  cached: 'ntfs.log-cached',
  'unknown-version': 'ntfs.log-version',
  damaged: 'ntfs.log-damaged',
};

function* logStates(volume: NtfsVolume): Generator<Problem> {
  const log = logState(volume);
  const code = LOG_STATES[log.kind];
  if (code === undefined) return;
  yield state(code, inPlace(log.place), log.kind === 'unknown-version' ? ` (${log.version})` : '');
}

function* hibernationStates(volume: NtfsVolume): Generator<Problem> {
  for (const { file } of findInRoot(volume, [HIBERNATION_FILE])) {
    const where = at(`/${HIBERNATION_FILE}`, file.record.place.offset);
    try {
      const found = hibernationState(file);
      if (found.kind === 'live')
        yield state('ntfs.hibernated', where, `: /${HIBERNATION_FILE} holds ${found.holds}`);
    } catch (error) {
      if (!isHoldfastError(error, 'unsupported')) throw error;
      yield state('ntfs.hibernation-unreadable', where);
    }
  }
}

/** All reasons to leave the volume alone as it stands. Reads a few records and the root. Throws `corrupt`, `io`. */
export function* volumeStates(volume: NtfsVolume): Generator<Problem> {
  yield* informationStates(volume);
  yield* logStates(volume);
  yield* hibernationStates(volume);
}

import type { Problem } from '../filesystem.ts';
import { extendedFields } from './boot.ts';
import {
  BOOT_SIG_LABEL,
  BOOT_SIG_SERIAL,
  BOOT_STATE_DIRTY,
  BOOT_STATE_TEST,
  CLEAN_SHUTDOWN,
  EXTENDED_16,
  EXTENDED_32,
  NO_HARD_ERRORS,
} from './layout.ts';
import { findPageFiles, holdsSuspendedSystem } from './page-files.ts';
import { at } from './problems.ts';
import type { FatVolume } from './volume.ts';

/** Why a volume must be left alone for now, with the way out of each state. */
const STATES = {
  'fat.not-clean': {
    message: 'is in use, or was not cleanly unmounted',
    wayOut: 'Unmount it; if it is not mounted, run: fsck.fat -a DEVICE, or in Windows: chkdsk /f',
  },
  'fat.errors': {
    message: 'has met read or write errors',
    wayOut: 'Have its surface tested: chkdsk /r in Windows, or fsck.fat -t DEVICE',
  },
  'fat.hibernated': {
    message: 'holds a suspended system',
    wayOut:
      'Start that system and shut it down (Windows: shutdown /s), or delete hiberfil.sys: its session is lost then',
  },
} as const;
type StateCode = keyof typeof STATES;

const state = (code: StateCode, where: string): Problem => ({
  code,
  message: `The volume ${STATES[code].message}.`,
  where,
  wayOut: STATES[code].wayOut,
});

const inBootSector = (volume: FatVolume): string =>
  at(
    'FAT boot sector, BS_Reserved1',
    (volume.bits === 32 ? EXTENDED_32 : EXTENDED_16).offsetOf('BS_Reserved1'),
  );

/**
 * Linux and Windows NT keep their bits in the boot sector, Windows 9x in the second entry of the FAT; Windows NT in both. FAT12
 * has none in its FAT. A boot sector of before DOS 4 has no BS_Reserved1 but code there: BS_BootSig tells.
 */
export function* volumeStates(volume: FatVolume): Generator<Problem> {
  const { bits, table } = volume;
  const { BS_Reserved1: flags, BS_BootSig: signature } = extendedFields(volume.parameters.boot, bits);
  const said = bits === 32 || signature === BOOT_SIG_LABEL || signature === BOOT_SIG_SERIAL ? flags : 0;
  const second = table.entry(1);
  const unset = (bit: number): boolean => (second & bit) !== bit;
  const inTable = at('FAT entry 1', table.positionOf(1));
  if ((said & BOOT_STATE_DIRTY) !== 0) yield state('fat.not-clean', inBootSector(volume));
  else if (unset(CLEAN_SHUTDOWN[bits])) yield state('fat.not-clean', inTable);
  if ((said & BOOT_STATE_TEST) !== 0) yield state('fat.errors', inBootSector(volume));
  else if (unset(NO_HARD_ERRORS[bits])) yield state('fat.errors', inTable);
}

/** Systems that could be resumed: their memory would not fit a file system that was changed or restored. */
export function* suspendedStates(volume: FatVolume): Generator<Problem> {
  for (const file of findPageFiles(volume))
    if (file.kind === 'hibernation' && holdsSuspendedSystem(volume, file))
      yield state('fat.hibernated', file.path);
}

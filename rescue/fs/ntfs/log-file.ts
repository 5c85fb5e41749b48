import { isHoldfastError } from '../../errors.ts';
import { isPowerOfTwo, KIB } from '../../units.ts';
import { type Content, readHead, requireContent } from './content.ts';
import {
  AT_DATA,
  FILE_LOGFILE,
  MAGIC_CHKD,
  MAGIC_RSTR,
  NO_CLIENT,
  RECORD_HEADER,
  RESTART_AREA,
  RESTART_PAGE,
  RESTART_VOLUME_IS_CLEAN,
  STRIDE,
} from './layout.ts';
import { magicOf, type Place, removeUpdateSequence } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

/** What $LogFile says of the volume. */
export type LogState =
  /** Filled with 0xff: emptied by an offline tool after a clean dismount. */
  | { readonly kind: 'empty'; readonly place: Place }
  | { readonly kind: 'clean'; readonly place: Place }
  /** Open: changes may have to be redone or undone. */
  | { readonly kind: 'open'; readonly place: Place }
  /** Version 2.0, which Windows 8 and later use until a full shutdown: metadata may still be in the memory of a suspended system. */
  | { readonly kind: 'cached'; readonly place: Place }
  | { readonly kind: 'unknown-version'; readonly version: string; readonly place: Place }
  | { readonly kind: 'damaged'; readonly place: Place };

interface Restart {
  /** Only a part of it was written: power failed while Windows was at it. */
  readonly torn: boolean;
  readonly lsn: bigint;
  readonly version: string;
  readonly open: boolean;
  readonly place: Place;
}

const LARGEST_PAGE = 64 * KIB;

const isWhole = (page: Uint8Array, place: Place): boolean => {
  try {
    removeUpdateSequence(page, place);
    return true;
  } catch (error) {
    if (!isHoldfastError(error, 'corrupt')) throw error;
    return false;
  }
};

/** A restart page at `offset`, if there is a sound one. Damage is no error here: the other page may be whole. */
const restartAt = (log: Content, offset: number): Restart | undefined => {
  const head = readHead(log, STRIDE, offset);
  const magic = magicOf(head);
  if (magic !== MAGIC_RSTR && magic !== MAGIC_CHKD) return undefined;
  const place = { structure: '$LogFile restart page', offset: log.position(offset) };
  const size = RESTART_PAGE.get(head, 'system_page_size');
  if (!isPowerOfTwo(size) || size < STRIDE || size > LARGEST_PAGE || offset + size > log.size)
    return undefined;
  const page = readHead(log, size, offset);
  // chkdsk may leave a page without an update sequence.
  const isProtected = magic === MAGIC_RSTR || RECORD_HEADER.get(page, 'usa_count') !== 0;
  const torn = isProtected && !isWhole(page, place);
  const at = RESTART_PAGE.get(page, 'restart_area_offset');
  if (at % 8 !== 0 || at < RESTART_PAGE.size || at + RESTART_AREA.size > size) return undefined;
  const lsn = Buffer.from(
    magic === MAGIC_RSTR ? RESTART_AREA.get(page, 'current_lsn', at) : RESTART_PAGE.get(page, 'chkdsk_lsn'),
  ).readBigInt64LE();
  const closed = RESTART_AREA.get(page, 'client_in_use_list', at) === NO_CLIENT;
  const clean = (RESTART_AREA.get(page, 'flags', at) & RESTART_VOLUME_IS_CLEAN) !== 0;
  const version = `${RESTART_PAGE.get(page, 'major_ver')}.${RESTART_PAGE.get(page, 'minor_ver')}`;
  return { torn, lsn, version, open: !closed && !clean, place };
};

const isFilled = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xff);

/**
 * Where restart pages may stand: at the start, and one page further, whatever the page size of the system that made the log.
 */
const candidates = (log: Content): number[] => {
  const offsets = [0];
  for (let offset = STRIDE; offset <= LARGEST_PAGE && offset + STRIDE <= log.size; offset *= 2)
    offsets.push(offset);
  return offsets;
};

/**
 * Looks at the two restart pages; the one with the higher LSN counts. (files/logfile; the rules are those of ntfs-3g's
 * `ntfs_check_logfile` and `ntfs_is_logfile_clean`: closed by all clients, or marked clean.) Throws `corrupt`, `io`.
 */
export const logState = (volume: NtfsVolume): LogState => {
  const log = requireContent(volume.file(FILE_LOGFILE), AT_DATA, '', 'content');
  const place = { structure: '$LogFile', offset: log.position(0) };
  if (log.size < 2 * STRIDE) return { kind: 'damaged', place };
  if (isFilled(readHead(log, LARGEST_PAGE + STRIDE))) return { kind: 'empty', place };
  const pages = candidates(log).flatMap((offset) => restartAt(log, offset) ?? []);
  const [restart] = pages.slice(0, 2).sort((a, b) => (a.lsn < b.lsn ? 1 : -1));
  if (restart === undefined || pages.some((page) => page.torn)) return { kind: 'damaged', place };
  if (restart.version === '2.0') return { kind: 'cached', place: restart.place };
  if (restart.version !== '1.1')
    return { kind: 'unknown-version', version: restart.version, place: restart.place };
  return { kind: restart.open ? 'open' : 'clean', place: restart.place };
};

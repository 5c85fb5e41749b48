import { openContent, readHead } from './content.ts';
import type { NtfsFile } from './file.ts';
import { AT_DATA } from './layout.ts';

/** Windows' file for hibernation and fast startup, in the root. */
export const HIBERNATION_FILE = 'hiberfil.sys';

/**
 * First four bytes of the file (PO_MEMORY_IMAGE.Signature), in upper case; Windows XP wrote them in lower case.
 * Sources: ntfs-3g `ntfs_volume_check_hiberfile` (refuses HIBR); J. T. Sylve and others, "Modern Windows Hibernation
 * File Analysis", 2016; names of the constants as in Hibr2Bin: HIBR image, RSTR restore, WAKE, BRKP break, HORM.
 */
const LIVE: Readonly<Record<string, string>> = {
  HIBR: 'a suspended system',
  RSTR: 'a system that was being resumed',
  BRKP: 'a suspended system, to be debugged',
  HORM: 'a system that is resumed at every start (HORM)',
  LINK: 'the place of a suspended system on another volume',
};
/** Windows writes it, or zeros, when it has resumed. */
const DONE = 'WAKE';

export type HibernationState =
  /** Nothing to resume. */
  { readonly kind: 'inactive' } | { readonly kind: 'live'; readonly holds: string };

const PAGE = 4096;

/**
 * What a hibernation file holds. It is shorter than a page if the system is suspended but this is not its volume (ntfs-3g, too,
 * takes it for live). Throws `unsupported` (`ntfs.encoded`) if it is compressed, `corrupt`, `io`.
 */
export const hibernationState = (file: NtfsFile): HibernationState => {
  const content = openContent(file, AT_DATA, '');
  if (content === undefined || content.size === 0) return { kind: 'inactive' };
  if (content.size < PAGE)
    return { kind: 'live', holds: 'too little to be sure that no system is suspended elsewhere' };
  const head = readHead(content, PAGE);
  if (head.every((byte) => byte === 0)) return { kind: 'inactive' };
  const signature = Buffer.from(head.subarray(0, 4)).toString('latin1').toUpperCase();
  if (signature === DONE) return { kind: 'inactive' };
  // Rather one refusal too many than a system that resumes on a volume which has changed (as the Linux ntfs driver has it).
  return { kind: 'live', holds: LIVE[signature] ?? 'something unknown' };
};

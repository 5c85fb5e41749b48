import { isHoldfastError } from '../../errors.ts';
import { MIB, type Run } from '../../units.ts';
import { type Inode, isRegularFile, parseInode, requireSound, usesInlineData } from './inode.ts';
import { usedInodes } from './inode-tables.ts';
import { INODE, INODE_ENCRYPT, MODE_FILE, MODE_TYPE, SWAP_HEADER } from './layout.ts';
import { dataRuns, readContent } from './mapping.ts';
import type { ExtVolume } from './volume.ts';
import { walkFiles } from './walk.ts';

/**
 * Finding swap files without reading files. Which inodes are looked at: regular files in use, at least 1 MiB long (less
 * is not worth leaving out), without holes as far as their block count tells (the kernel swaps to no file with holes),
 * not encrypted. Of those the first 4 KiB are read: a swap area ends its first page with a signature (mkswap(8); only
 * pages of 4 KiB are known here, the only ones on PCs). Inode tables are read in order, each once.
 *
 * Ten bytes are not enough to leave content out: the whole page must be as mkswap writes it, and tell of no more pages than the
 * file has. What lies behind the last page that it names is imaged.
 */
const SMALLEST = MIB;
const PAGE = 4096;

const VERSION = 1;
const SIGNATURE = 'SWAPSPACE2';
/** What replaces the signature while a suspended system is in the swap area (kernel/power/swap.c, s2disk, TuxOnIce). */
const SUSPENDED = ['S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001', 'TuxOnIce'];

export interface SwapFile {
  readonly inode: Inode;
  readonly suspended: boolean;
  /** Clusters that lie wholly in the swap area, its first page left out; in file order. */
  readonly runs: readonly Run[];
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** Pages of the swap area that `page` begins, in a file of `size` bytes; undefined if it begins none. */
const pagesOf = (page: Uint8Array, size: number): number | undefined => {
  const { version, last_page, nr_badpages, padding, badpages } = SWAP_HEADER.decode(page);
  const sound =
    version === VERSION &&
    last_page > 0 &&
    (last_page + 1) * PAGE <= size &&
    nr_badpages * 4 <= badpages.length &&
    isZero(padding) &&
    isZero(badpages.subarray(nr_badpages * 4));
  return sound ? last_page + 1 : undefined;
};

/** What a file's first page says: undefined if it is no swap file's. */
export const swapArea = (
  page: Uint8Array,
  size: number,
): { readonly suspended: boolean; readonly pages: number } | undefined => {
  const text = Buffer.from(SWAP_HEADER.get(page, 'signature')).toString('latin1');
  // Too many of these are refused rather than one too few.
  if (SUSPENDED.some((signature) => text.startsWith(signature))) return { suspended: true, pages: 0 };
  const pages = text === SIGNATURE ? pagesOf(page, size) : undefined;
  return pages === undefined ? undefined : { suspended: false, pages };
};

const isCandidate = (inode: Inode): boolean =>
  isRegularFile(inode) &&
  !usesInlineData(inode) &&
  (inode.flags & INODE_ENCRYPT) === 0 &&
  inode.size >= SMALLEST &&
  inode.sectors * 512 >= inode.size - PAGE;

/** Clusters of the file that lie wholly in the first `pages` pages and hold nothing of the first one. */
const runsOf = (volume: ExtVolume, inode: Inode, pages: number): Run[] => {
  const ratio = volume.parameters.clusterBlocks;
  const first = Math.ceil(PAGE / volume.clusterSize) * ratio;
  const end = Math.floor((pages * PAGE) / volume.clusterSize) * ratio;
  const runs: { start: number; length: number }[] = [];
  for (const { logical, start, length } of dataRuns(volume, inode)) {
    const from = Math.max(logical, first);
    const to = Math.min(logical + length, end);
    if (from >= to) continue;
    let cluster = Math.floor((start + from - logical) / ratio);
    const last = Math.ceil((start + to - logical) / ratio);
    const open = runs.at(-1);
    const openEnd = open === undefined ? -1 : open.start + open.length;
    // With bigalloc two extents may share a cluster.
    if (cluster === openEnd - 1) cluster = openEnd;
    if (open !== undefined && cluster === openEnd) open.length += last - cluster;
    else runs.push({ start: cluster, length: last - cluster });
  }
  return runs;
};

/**
 * Swap files of the volume, by inode number. Inodes that are damaged are passed over: `check` names them.
 * Throws `corrupt` (descriptors, inode bitmaps), `io`.
 */
export const findSwapFiles = (volume: ExtVolume): SwapFile[] => {
  const found: SwapFile[] = [];
  for (const { number, offset, bytes } of usedInodes(volume)) {
    if ((INODE.get(bytes, 'i_mode') & MODE_TYPE) !== MODE_FILE) continue;
    if (INODE.get(bytes, 'i_size_lo') < SMALLEST && INODE.get(bytes, 'i_size_high') === 0) continue;
    const inode = parseInode(volume, number, Uint8Array.from(bytes), offset);
    if (!isCandidate(inode) || number < volume.parameters.firstInode) continue;
    try {
      requireSound(volume, inode);
      const area = swapArea(readContent(volume, inode, 0, PAGE), inode.size);
      if (area === undefined) continue;
      const { suspended, pages } = area;
      found.push({ inode, suspended, runs: runsOf(volume, inode, pages) });
    } catch (error) {
      if (!isHoldfastError(error, 'corrupt')) throw error;
    }
  }
  return found;
};

/** Names looked at before a swap file is left without a path: it is for people only. */
const NAMES_LOOKED_AT = 20_000;

/** Paths by inode number, as far as a short walk finds them. */
export const pathsOf = (volume: ExtVolume, inodes: readonly number[]): ReadonlyMap<number, string> => {
  const paths = new Map<number, string>();
  const wanted = new Set(inodes);
  if (wanted.size === 0) return paths;
  let looked = 0;
  try {
    for (const { node, path } of walkFiles(volume)) {
      if (wanted.has(node) && !paths.has(node)) paths.set(node, path);
      looked += 1;
      if (paths.size === wanted.size || looked === NAMES_LOOKED_AT) break;
    }
  } catch (error) {
    if (!isHoldfastError(error) || error.kind === 'io') throw error;
  }
  return paths;
};

import { isHoldfastError } from '../../errors.ts';
import { MIB, type Run } from '../../units.ts';
import { type Inode, isRegularFile, parseInode, requireSound, usesInlineData } from './inode.ts';
import { usedInodes } from './inode-tables.ts';
import { INODE, INODE_ENCRYPT, MODE_FILE, MODE_TYPE } from './layout.ts';
import { clusterRuns, readContent } from './mapping.ts';
import type { ExtVolume } from './volume.ts';
import { walkFiles } from './walk.ts';

/**
 * Finding swap files without reading files. Which inodes are looked at: regular files in use, at least 1 MiB long (less
 * is not worth leaving out), without holes as far as their block count tells (the kernel swaps to no file with holes),
 * not encrypted. Of those the first 4 KiB are read: a swap area ends its first page with a signature (mkswap(8); only
 * pages of 4 KiB are known here, the only ones on PCs). Inode tables are read in order, each once.
 */
const SMALLEST = MIB;
const PAGE = 4096;
const SIGNATURE_LENGTH = 10;

const SWAP = ['SWAPSPACE2', 'SWAP-SPACE'];
/** What replaces the signature while a suspended system is in the swap area (kernel/power/swap.c, s2disk, TuxOnIce). */
const SUSPENDED = ['S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001', 'TuxOnIce'];

export interface SwapFile {
  readonly inode: Inode;
  readonly suspended: boolean;
  /** Clusters that lie wholly behind the first page, in file order. */
  readonly runs: readonly Run[];
}

/** What a swap area's first page says: undefined if it is none. */
export const swapSignature = (page: Uint8Array): 'swap' | 'suspended' | undefined => {
  const text = Buffer.from(page.subarray(PAGE - SIGNATURE_LENGTH, PAGE)).toString('latin1');
  if (SWAP.includes(text)) return 'swap';
  return SUSPENDED.some((signature) => text.startsWith(signature)) ? 'suspended' : undefined;
};

const isCandidate = (inode: Inode): boolean =>
  isRegularFile(inode) &&
  !usesInlineData(inode) &&
  (inode.flags & INODE_ENCRYPT) === 0 &&
  inode.size >= SMALLEST &&
  inode.sectors * 512 >= inode.size - PAGE;

/** Clusters of the file but for those that hold any of its first page. */
const runsBehindFirstPage = (volume: ExtVolume, inode: Inode): Run[] => {
  let keep = Math.ceil(PAGE / volume.clusterSize);
  const runs: Run[] = [];
  for (const { start, length } of clusterRuns(volume, inode)) {
    const kept = Math.min(keep, length);
    keep -= kept;
    if (length > kept) runs.push({ start: start + kept, length: length - kept });
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
      const kind = swapSignature(readContent(volume, inode, 0, PAGE));
      if (kind === undefined) continue;
      found.push({
        inode,
        suspended: kind === 'suspended',
        runs: runsBehindFirstPage(volume, inode),
      });
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

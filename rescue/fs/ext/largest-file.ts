import { indirectCapacity, indirectLength } from './indirect-map.ts';
import { REVISION_DYNAMIC, SUPERBLOCK } from './layout.ts';
import type { ExtVolume } from './volume.ts';

/** 512-byte units that an inode can account for without huge_file: `i_blocks` has 32 bits (inodes.rst). */
const MAX_SECTORS = 2 ** 32 - 1;
/** Size of a file on a volume whose superblock has no feature words and so cannot say large_file. */
const SMALL_FILE = 2 ** 31 - 1;

/**
 * Largest file in bytes, a multiple of the cluster size (kernel docs, overview/blocks.rst; kernel, ext4_max_size
 * and ext4_max_bitmap_size):
 * - extents number 2^32 - 1 blocks; a block map reaches 12 + n + n^2 + n^3 blocks of n = block size / 4 pointers:
 *   16 GiB at 1 KiB blocks, 256 GiB at 2 KiB, 4 TiB at 4 KiB;
 * - without huge_file, content and map together take at most 2^32 - 1 sectors: 2 TiB;
 * - revision 0 has no feature words, hence no large_file: 2 GiB.
 */
export const largestFile = (volume: ExtVolume): number => {
  const { blockSize } = volume;
  const sectorsPerBlock = blockSize / 512;
  const extents = volume.has('extent');
  let blocks = extents ? 2 ** 32 - 1 : indirectCapacity(blockSize);
  if (!volume.has('huge_file')) {
    const most = Math.floor(MAX_SECTORS / sectorsPerBlock);
    // An extent tree takes at worst an entry of 12 bytes per block: less than 1/64 at 1 KiB blocks.
    const map = extents ? Math.ceil(most / 64) : indirectLength(most, blockSize);
    blocks = Math.min(blocks, most - map);
  }
  let size = blocks * blockSize;
  if (SUPERBLOCK.get(volume.parameters.superblock, 's_rev_level') < REVISION_DYNAMIC)
    size = Math.min(size, SMALL_FILE);
  return size - (size % volume.clusterSize);
};

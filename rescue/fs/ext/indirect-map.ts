import type { Run } from '../../units.ts';
import type { TreeNode } from './extent-tree.ts';
import { BLOCK_POINTERS, DIRECT_BLOCKS } from './layout.ts';

/**
 * Building a new file's block map: 12 direct pointers, then one single, one double and one triple indirect block
 * (kernel docs, ifork.rst "Direct/Indirect Block Addressing"). Pointers are 32-bit little-endian block numbers.
 */
const POINTER = 4;
const DEPTHS = [1, 2, 3] as const;

/** Blocks that a map can reach. */
export const indirectCapacity = (blockSize: number): number => {
  const pointers = blockSize / POINTER;
  return DIRECT_BLOCKS + pointers + pointers ** 2 + pointers ** 3;
};

/** Blocks of pointers that a file of `count` blocks needs. */
export const indirectLength = (count: number, blockSize: number): number => {
  const pointers = blockSize / POINTER;
  let left = Math.max(0, count - DIRECT_BLOCKS);
  let sum = 0;
  for (const depth of DEPTHS) {
    let level = Math.min(left, pointers ** depth);
    left -= level;
    for (let step = 0; step < depth; step += 1) {
      level = Math.ceil(level / pointers);
      sum += level;
    }
  }
  return sum;
};

/** Blocks of the runs, one by one. */
function* eachBlock(runs: Iterable<Run>): Generator<number> {
  for (const { start, length } of runs) {
    for (let index = 0; index < length; index += 1) yield start + index;
  }
}

/**
 * The 60 bytes of `i_block`; the blocks of pointers go to `emit` as they are made. `runs` are blocks of the volume in
 * file order, in all no more than `indirectCapacity` and below 2^32. `place` gives the next free block; it is called
 * `indirectLength` times.
 */
export const buildIndirectMap = (
  runs: Iterable<Run>,
  options: { blockSize: number; place: () => number; emit: (node: TreeNode) => void },
): Uint8Array => {
  const { blockSize, place, emit } = options;
  const blocks = eachBlock(runs);
  let next = blocks.next();
  const take = (): number => {
    const block = next.value as number;
    next = blocks.next();
    return block;
  };
  const fill = (target: Uint8Array, first: number, end: number, make: () => number): void => {
    const view = new DataView(target.buffer, target.byteOffset);
    for (let index = first; index < end && !next.done; index += 1)
      view.setUint32(index * POINTER, make(), true);
  };
  const indirect = (depth: number): number => {
    const block = place();
    const content = new Uint8Array(blockSize);
    fill(content, 0, blockSize / POINTER, depth === 1 ? take : () => indirect(depth - 1));
    emit({ block, content });
    return block;
  };
  const root = new Uint8Array(BLOCK_POINTERS * POINTER);
  fill(root, 0, DIRECT_BLOCKS, take);
  for (const depth of DEPTHS)
    fill(root, DIRECT_BLOCKS + depth - 1, DIRECT_BLOCKS + depth, () => indirect(depth));
  if (!next.done) throw new RangeError('more blocks than a block map can reach');
  return root;
};

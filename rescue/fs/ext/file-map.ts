import { unsupported } from '../../errors.ts';
import type { Run } from '../../units.ts';
import type { EditContext } from './directory-editor.ts';
import { buildExtentTree, fileExtents } from './extent-tree.ts';
import { buildIndirectMap } from './indirect-map.ts';

/** Plans the map of a new file or folder: `nodes` is the number of blocks that it takes besides `i_block`. */
export const writeMap = (
  context: EditContext,
  blocks: readonly Run[],
  owner: { number: number; generation: number },
): { map: Uint8Array; nodes: number; extents: boolean } => {
  const { volume, edits, groups, avoid } = context;
  const { blockSize } = volume;
  const place = (): number => groups.takeAnyCluster(avoid) * volume.parameters.clusterBlocks;
  let nodes = 0;
  const emit = (node: { block: number; content: Uint8Array }): void => {
    nodes += 1;
    edits.write('prepare', volume.blockOffset(node.block), node.content);
  };
  if (volume.has('extent')) {
    const tree = buildExtentTree(fileExtents(blocks), { scheme: volume.parameters, owner, blockSize, place });
    for (const node of tree.nodes) emit(node);
    return { map: tree.root, nodes, extents: true };
  }
  if (blocks.some(({ start, length }) => start + length > 2 ** 32)) {
    throw unsupported('block numbers above 2^32 need the feature extent', { code: 'claim.block-map' });
  }
  const map = buildIndirectMap(blocks, { blockSize, place, emit });
  return { map, nodes, extents: false };
};

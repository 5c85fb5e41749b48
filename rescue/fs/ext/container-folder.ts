import { CONTAINER_FOLDER } from '../filesystem.ts';
import { setDirectoryLeafChecksum } from './checksum.ts';
import type { EditContext } from './directory-editor.ts';
import { fittingEntries, leafRoom, type NewEntry, newLeaf } from './directory-leaf.ts';
import { writeMap } from './file-map.ts';
import { generationOf, newInode, writeInode } from './inode-editor.ts';
import { FILE_TYPE_DIRECTORY, INODE_EXTENTS, MODE_DIRECTORY, ROOT_INODE } from './layout.ts';

const OWNER_ONLY = 0o700;

/** Plans the folder with its first entries, everything but its entry in the root. Gives its inode's number. */
export const newFolder = (context: EditContext, entries: readonly NewEntry[], time: number): number => {
  const { volume, edits, groups, avoid } = context;
  const number = groups.takeInode(true);
  const generation = generationOf(CONTAINER_FOLDER, time);
  const dot = (name: string, inode: number): NewEntry => ({
    inode,
    name: Buffer.from(name),
    type: FILE_TYPE_DIRECTORY,
  });
  let rest: readonly NewEntry[] = [dot('.', number), dot('..', ROOT_INODE), ...entries];
  const leaves: Uint8Array[] = [];
  while (rest.length > 0) {
    const count = fittingEntries(rest, leafRoom(volume));
    leaves.push(newLeaf(volume, rest.slice(0, count)));
    rest = rest.slice(count);
  }
  const ratio = volume.parameters.clusterBlocks;
  const clusters = Array.from({ length: Math.ceil(leaves.length / ratio) }, () =>
    groups.takeAnyCluster(avoid),
  );
  const blocks = leaves.map((_, index) => clusters[Math.floor(index / ratio)]! * ratio + (index % ratio));
  leaves.forEach((leaf, index) => {
    setDirectoryLeafChecksum(volume.parameters, { number, generation }, leaf);
    edits.write('prepare', volume.blockOffset(blocks[index]!), leaf);
  });
  const runs = blocks.map((start) => ({ start, length: 1 }));
  const { map, nodes, extents } = writeMap(context, runs, { number, generation });
  const bytes = newInode(volume, {
    mode: MODE_DIRECTORY | OWNER_ONLY,
    links: 2,
    flags: extents ? INODE_EXTENTS : 0,
    size: leaves.length * volume.blockSize,
    sectors: (clusters.length + nodes) * (volume.clusterSize / 512),
    map,
    generation,
    time,
  });
  writeInode(volume, edits, { phase: 'folder', number, bytes });
  return number;
};

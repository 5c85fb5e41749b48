import { isSet } from '../../bytes/bitmap.ts';
import type { Problem } from '../filesystem.ts';
import { readInodeBitmap } from './bitmaps.ts';
import { groupProblems } from './check-groups.ts';
import { inodeProblems } from './check-inodes.ts';
import { orphanBlockChecksumOk } from './checksum.ts';
import { AllocationView } from './claims.ts';
import { containerFolder } from './containers.ts';
import { readDirectory } from './directory.ts';
import { type Inode, isDirectory, readInode, usesInlineData } from './inode.ts';
import { ORPHAN_MAGIC, ORPHAN_TAIL, ROOT_INODE, SUPERBLOCK } from './layout.ts';
import { dataRuns } from './mapping.ts';
import { at, guarded, problem } from './problems.ts';
import type { ExtVolume } from './volume.ts';

/**
 * Everything that is wrong with the volume's metadata, as far as it is looked at: all descriptors, bitmaps and inodes
 * with their maps, the root and the containers' folder, the orphan file. Not looked at: content of other folders, link
 * counts, block accounting of inodes, clusters in use that nobody owns (leaks). A generator: whoever wants the first
 * problems only stops asking. Throws `io`.
 */
export function* findProblems(volume: ExtVolume): Generator<Problem> {
  const view = new AllocationView(volume);
  const totals = { freeClusters: 0, freeInodes: 0, complete: true };
  yield* groupProblems(volume, view, totals);
  // Without the boot block of 1 KiB volumes, which has no owner. Where a group could not be counted, all clusters
  // count as in use: then no second window is asked for.
  const counted = volume.clusterCount - volume.parameters.firstDataBlock;
  const used = totals.complete ? counted - totals.freeClusters : counted;
  yield* inodeProblems(volume, view, used);
  yield* guarded(rootProblems(volume));
  yield* guarded(orphanFileProblems(volume));
}

const isUsed = (volume: ExtVolume, inode: number): boolean => {
  const group = volume.group(volume.groupOfInode(inode));
  return isSet(readInodeBitmap(volume, group), (inode - 1) % volume.parameters.inodesPerGroup);
};

function* rootProblems(volume: ExtVolume): Generator<Problem> {
  const root = readInode(volume, ROOT_INODE);
  if (!isUsed(volume, ROOT_INODE) || !isDirectory(root)) {
    yield problem('ext.no-root', at('ext inode 2', root.offset));
    return;
  }
  yield* guarded(folderProblems(volume, root, ROOT_INODE));
  const folder = containerFolder(volume);
  if (folder !== undefined) yield* guarded(folderProblems(volume, folder, ROOT_INODE));
}

function* folderProblems(volume: ExtVolume, folder: Inode, parent: number): Generator<Problem> {
  const names: string[] = [];
  const where = at(`ext directory ${folder.number}`, folder.offset);
  for (const entry of readDirectory(volume, folder)) {
    const name = Buffer.from(entry.name).toString('latin1');
    if (names.length < 2) names.push(`${name} ${entry.inode}`);
    if (!isUsed(volume, entry.inode)) {
      yield problem('ext.entry-unused', at(`ext directory ${folder.number}`, entry.position), {
        found: entry.inode,
      });
    }
  }
  // Inline folders store neither.
  if (usesInlineData(folder)) return;
  if (names[0] !== `. ${folder.number}` || names[1] !== `.. ${parent}`) yield problem('ext.dot-entry', where);
}

function* orphanFileProblems(volume: ExtVolume): Generator<Problem> {
  if (!volume.has('orphan_file')) return;
  const inode = readInode(volume, SUPERBLOCK.get(volume.parameters.superblock, 's_orphan_file_inum'));
  for (const run of dataRuns(volume, inode)) {
    for (let block = run.start; block < run.start + run.length; block += 1) {
      const bytes = volume.readBlock(block, 'ext orphan file');
      const magic = ORPHAN_TAIL.get(bytes, 'ob_magic', bytes.length - ORPHAN_TAIL.size);
      if (magic === ORPHAN_MAGIC && orphanBlockChecksumOk(volume.parameters, inode, block, bytes)) continue;
      yield problem('ext.orphan-block', at(`ext orphan file block`, volume.blockOffset(block)));
    }
  }
}

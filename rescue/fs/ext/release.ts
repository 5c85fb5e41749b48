import { corrupt, refused, unsupported } from '../../errors.ts';
import { isFileOf } from '../container-files.ts';
import { CONTAINER_FOLDER, type ReleaseRequest } from '../filesystem.ts';
import type { Editor } from '../patch.ts';
import { setXattrBlockChecksum } from './checksum.ts';
import { type DirectoryEntry, readDirectory } from './directory.ts';
import { DirectoryEditor, type EditContext } from './directory-editor.ts';
import { GroupEditor } from './group-editor.ts';
import { type Inode, isDirectory, isRegularFile, readInode } from './inode.ts';
import { freedInode, writeInode } from './inode-editor.ts';
import { ROOT_INODE, XATTR_HEADER } from './layout.ts';
import { clusterRuns, readMapping } from './mapping.ts';
import { StagedEdits } from './staged-edits.ts';
import { ExtVolume } from './volume.ts';
import { walkFiles } from './walk.ts';
import { blockAttributes, inodeAttributes } from './xattr.ts';

/**
 * Removes a container's files, and the folder when it is empty then. See `FileSystemDriver.release`.
 * Throws `refused` (`release.not-found`, `release.linked`), `unsupported` (`release.attribute-inode`), `corrupt`.
 */
export const release = (editor: Editor, request: ReleaseRequest): void => {
  const edits = new StagedEdits(editor, 'release');
  const volume = new ExtVolume(edits);
  const context = { volume, edits, groups: new GroupEditor(volume, edits), avoid: { has: () => true } };
  const root = new DirectoryEditor(context, ROOT_INODE);
  const folder = openFolder(context, root, request.name);
  const isOurs = (entry: DirectoryEntry): boolean =>
    isFileOf(request.name, textOf(entry)) &&
    (request.paths?.includes(`/${CONTAINER_FOLDER}/${textOf(entry)}`) ?? true);
  const all = [...readDirectory(volume, folder.inode)].filter(
    (entry) => !['.', '..'].includes(textOf(entry)),
  );
  const ours = all.filter(isOurs);
  if (ours.length === 0) throw absent(request.name);
  for (const entry of ours) freeInode(context, requireFile(volume, entry), request.time, 'files');
  if (ours.length < all.length) for (const entry of ours) folder.remove(Uint8Array.from(entry.name));
  else {
    freeInode(context, folder.inode, request.time, 'folder');
    root.remove(Buffer.from(CONTAINER_FOLDER));
    root.addLinks(-1);
  }
  context.groups.finish();
  edits.apply();
};

const textOf = (entry: DirectoryEntry): string => Buffer.from(entry.name).toString();

const absent = (name: string) =>
  refused(`no container named ${name} is there`, {
    code: 'release.not-found',
    structure: `/${CONTAINER_FOLDER}`,
  });

const openFolder = (context: EditContext, root: DirectoryEditor, name: string): DirectoryEditor => {
  const number = root.find(Buffer.from(CONTAINER_FOLDER));
  if (number === undefined) throw absent(name);
  const folder = new DirectoryEditor(context, number);
  if (!isDirectory(folder.inode)) throw absent(name);
  return folder;
};

const requireFile = (volume: ExtVolume, entry: DirectoryEntry): Inode => {
  const inode = readInode(volume, entry.inode);
  const structure = `/${CONTAINER_FOLDER}/${textOf(entry)}`;
  if (!isRegularFile(inode) || inode.number < volume.parameters.firstInode) {
    throw corrupt('not a regular file', { code: 'ext.not-file', structure, offset: inode.offset });
  }
  if (inode.links === 1) return inode;
  throw refused('the file has other names too', {
    code: 'release.linked',
    structure,
    expected: '1 name',
    found: namesOf(volume, inode).join(', ') || `${inode.links} names`,
    wayOut: 'Remove the other hard links first',
  });
};

/** Names that are shown of a file that has several. */
const MOST_NAMES = 8;

const namesOf = (volume: ExtVolume, { number }: Inode): string[] => {
  const names: string[] = [];
  for (const entry of walkFiles(volume)) {
    if (entry.node === number) names.push(entry.path);
    if (names.length === MOST_NAMES) break;
  }
  return names;
};

/** Gives back all that an inode holds, and the inode. */
const freeInode = (context: EditContext, inode: Inode, time: number, phase: 'files' | 'folder'): void => {
  const { volume, edits, groups } = context;
  const ratio = volume.parameters.clusterBlocks;
  freeAttributes(context, inode);
  for (const run of clusterRuns(volume, inode)) groups.giveClusters(run);
  for (const item of readMapping(volume, inode)) {
    if (item.kind === 'node')
      groups.giveClusters({ start: Math.floor(item.start / ratio), length: item.length });
  }
  groups.giveInode(inode.number, isDirectory(inode));
  writeInode(volume, edits, { phase, number: inode.number, bytes: freedInode(inode, time) });
};

/** An attribute block (a security label, say) may be shared by several inodes: it is freed by the last one. */
const freeAttributes = ({ volume, edits, groups }: EditContext, inode: Inode): void => {
  const attributes = [...inodeAttributes(inode), ...blockAttributes(volume, inode)];
  if (attributes.some(({ value }) => !(value instanceof Uint8Array))) {
    throw unsupported('the file has an attribute in an inode of its own', {
      code: 'release.attribute-inode',
      structure: `ext inode ${inode.number}`,
      offset: inode.offset,
      wayOut: 'Remove the attribute first: chattr -i, then setfattr -x',
    });
  }
  const block = inode.attributeBlock;
  if (block === 0) return;
  const bytes = volume.readBlock(block, 'ext attribute block');
  const users = XATTR_HEADER.get(bytes, 'h_refcount');
  if (users <= 1) {
    groups.giveClusters({ start: Math.floor(block / volume.parameters.clusterBlocks), length: 1 });
    return;
  }
  XATTR_HEADER.set(bytes, 'h_refcount', users - 1);
  setXattrBlockChecksum(volume.parameters, block, bytes);
  edits.write('files', volume.blockOffset(block), bytes);
};

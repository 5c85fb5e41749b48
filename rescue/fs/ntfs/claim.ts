import { refused, usage } from '../../errors.ts';
import { fileName } from '../container-files.ts';
import { type ClaimRequest, CONTAINER_FOLDER } from '../filesystem.ts';
import type { Editor } from '../patch.ts';
import { ClusterEditor } from './cluster-editor.ts';
import { type DirectoryEntry, directoryEntries, openNameIndex } from './directory.ts';
import { IndexEditor } from './index-editor.ts';
import { endEntry, newEntry, rootValue } from './index-node.ts';
import {
  AT_FILE_NAME,
  AT_INDEX_ROOT,
  AT_REPARSE_POINT,
  COLLATION_FILE_NAME,
  FILE_ROOT,
  INDEX_HEADER,
  INDEX_ROOT,
  NAME_INDEX,
} from './layout.ts';
import { MftEditor } from './mft-editor.ts';
import { readUpCase, toUpperCase, type UpCase } from './names.ts';
import { type EditContext, newFile, newFolder } from './new-file.ts';
import { StagedEdits } from './staged-edits.ts';
import { NtfsVolume } from './volume.ts';
import { isDirectory, meantFile } from './walk.ts';

/**
 * Makes the volume list the clusters as `/.holdfast/NAME.hfi`. See `FileSystemDriver.claim`; throws `refused` (`claim.exists`,
 * `claim.not-free`, `claim.no-space`, `claim.name-taken`, `claim.mft-scattered`, `claim.root-full`,
 * `claim.too-scattered`), `unsupported`, `corrupt`, `io`, `usage`.
 */
export const claim = (editor: Editor, request: ClaimRequest): void => {
  const { name, runs, time, avoid } = request;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(name))
    throw usage('not a container name', { code: 'claim.name', found: name });
  if (runs.length === 0) throw usage('a container has at least one cluster', { code: 'claim.runs' });
  const volume = new NtfsVolume(editor);
  const edits = new StagedEdits(editor);
  const upCase = readUpCase(volume);
  const folder = findFolder(volume, upCase);
  const file = fileName(name, 0);
  if (folder !== undefined) requireNew(volume, upCase, folder, file);
  const clusters = new ClusterEditor(volume, edits, runs, avoid);
  const mft = new MftEditor(volume, edits, clusters);
  const context = { volume, edits, clusters, mft };

  if (folder !== undefined) {
    const { reference } = folder;
    const made = newFile(context, { name: file, parent: reference, time }, runs);
    const index = new IndexEditor(context, upCase, mft.open(reference.number), false);
    index.insert(newEntry(made.record.reference, made.key));
    index.finish();
  } else makeFolder(context, upCase, { file, request });
  mft.finish();
  clusters.finish();
  edits.apply();
};

const makeFolder = (
  context: EditContext,
  upCase: UpCase,
  { file, request }: { readonly file: string; readonly request: ClaimRequest },
): void => {
  const { volume, mft } = context;
  const { runs, time } = request;
  const root = mft.open(FILE_ROOT);
  const parent = root.reference;
  const made = newFolder(context, { name: CONTAINER_FOLDER, parent, time }, emptyRoot(volume));
  const inside = newFile(context, { name: file, parent: made.record.reference, time }, runs);
  const index = new IndexEditor(context, upCase, made.record, true);
  index.insert(newEntry(inside.record.reference, inside.key));
  index.finish('folder');
  const above = new IndexEditor(context, upCase, root, false);
  above.insert(newEntry(made.record.reference, made.key));
  above.finish();
};

/** The `$INDEX_ROOT` of an empty folder, whose blocks will be as long as those of the root. */
const emptyRoot = (volume: NtfsVolume): Uint8Array => {
  const file = volume.file(FILE_ROOT);
  const { blockSize } = openNameIndex(file);
  const root = file.find(AT_INDEX_ROOT, NAME_INDEX);
  const perBlock = root?.resident === true ? INDEX_ROOT.get(root.value, 'clusters_per_index_block') : 1;
  const head = new Uint8Array(INDEX_ROOT.size + INDEX_HEADER.size);
  head.set(
    INDEX_ROOT.encode({
      type: AT_FILE_NAME,
      collation_rule: COLLATION_FILE_NAME,
      index_block_size: blockSize,
      clusters_per_index_block: perBlock,
    }),
  );
  head.set(INDEX_HEADER.encode({ entries_offset: INDEX_HEADER.size }), INDEX_ROOT.size);
  return rootValue(head, INDEX_ROOT.size, [endEntry()]);
};

/** Entries of a folder that NTFS takes for `name`. */
const entriesNamed = (volume: NtfsVolume, upCase: UpCase, folder: number, name: string): DirectoryEntry[] => {
  const wanted = toUpperCase(upCase, name);
  const found: DirectoryEntry[] = [];
  for (const entry of directoryEntries(openNameIndex(volume.file(folder))))
    if (entry.name.length === name.length && toUpperCase(upCase, entry.name) === wanted) found.push(entry);
  return found;
};

/** Throws `refused` (`claim.name-taken`) if something else is called like the folder. */
const findFolder = (volume: NtfsVolume, upCase: UpCase): DirectoryEntry | undefined => {
  const [entry] = entriesNamed(volume, upCase, FILE_ROOT, CONTAINER_FOLDER);
  if (entry === undefined) return undefined;
  const file = meantFile(volume, entry.reference, entry.place);
  // What a junction's own index lists is nowhere to be seen.
  if (isDirectory(file) && file.find(AT_REPARSE_POINT, '') === undefined) return entry;
  throw refused(`/${CONTAINER_FOLDER} is not a folder, or leads elsewhere`, {
    code: 'claim.name-taken',
    ...entry.place,
    wayOut: 'Rename it and try again',
  });
};

const requireNew = (volume: NtfsVolume, upCase: UpCase, folder: DirectoryEntry, file: string): void => {
  const [same] = entriesNamed(volume, upCase, folder.reference.number, file);
  if (same === undefined) return;
  throw refused(`a container's file ${file} is there already`, {
    code: 'claim.exists',
    ...same.place,
    wayOut: 'Remove it first, or choose another name',
  });
};

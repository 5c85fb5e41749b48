import { NumberSet } from '../../bytes/number-set.ts';
import { unsupported } from '../../errors.ts';
import { roundDown } from '../../units.ts';
import type { ContentPiece, FileEntry, FileType } from '../filesystem.ts';
import { type OnDamage, tolerating } from '../tolerance.ts';
import { readDirectory } from './directory.ts';
import { type Inode, isDirectory, readInode, readInodeFrom, typeOf } from './inode.ts';
import { MODE_DIRECTORY, MODE_FILE, MODE_SYMLINK, ROOT_INODE } from './layout.ts';
import { clusterRuns, dataRuns } from './mapping.ts';
import type { ExtVolume } from './volume.ts';

/** Levels of folders: names of one letter reach the kernel's longest path (4096 bytes) at 2048. */
const DEEPEST = 2048;

// A name may begin with the bytes of a byte order mark: they are part of it.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

const TYPES: Readonly<Record<number, FileType>> = {
  [MODE_FILE]: 'file',
  [MODE_DIRECTORY]: 'directory',
  [MODE_SYMLINK]: 'symlink',
};

/** Preallocated blocks read as zeros, whatever they hold. */
function* contentPieces(volume: ExtVolume, inode: Inode): Generator<ContentPiece> {
  const { blockSize } = volume;
  for (const { logical, start, length, uninitialised } of dataRuns(volume, inode)) {
    const offset = logical * blockSize;
    const inside = Math.min(length * blockSize, inode.size - offset);
    if (uninitialised || inside <= 0) continue;
    yield { offset, start: volume.blockOffset(start), length: inside };
  }
}

export const fileEntry = (volume: ExtVolume, path: string, inode: Inode): FileEntry => ({
  path,
  type: TYPES[typeOf(inode)] ?? 'other',
  size: inode.size,
  modified: inode.modified,
  attributes: inode.mode,
  node: inode.number,
  runs: () => clusterRuns(volume, inode),
  pieces: () => contentPieces(volume, inode),
});

const isDots = (name: Uint8Array): boolean =>
  name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e));

/** Blocks of the inode tables that a walk keeps: files of one folder have inodes near each other. */
const KEPT_BLOCKS = 16;

/** Reads inodes by whole blocks of their tables. For one walk: a block is not read again while it is kept. */
const inodeReader = (volume: ExtVolume): ((number: number) => Inode) => {
  const { blockSize, inodeSize } = volume.parameters;
  /** By where they start; the one that was read first goes first. */
  const blocks = new Map<number, Uint8Array>();
  const blockAt = (start: number): Uint8Array => {
    const known = blocks.get(start);
    if (known !== undefined) return known;
    const [oldest] = blocks;
    const block = blocks.size < KEPT_BLOCKS ? new Uint8Array(blockSize) : oldest![1];
    if (blocks.size === KEPT_BLOCKS) blocks.delete(oldest![0]);
    volume.device.readInto(start, block);
    blocks.set(start, block);
    return block;
  };
  return (number) => {
    const offset = volume.inodeOffset(number);
    const start = roundDown(offset, blockSize);
    let block: Uint8Array;
    try {
      block = blockAt(start);
    } catch {
      // A bad place in the block need not be in this inode.
      return readInode(volume, number);
    }
    return readInodeFrom(volume, number, block.slice(offset - start, offset - start + inodeSize));
  };
};

/**
 * Every file and folder once per name, the root first, a folder before what it holds. A folder that is listed a second
 * time (damage) is given again but not entered again, so the walk ends whatever the directories say. Memory: one
 * directory block per level of folders, one bit per inode number near a folder's.
 * Throws `corrupt`, `unsupported` (`ext.too-deep`), `io`.
 */
export function* walkFiles(volume: ExtVolume, onDamage?: OnDamage): Generator<FileEntry> {
  const root = tolerating(onDamage, 'record', '/', () => readInode(volume, ROOT_INODE));
  if (root === undefined) return;
  const entered = new NumberSet();
  yield fileEntry(volume, '/', root);
  yield* walkFolder(volume, root, entered, onDamage);
}

function* walkFolder(
  volume: ExtVolume,
  top: Inode,
  entered: NumberSet,
  onDamage: OnDamage,
): Generator<FileEntry> {
  const inodeOf = inodeReader(volume);
  entered.add(top.number);
  const enter = (path: string, inode: Inode) => ({
    path,
    entries: readDirectory(
      volume,
      inode,
      onDamage === undefined ? undefined : (error) => onDamage({ path: path || '/', what: 'folder', error }),
    ),
  });
  // An explicit stack: generators that delegate to each other cost time for every level above.
  const stack = [enter('', top)];
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const { entries, path } = level;
    const next = tolerating(onDamage, 'folder', path || '/', () => entries.next());
    if (next === undefined || next.done) {
      stack.pop();
      continue;
    }
    const { name, inode: number } = next.value;
    if (isDots(name)) continue;
    const entryPath = `${path}/${decoder.decode(name)}`;
    const inode = tolerating(onDamage, 'record', entryPath, () => inodeOf(number));
    if (inode === undefined) continue;
    yield fileEntry(volume, entryPath, inode);
    if (!isDirectory(inode) || !entered.add(number)) continue;
    if (stack.length >= DEEPEST) {
      throw unsupported(`has more than ${DEEPEST} folders inside each other`, {
        code: 'ext.too-deep',
        structure: `ext directory ${number}`,
        offset: inode.offset,
      });
    }
    stack.push(enter(entryPath, inode));
  }
}

import { lstatSync } from 'node:fs';
import { normalise } from '../../../rescue/bytes/runs.ts';
import { blocksByDebugfs, debugfs } from '../../fs/ext/e2fsprogs.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { above, type FilePlaces, type PlacedPiece } from './places.ts';

/** What the kernel maps (FIEMAP, through filefrag), by path below the mounted root. */
const byFilefrag = (root: string): Map<string, PlacedPiece[]> => {
  const { stdout } = mustRun('find', [root, '-xdev', '-type', 'f', '-exec', 'filefrag', '-v', '{}', '+']);
  const found = new Map<string, PlacedPiece[]>();
  for (const part of stdout.split(/^File size of /m).slice(1)) {
    const [, full, sizeText, unitText] = /^(.*) is (\d+) \(\d+ blocks? of (\d+) bytes\)/.exec(part)!;
    const [size, unit] = [Number(sizeText), Number(unitText)];
    const pieces: PlacedPiece[] = [];
    for (const [, logical, physical, length, flags] of part.matchAll(
      /^ *\d+: *(\d+)\.\. *\d+: *(\d+)\.\. *\d+: *(\d+):(.*)$/gm,
    )) {
      const offset = Number(logical) * unit;
      const inside = Math.min(Number(length) * unit, size - offset);
      if (/unwritten/.test(flags!) || inside <= 0) continue;
      pieces.push({ offset, start: Number(physical) * unit, length: inside });
    }
    found.set(full!.slice(root.length), pieces);
  }
  return found;
};

/** Files by the kernel; where inodes, folders and maps lie by debugfs. */
export const extPlaces = (cleanup: Cleanup, path: string): FilePlaces[] => {
  const mount = mountFile(cleanup, path, { readOnly: true });
  const files = byFilefrag(mount.path);
  const paths = new Set([...files.keys()].flatMap((file) => [...above(file), file]));
  const inodes = new Map([...paths].map((each) => [each, lstatSync(mount.path + each).ino]));
  mount.unmount();
  const [blockSize] = /\d+/.exec(/^Block size:.*$/m.exec(mustRun('dumpe2fs', ['-h', path]).stdout)![0])!;
  const unit = Number(blockSize);
  const numbers = [...inodes.values()];
  const tableBlocks = debugfs(
    path,
    numbers.map((inode) => `imap <${inode}>`),
  ).map((answer) => Number(/located at block (\d+)/.exec(answer)![1]));
  const own = blocksByDebugfs(path, numbers);
  const order = new Map([...inodes.keys()].map((each, index) => [each, index]));
  const extentOf = (block: number) => ({ start: block * unit, length: unit });
  return [...files].map(([file, pieces]) => {
    const data = normalise(pieces.map(({ start, length }) => ({ start, length })));
    const isData = (block: number): boolean =>
      data.some(({ start, length }) => block * unit >= start && block * unit < start + length);
    const folders = above(file).map((each) => order.get(each)!);
    const index = order.get(file)!;
    return {
      path: file,
      pieces,
      leads: normalise([
        // Superblock and group descriptors.
        { start: 0, length: 1024 + 2 * unit },
        ...[...folders, index].map((each) => extentOf(tableBlocks[each]!)),
        ...folders.flatMap((each) => own[each]!.map(extentOf)),
        ...own[index]!.filter((block) => !isData(block)).map(extentOf),
      ]),
    };
  });
};

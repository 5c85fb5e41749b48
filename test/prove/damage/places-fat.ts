import { normalise } from '../../../rescue/bytes/runs.ts';
import { type Extent, KIB, type Run } from '../../../rescue/units.ts';
import { type Listed, mtools, treeByMtools } from '../../fs/fat/mtools.ts';
import { bytesAt, placesOf } from '../../fs/fat/patching.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { above, type FilePlaces, type PlacedPiece } from './places.ts';

/** The FAT is read in pages of this length: what is lost of one takes the chains in it. */
const PAGE = 48 * KIB;

/** FAT entries by mshowfat: `<4-7,9>`. */
const chainOf = (text: string): Run[] =>
  [...text.matchAll(/(\d+)(?:-(\d+))?/g)].map(([, first, last]) => ({
    start: Number(first),
    length: Number(last ?? first) - Number(first) + 1,
  }));

/** All spellings of a path in which at least one name is a short one. */
const shortPaths = (tree: ReadonlyMap<string, Pick<Listed, 'shortName'>>, path: string): string[] => {
  let spellings = [''];
  for (const each of [...above(path).slice(1), path]) {
    const names = [each.slice(each.lastIndexOf('/')), `/${tree.get(each)!.shortName}`];
    spellings = spellings.flatMap((parent) => names.map((name) => parent + name));
  }
  return spellings.filter((each) => each !== path);
};

/** Files and chains by mtools. */
export const fatPlaces = (cleanup: Cleanup, path: string): FilePlaces[] => {
  const tree = treeByMtools(cleanup, path);
  const { data, clusterSize, tables, bits, root } = placesOf(path);
  const names = [...tree.keys()];
  const { stdout } = mtools(
    'mshowfat',
    path,
    names.map((name) => `::${name}`),
  );
  const chains = new Map<string, Run[]>();
  for (const [, name, chain] of stdout.matchAll(/^::(.*?)((?: *<[^<>]*>)+) *$/gm))
    chains.set(name!, chainOf(chain!));
  const bytesOf = (run: Run): Extent => ({
    start: data + (run.start - 2) * clusterSize,
    length: run.length * clusterSize,
  });
  const pagesOf = (run: Run): Extent => {
    const first = Math.floor((run.start * bits) / 8 / PAGE);
    const last = Math.floor(((run.start + run.length) * bits) / 8 / PAGE);
    return { start: tables[0]! + first * PAGE, length: (last - first + 1) * PAGE };
  };
  const rootChain = bits === 32 ? chainOf(String(bytesAt(path, 44, 4).readUInt32LE(0))) : [];
  const fixedRoot = bits === 32 ? [] : [{ start: root, length: data - root }];
  return names
    .filter((name) => tree.get(name)!.type === 'file')
    .map((name) => {
      const { size } = tree.get(name)!;
      const chain = chains.get(name) ?? [];
      let offset = 0;
      const pieces: PlacedPiece[] = [];
      for (const run of chain) {
        const { start, length } = bytesOf(run);
        pieces.push({ offset, start, length: Math.min(length, size - offset) });
        offset += length;
      }
      if (size > offset) throw new Error(`mshowfat lists ${offset} bytes of ${name}, which has ${size}`);
      const folders = above(name).flatMap((each) => (each === '/' ? rootChain : chains.get(each)!));
      return {
        path: name,
        shortPaths: shortPaths(tree, name),
        pieces: size === 0 ? [] : pieces,
        leads: normalise([
          { start: 0, length: 512 },
          ...fixedRoot,
          ...folders.map(bytesOf),
          ...[...folders, ...chain].map(pagesOf),
        ]),
      };
    });
};

import { createHash } from 'node:crypto';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { type MtoolsPlace, mtools } from './mtools.ts';
import { forgetNextFree, placesOf } from './patching.ts';

export interface FatContent {
  /** Files of the large folder. Default 120. */
  readonly entries?: number;
  /** Bytes of the largest file. Default 300 KiB. */
  readonly largest?: number;
  readonly offset?: number;
  /** Default: all that is here. False leaves out what needs many clusters. */
  readonly fragments?: boolean;
}

const NAMES: readonly string[] = [
  'README.TXT',
  'lower.txt',
  'Mixed Case Name.text',
  'ünïcödé 海藻 🌊.txt',
  'ελληνικά.txt',
  'кириллица.doc',
  '日本語のファイル.txt',
  '.hidden at the front',
  'several.dots.in.it.tar.gz',
  'trailing-number~1.txt',
  'no extension',
  `${'thirteen char'.repeat(3)}`,
  `${'x'.repeat(150)}.long`,
  'a+b=c,[d];e.txt',
];

/** Contents that tell clusters apart: every 16 bytes say which file and where. */
const content = (name: string, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  const tag = createHash('sha256').update(name).digest('hex').slice(0, 7);
  for (let at = 0; at < length; at += 16) bytes.write(`${tag} ${String(at).padStart(8, '0')}`, at, 'latin1');
  return bytes;
};

/** 2001-02-03 04:05:06 UTC and so on: even seconds, which is all that FAT keeps. */
const TIME = 981_173_106;

/**
 * Fills a volume with mtools: names long and short in several scripts, folders in folders, a folder of many files, empty
 * files, sizes around the cluster size, attributes, deleted files that leave holes, a file in pieces between others.
 */
export const populateFat = (cleanup: Cleanup, path: string, options: FatContent = {}): void => {
  const { entries = 120, largest = 300 * KIB, fragments = true } = options;
  const place = { offset: options.offset };
  const { clusterSize } = placesOf(path, options.offset);
  const from = temporaryFolder(cleanup);
  let count = 0;
  const file = (name: string, length: number): string => {
    const full = join(from, name);
    writeFileSync(full, content(name, length));
    count += 1;
    utimesSync(full, TIME + count * 86_402, TIME + count * 86_402);
    return full;
  };
  for (const name of ['top', 'top/names', 'top/sizes', 'top/many', 'top/deep'])
    mkdirSync(join(from, name), { recursive: true });
  for (const [index, name] of NAMES.entries()) file(`top/names/${name}`, 100 + index);
  for (const size of [0, 1, clusterSize - 1, clusterSize, clusterSize + 1, 3 * clusterSize])
    file(`top/sizes/${size} bytes`, size);
  file('top/sizes/the largest of all', largest);
  for (let index = 0; index < entries; index += 1)
    file(`top/many/file number ${String(index).padStart(4, '0')}.bin`, index % 5);
  let deep = 'top/deep';
  for (const name of ['one', 'Two with a long name', 'THREE', 'four', 'five']) {
    deep += `/${name}`;
    mkdirSync(join(from, deep));
    file(`${deep}/leaf.txt`, 20);
  }
  mtools('mcopy', path, ['-s', '-m', '-Q', join(from, 'top'), '::/'], place);
  for (const [flags, name] of [
    ['+r', 'README.TXT'],
    ['+h', '.hidden at the front'],
    ['+s', 'lower.txt'],
    ['-a', 'no extension'],
  ] as const)
    mtools('mattrib', path, [flags, `::/top/names/${name}`], place);
  if (fragments) fragment(path, place, { file, clusterSize });
};

const fragment = (
  path: string,
  place: MtoolsPlace,
  {
    file,
    clusterSize,
  }: { readonly file: (name: string, length: number) => string; readonly clusterSize: number },
): void => {
  mtools('mmd', path, ['::/pieces'], place);
  const fillers = Array.from({ length: 12 }, (_, index) => file(`filler${index}`, clusterSize));
  mtools('mcopy', path, ['-m', ...fillers, '::/pieces'], place);
  const even = fillers.map((_, index) => index).filter((index) => index % 2 === 0);
  mtools(
    'mdel',
    path,
    even.map((index) => `::/pieces/filler${index}`),
    place,
  );
  // mtools takes free clusters from the lowest on only if it is not told where to begin.
  forgetNextFree(path, place.offset);
  mtools('mcopy', path, ['-m', file('in pieces between others', 8 * clusterSize), '::/pieces'], place);
  mtools('mdel', path, ['::/pieces/filler1', '::/pieces/filler5'], place);
};

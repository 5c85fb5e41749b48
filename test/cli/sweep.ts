import { run } from '../support/run.ts';

/** One byte of a volume or container, and what it belongs to: for the message of a failed test. */
export interface Place {
  readonly name: string;
  readonly offset: number;
}

interface Region {
  readonly name: string;
  readonly start: number;
  readonly length: number;
}

const numbers = (text: string): [number, number] => {
  const [first, last] = text.split('-').map(Number);
  return [first!, last ?? first!];
};

const debugfs = (path: string, request: string): string => run('debugfs', ['-R', request, path]).stdout;

/** All metadata of a small ext volume, as e2fsprogs sees it: where each structure lies. */
export const metadataRegions = (path: string, blockSize: number): Region[] => {
  const layout = run('dumpe2fs', [path]).stdout;
  const regions: Region[] = [{ name: 'superblock', start: 1024, length: 1024 }];
  const add = (name: string, first: number, last = first): void => {
    regions.push({ name, start: first * blockSize, length: (last - first + 1) * blockSize });
  };
  const kinds = [
    ['group descriptors', /Group descriptors at (\d+(?:-\d+)?)/],
    ['block bitmap', /Block bitmap at (\d+)/],
    ['inode bitmap', /Inode bitmap at (\d+)/],
    ['inode table', /Inode table at (\d+(?:-\d+)?)/],
  ] as const;
  for (const [name, pattern] of kinds) {
    const match = pattern.exec(layout);
    if (match !== null) add(name, ...numbers(match[1]!));
  }
  for (const [name, file] of [
    ['root directory', '<2>'],
    ['container folder', '/.holdfast'],
    ['journal superblock', '<8>'],
  ] as const) {
    const [block] = debugfs(path, `blocks ${file}`).trim().split(/\s+/);
    if (block !== undefined && /^[1-9]\d*$/.test(block)) add(name, Number(block));
  }
  return regions;
};

/**
 * `count` bytes of each region: of those that are not zero, which say something, evenly spread from a start that
 * `seed` chooses, and one in eight anywhere.
 */
export const sampleBytes = (
  bytes: Uint8Array,
  regions: readonly Region[],
  { count, seed }: { readonly count: number; readonly seed: number },
): Place[] =>
  regions.flatMap(({ name, start, length }) => {
    const speaking: number[] = [];
    for (let at = start; at < start + length; at += 1) if (bytes[at] !== 0) speaking.push(at);
    const silent = Math.floor(count / 8);
    const spread = (total: number, wanted: number): number[] =>
      Array.from({ length: Math.min(total, wanted) }, (_, index) =>
        Math.floor(((index + ((seed * 0.618034) % 1)) * total) / Math.min(total, wanted)),
      );
    const chosen = [
      ...spread(speaking.length, count).map((index) => speaking[index]!),
      ...spread(length, silent).map((index) => start + index),
    ];
    return [...new Set(chosen)].map((offset) => ({ name: `${name} byte ${offset - start}`, offset }));
  });

import type { Run } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';

/** Free clusters as dumpe2fs sees them, in the file system's numbering from byte 0; ascending, joined. */
export const freeByDumpe2fs = (path: string, clusterBlocks: number): Run[] => {
  const text = mustRun('dumpe2fs', [path]).stdout;
  const runs: { start: number; length: number }[] = [];
  for (const match of text.matchAll(/^ {2}Free blocks: (.*)$/gm)) {
    for (const range of match[1]!.split(', ').filter((word) => word !== '')) {
      const [first, last] = range.split('-').map((block) => Math.floor(Number(block) / clusterBlocks));
      const start = first!;
      const length = (last ?? start) - start + 1;
      const open = runs.at(-1);
      if (open !== undefined && open.start + open.length === start) open.length += length;
      else runs.push({ start, length });
    }
  }
  return runs;
};

/** One request per line to debugfs; the answers in order. */
export const debugfs = (path: string, requests: readonly string[]): string[] => {
  const text = mustRun('debugfs', ['-f', '-', path], { input: `${requests.join('\n')}\n` }).stdout;
  return text.split(/^debugfs: .*$/m).slice(1);
};

/** Every block that debugfs counts to each inode, blocks of the map included, sorted. */
export const blocksByDebugfs = (path: string, inodes: readonly number[]): number[][] =>
  debugfs(
    path,
    inodes.map((inode) => `blocks <${inode}>`),
  ).map((answer) => [...answer.matchAll(/\d+/g)].map((match) => Number(match[0])).sort((a, b) => a - b));

import { complement, normalise, toExtents } from '../../../rescue/bytes/runs.ts';
import type { Extent, Run } from '../../../rescue/units.ts';
import { freeByDumpe2fs } from '../../fs/ext/e2fsprogs.ts';
import { clustersInUse } from '../../fs/fat/owners-clusters.ts';
import { bytesAt, placesOf } from '../../fs/fat/patching.ts';
import { setBits } from '../../fs/ntfs/owners-clusters.ts';
import { everythingSaid, mustRun, run } from '../../support/run.ts';
import type { Family } from './subject.ts';

/**
 * Where a volume has something, read by others than the program under test: dumpe2fs, the tests' own reader of FATs, and $Bitmap as
 * ntfscat gives it. Bytes of the volume, with all that belongs to no cluster. `volume` is a file of its own.
 */
export const usedExtents = (family: Exclude<Family, 'none'>, volume: string, size: number): Extent[] => {
  const outsideClusters = ({ base, clusterSize, count, end }: Grid): Extent[] => [
    ...complement([{ start: base, length: clusterSize * count }], { start: 0, length: Math.min(end, size) }),
  ];
  const { grid, used } = READERS[family](volume);
  return normalise([...outsideClusters(grid), ...toExtents(used, grid.clusterSize, grid.base)]);
};

/** Where clusters lie, in bytes of the volume. */
interface Grid {
  readonly base: number;
  readonly clusterSize: number;
  readonly count: number;
  /** Where the volume ends by its own account: what lies behind is nobody's. */
  readonly end: number;
}

const numberIn = (text: string, name: RegExp): number | undefined => {
  const match = name.exec(text);
  return match === null ? undefined : Number(match[1]);
};

const READERS: Readonly<
  Record<Exclude<Family, 'none'>, (volume: string) => { readonly grid: Grid; readonly used: readonly Run[] }>
> = {
  ext: (volume) => {
    const { stdout } = mustRun('dumpe2fs', [volume]);
    const blockSize = numberIn(stdout, /^Block size:\s+(\d+)$/m)!;
    const clusterSize = numberIn(stdout, /^Cluster size:\s+(\d+)$/m) ?? blockSize;
    const blocks = numberIn(stdout, /^Block count:\s+(\d+)$/m)!;
    const clusterBlocks = clusterSize / blockSize;
    const count = Math.ceil(blocks / clusterBlocks);
    // dumpe2fs numbers blocks from byte 0, also where the first group begins with block 1.
    const free = freeByDumpe2fs(volume, clusterBlocks);
    const used = [...complement(normalise(free), { start: 0, length: count })];
    return { grid: { base: 0, clusterSize, count, end: blocks * blockSize }, used };
  },
  fat: (volume) => {
    const { bits, data, clusterSize, clusterCount } = placesOf(volume);
    // Sectors behind the last whole cluster can be used by nobody.
    const end = data + clusterCount * clusterSize;
    const flags = bytesAt(volume, 40, 1)[0]!;
    const active = bits === 32 && (flags & 0x80) !== 0 ? flags & 0x0f : 0;
    return {
      grid: { base: data, clusterSize, count: clusterCount, end },
      used: clustersInUse(volume, { table: active }),
    };
  },
  ntfs: (volume) => {
    const facts = mustRun('ntfsinfo', ['--mft', '--force', volume]).stdout;
    const clusterSize = numberIn(facts, /^\s*Cluster Size: (\d+)$/m)!;
    const count = numberIn(facts, /^\s*Volume Size in Clusters: (\d+)$/m)!;
    const bitmap = run('ntfscat', ['--force', '--inode', '6', volume]);
    if (bitmap.exit !== 0) throw new Error(everythingSaid({ ...bitmap, stdout: '' }));
    // BPB bytes per sector and total sectors, without that of the backup boot sector behind them.
    const boot = bytesAt(volume, 0, 512);
    const end = (Number(boot.readBigUInt64LE(40)) + 1) * boot.readUInt16LE(11);
    return { grid: { base: 0, clusterSize, count, end }, used: setBits(bitmap.stdoutBytes, count) };
  },
};

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { totalLength } from '../../../rescue/bytes/runs.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { run as runProgram } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { highest, scattered } from '../editing.ts';
import { NtfsFileVolume } from './editing.ts';
import { fill, makeNtfs, mountNtfs, type Variant } from './volumes.ts';

const VOLUMES: readonly Variant[] = [
  { name: 'clusters of 512 bytes', size: 40 * MIB, clusterSize: 512, many: 300 },
  { name: 'clusters of 4 KiB', size: 64 * MIB, many: 300 },
  { name: 'clusters of 64 KiB', size: 192 * MIB, clusterSize: 64 * KIB, many: 60 },
  { name: 'sectors of 4096 bytes', size: 64 * MIB, sectorSize: 4096, many: 60 },
  { name: 'clusters of 2 MiB', size: 512 * MIB, clusterSize: 2 * MIB, many: 30 },
  { name: 'a size that fills no cluster', size: 40 * MIB + 5 * 512, clusterSize: 8 * KIB, many: 60 },
];

/** Clusters of each container, by the size of a cluster. */
const countFor = (clusterSize: number): number =>
  Math.max(5, Math.min(1500, Math.floor((4 * MIB) / clusterSize)));

for (const variant of VOLUMES) {
  test(`files are claimed, read by ntfs-3g, and released: ${variant.name}`, (t) => {
    const path = makeNtfs(join(temporaryFolder(t), 'volume'), variant);
    const volume = new NtfsFileVolume(path);
    const { sectorSize } = variant;
    const mounted = <Result>(body: (root: string) => Result): Result => {
      const mount = mountNtfs(t, path, { sectorSize });
      const result = body(mount.path);
      mount.unmount();
      return result;
    };
    mounted((root) => fill(root, variant));
    t.deepEqual(volume.problems(sectorSize), []);
    const before = volume.free();
    const count = countFor(variant.clusterSize ?? 4096);

    const runs = highest(before, count);
    const content = volume.fill(runs);
    volume.claim('first', runs);
    t.deepEqual(volume.problems(sectorSize), []);
    const pieces = scattered(volume.free(), count);
    const more = volume.fill(pieces);
    volume.claim('second', pieces);
    t.deepEqual(volume.problems(sectorSize), []);
    t.deepEqual(
      volume.open((device) =>
        openNtfs(device)
          .containers()
          .map(({ name, runs }) => [name, totalLength(runs)]),
      ),
      [
        ['first', count],
        ['second', count],
      ],
    );

    mounted((root) => {
      t.true(readFileSync(join(root, '.holdfast', 'first.hfi')).equals(content));
      t.true(readFileSync(join(root, '.holdfast', 'second.hfi')).equals(more));
      t.is(
        runProgram('getfattr', [
          '-n',
          'system.ntfs_attrib_be',
          '-e',
          'hex',
          join(root, '.holdfast', 'first.hfi'),
        ]).stdout.includes('0x00000007'),
        true,
      );
      writeFileSync(join(root, 'later'), 'later');
      writeFileSync(join(root, '.holdfast', 'guest'), 'guest');
    });
    t.deepEqual(volume.problems(sectorSize), []);
    volume.release('first');
    t.deepEqual(volume.problems(sectorSize), []);
    mounted((root) => {
      t.true(readFileSync(join(root, '.holdfast', 'second.hfi')).equals(more));
      rmSync(join(root, '.holdfast', 'guest'));
      rmSync(join(root, 'later'));
    });
    volume.release('second');
    t.deepEqual(volume.problems(sectorSize), []);
    mounted((root) => t.throws(() => readFileSync(join(root, '.holdfast'))));
    t.throws(() => volume.release('second'), { message: /no container named second/ });
  });
}

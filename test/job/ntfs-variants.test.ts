import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { openContent, readHead } from '../../rescue/fs/ntfs/content.ts';
import { AT_DATA, FILE_LOGFILE } from '../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../rescue/fs/ntfs/ntfs.ts';
import { NtfsVolume } from '../../rescue/fs/ntfs/volume.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { restartPage, withLog } from '../fs/ntfs/log-pages.ts';
import { fill, makeNtfs, mountNtfs, treeThroughMount, type Variant } from '../fs/ntfs/volumes.ts';
import { noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { ntfsCycle, whileMounted } from './ntfs-cycle.ts';
import { makeImage, restoreImage, verifyImage } from './requests.ts';

const VARIANTS: readonly Variant[] = [
  { name: 'clusters of 512 bytes', size: 64 * MIB, clusterSize: 512, many: 300 },
  { name: 'clusters of 4 KiB', size: 96 * MIB, many: 3000 },
  { name: 'clusters of 64 KiB', size: 256 * MIB, clusterSize: 64 * KIB, many: 60 },
  { name: 'clusters of 2 MiB', size: 640 * MIB, clusterSize: 2 * MIB, many: 30 },
  { name: 'sectors of 4096 bytes', size: 96 * MIB, sectorSize: 4096, many: 60 },
];

const cycle = async (t: ExecutionContext, variant: Variant): Promise<void> => {
  const { sectorSize } = variant;
  const file = makeNtfs(join(temporaryFolder(t), 'volume'), variant);
  whileMounted(t, { file, sectorSize }, (root) => fill(root, variant));
  await ntfsCycle(t, { file, sectorSize });
};

for (const variant of VARIANTS) test.serial(variant.name, cycle, variant);

test.serial(
  'two images: the older one is restored, the newer one kept and moved out of the way',
  async (t) => {
    const file = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 96 * MIB, clusterSize: 1024 });
    const volume = new NtfsFileVolume(file);
    const mounted = <Result>(body: (root: string) => Result): Result => {
      const mount = mountNtfs(t, file);
      const result = body(mount.path);
      mount.unmount();
      return result;
    };
    const variant = { name: 'two', size: 0, clusterSize: 1024, many: 40 };
    mounted((root) => fill(root, variant));
    const tree = mounted(treeThroughMount);
    const first = await makeImage(file, { kind: 'factory' });
    t.deepEqual(volume.problems(), []);
    mounted((root) => {
      for (const name of readdirSync(join(root, 'turns'))) rmSync(join(root, 'turns', name));
      writeFileSync(join(root, 'between'), noiseSource('between')(3 * MIB));
    });
    const second = await makeImage(file);
    t.deepEqual(volume.problems(), []);
    const restored = await restoreImage(file, { image: 'factory' });
    t.deepEqual([...restored.imagesKept].sort(), [first.image.id, second.image.id].sort());
    t.deepEqual(volume.problems(), []);
    t.deepEqual(mounted(treeThroughMount), tree);
    for (const id of [first.image.id, second.image.id])
      t.deepEqual((await verifyImage(file, { image: id })).problems, []);
    t.is(
      volume.open((device) => ntfsDriver.open(device).containers().length),
      2,
    );
  },
);

test.serial(
  'what the log of the imaged system held is not there to be redone over the claims of a restore',
  async (t) => {
    const file = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 24 * MIB });
    const volume = new NtfsFileVolume(file);
    const page = restartPage({ clean: true });
    writeFileSync(file, withLog(MemoryDevice.of(readFileSync(file)), page, page).read(0, 24 * MIB));
    const log = (): readonly string[] =>
      volume.open((device) => {
        const content = openContent(new NtfsVolume(device).file(FILE_LOGFILE), AT_DATA, '')!;
        const bytes = readHead(content, content.size);
        return [...new Set(bytes)].map((byte) => byte.toString(16));
      });
    t.true(log().length > 1);
    const { image } = await makeImage(file);
    t.deepEqual(log(), ['ff']);
    overwriteWithNoise(file, extentsOf(image.extents), 'log');
    await restoreImage(file);
    t.deepEqual(log(), ['ff']);
    t.deepEqual(volume.problems(), []);
  },
);

import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { KIB, MIB } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { fill, makeNtfs, mountNtfs, treeThroughMount, type Variant } from '../fs/ntfs/volumes.ts';
import { digestOf, noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, removeImage, restoreImage, verifyImage } from './requests.ts';

const VARIANTS: readonly Variant[] = [
  { name: 'clusters of 512 bytes', size: 64 * MIB, clusterSize: 512, many: 300 },
  { name: 'clusters of 4 KiB', size: 96 * MIB, many: 1500 },
  { name: 'clusters of 64 KiB', size: 256 * MIB, clusterSize: 64 * KIB, many: 60 },
  { name: 'sectors of 4096 bytes', size: 96 * MIB, sectorSize: 4096, many: 60 },
];

const CONTAINERS = '.holdfast';

/** The whole proof on one volume: image, noise over everything else, search, restore, an owner who goes on working, removal. */
const cycle = async (t: ExecutionContext, variant: Variant): Promise<void> => {
  const { sectorSize } = variant;
  const file = makeNtfs(join(temporaryFolder(t), 'volume'), variant);
  const volume = new NtfsFileVolume(file);
  const mounted = <Result>(body: (root: string) => Result, readOnly = false): Result => {
    const mount = mountNtfs(t, file, { sectorSize, readOnly });
    const result = body(mount.path);
    mount.unmount();
    return result;
  };
  const clean = (when: string): void => {
    t.deepEqual(volume.problems(sectorSize), [], when);
  };
  const treeNow = (): ReadonlyMap<string, string> => mounted(treeThroughMount, true);
  mounted((root) => fill(root, variant));
  clean('before');
  const tree = treeNow();
  t.true(tree.size > 100);

  const { image } = await makeImage(file);
  t.is(image.state, 'committed');
  clean('after create');
  t.deepEqual(treeNow(), tree, 'after create');
  const sealed = digestOf(file, extentsOf(image.sealedExtents));

  overwriteWithNoise(file, extentsOf(image.extents), variant.name);
  const listed = await listImages(file);
  t.is(listed.images.length, 1, 'found in the noise');
  t.like(listed.images[0], { id: image.id, state: 'committed', foundBy: 'scan', extents: image.extents });
  const restored = await restoreImage(file);
  t.true(restored.written);
  t.deepEqual(restored.imagesKept, [image.id]);
  t.is(digestOf(file, extentsOf(image.sealedExtents)), sealed);
  clean('after restore');
  t.deepEqual(treeNow(), tree, 'after restore');
  t.like((await listImages(file)).images[0], { id: image.id, state: 'committed', foundBy: 'filesystem' });

  mounted((root) => {
    const folder = join(root, 'later');
    mkdirSync(folder);
    for (let index = 0; index < 40; index += 1)
      writeFileSync(join(folder, `came later ${index}`), noiseSource(`${index}`)(index * 331));
    for (const name of readdirSync(join(root, 'many'))) rmSync(join(root, 'many', name));
    t.is(statSync(join(root, CONTAINERS)).isDirectory(), true);
  });
  clean('after the owner worked on');
  t.deepEqual((await verifyImage(file)).problems, []);
  await removeImage(file, { image: image.id });
  clean('after remove');
  mounted((root) => t.false(readdirSync(root).includes(CONTAINERS)));
};

for (const variant of VARIANTS) test.serial(variant.name, cycle, variant);

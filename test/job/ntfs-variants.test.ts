import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { complement, normalise, subtract, toExtents } from '../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { BOOT_AREA } from '../../rescue/fs/filesystem.ts';
import { openContent, readHead } from '../../rescue/fs/ntfs/content.ts';
import { AT_DATA, FILE_LOGFILE } from '../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../rescue/fs/ntfs/ntfs.ts';
import { NtfsVolume } from '../../rescue/fs/ntfs/volume.ts';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import { applyPatch } from '../../rescue/job/apply.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { type Extent, KIB, MIB } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { restartPage, withLog } from '../fs/ntfs/log-pages.ts';
import { fill, makeNtfs, mountNtfs, treeThroughMount, type Variant } from '../fs/ntfs/volumes.ts';
import { duplicate } from '../support/duplicate.ts';
import { digestOf, firstDifference, noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, NOW, removeImage, restoreImage, verifyImage } from './requests.ts';

const VARIANTS: readonly Variant[] = [
  { name: 'clusters of 512 bytes', size: 64 * MIB, clusterSize: 512, many: 300 },
  { name: 'clusters of 4 KiB', size: 96 * MIB, many: 1500 },
  { name: 'clusters of 64 KiB', size: 256 * MIB, clusterSize: 64 * KIB, many: 60 },
  { name: 'sectors of 4096 bytes', size: 96 * MIB, sectorSize: 4096, many: 60 },
];

const CONTAINERS = '.holdfast';

/** `before` with the claim's patch, computed again, is what the file holds but for the container, in free clusters, and the locator record. */
const onlyStatedChanges = (
  t: ExecutionContext,
  { file, before, image }: { readonly file: string; readonly before: string; readonly image: ImageSummary },
): void => {
  const then = new NtfsFileVolume(before);
  const { name, runs, clusterSize } = new NtfsFileVolume(file).open((device) => {
    const system = ntfsDriver.open(device);
    const [listed] = system.containers();
    return { ...listed!, clusterSize: system.geometry.clusterSize };
  });
  const container = normalise(extentsOf(image.extents));
  t.deepEqual([...subtract(container, toExtents(then.free(), clusterSize))], [], 'in free clusters');
  t.deepEqual(normalise(toExtents(runs, clusterSize)), container);
  then.open((device) => {
    const avoid = { has: (): boolean => false };
    applyPatch(
      device,
      ntfsDriver.patch(device, (editor) => ntfsDriver.claim(editor, { name, runs, time: NOW, avoid })),
    );
  });
  const { size } = statSync(file);
  const exempt = normalise([...container, ...recordPlace(file)]);
  t.is(firstDifference(before, file, complement(exempt, { start: 0, length: size })), undefined);
};

/** The sector of the locator record, if there is one. */
const recordPlace = (file: string): Extent[] =>
  new NtfsFileVolume(file).open((device) => {
    const found: Extent[] = [];
    for (let at = 0; at < BOOT_AREA; at += 512)
      if (parseLocatorRecord(device.read(at, 512)) !== undefined) found.push({ start: at, length: 512 });
    return found;
  });

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

  const before = duplicate(file, `${file}.before`);
  const { image } = await makeImage(file);
  onlyStatedChanges(t, { file, before, image });
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

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { makeDisk } from '../support/disk.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { attachLoop, mountDevice } from '../support/loop.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { populate } from '../support/populate.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences, snapshot, type Tree } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, restoreImage, verifyImage } from './requests.ts';

/** A way to name the partition: TARGET, `--partition`, and where its first byte lies as TARGET counts. */
interface Name {
  readonly target: string;
  readonly which: { readonly partition?: number };
  readonly start: number;
}

const fill = (t: ExecutionContext, node: string): Tree => {
  const mount = mountDevice(t, node);
  populate(mount.path, { size: MIB, entries: 100 });
  const tree = snapshot(mount.path);
  mount.unmount();
  return tree;
};

const sameTree = (t: ExecutionContext, node: string, tree: Tree, when: string): void => {
  t.notThrows(() => mustBeClean(e2fsckClean(node)), when);
  const mount = mountDevice(t, node, { readOnly: true });
  t.deepEqual(differences(tree, snapshot(mount.path)), [], when);
  mount.unmount();
};

const work = (t: ExecutionContext, node: string): void => {
  const mount = mountDevice(t, node);
  mkdirSync(join(mount.path, 'later'));
  for (let index = 0; index < 40; index += 1)
    writeFileSync(join(mount.path, 'later', `${index}`), `${index}`.repeat(3000));
  mount.unmount();
};

/** Image, noise over the partition (the disk around it stays), search, restore, further work, verification. */
const partitionCycle = async (t: ExecutionContext, node: string, name: Name): Promise<void> => {
  const { target, which, start } = name;
  const tree = fill(t, node);
  const { image } = await makeImage(target, which);
  t.is(image.partition.offset, start);
  sameTree(t, node, tree, 'after create');
  const inNode = (pairs: typeof image.extents) =>
    extentsOf(pairs).map((each) => ({ ...each, start: each.start - start }));
  const sealed = digestOf(node, inNode(image.sealedExtents));
  overwriteWithNoise(node, inNode(image.extents));
  const { images } = await listImages(target, which);
  t.is(images.length, 1);
  t.like(images[0], { id: image.id, state: 'committed', foundBy: 'scan', extents: image.extents });
  const restored = await restoreImage(target, which);
  t.is(restored.partitionTable, 'kept');
  t.is(digestOf(node, inNode(image.sealedExtents)), sealed);
  sameTree(t, node, tree, 'after restore');
  work(t, node);
  t.deepEqual((await verifyImage(target, which)).problems, []);
  t.like((await listImages(target, which)).images[0], { id: image.id, foundBy: 'filesystem' });
};

test.serial('a block device that holds a volume without a table', async (t) => {
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size: 48 * MIB, blockSize: 4096 });
  const { device } = attachLoop(t, file);
  await partitionCycle(t, device, { target: device, which: {}, start: 0 });
});

for (const table of ['gpt', 'mbr'] as const) {
  for (const sectorSize of [512, 4096] as const) {
    test.serial(`${table}, ${sectorSize}-byte sectors, a neighbour is mounted`, async (t) => {
      const file = join(temporaryFolder(t), 'disk');
      const [first, second] = makeDisk(t, file, {
        size: 72 * MIB,
        table,
        sectorSize,
        partitions: [{ size: 12 * MIB }, { size: 48 * MIB }],
      });
      for (const { start, size } of [first!, second!])
        makeVolume(file, { offset: start, size, blockSize: 4096 });
      const loop = attachLoop(t, file, { sectorSize, partitions: true });
      const node = loop.partition(2);
      const neighbour = mountDevice(t, loop.partition(1));
      writeFileSync(join(neighbour.path, 'in use'), 'meanwhile');
      await partitionCycle(t, node, {
        target: loop.device,
        which: { partition: 2 },
        start: second!.start,
      });
      writeFileSync(join(neighbour.path, 'still'), 'in use');
      await partitionCycleOfNode(t, node);
      neighbour.unmount();
      t.notThrows(() => mustBeClean(e2fsckClean(loop.partition(1))));
      await wholeDisk(t, loop, second!, file);
    });
  }
}

/** The partition's own node as TARGET; what the first cycle left in it is replaced. */
const partitionCycleOfNode = async (t: ExecutionContext, node: string): Promise<void> => {
  mustRun('mke2fs', ['-q', '-F', '-b', '4096', '-t', 'ext4', node]);
  await partitionCycle(t, node, { target: node, which: {}, start: 0 });
};

/** The table and both partitions are lost. */
const wholeDisk = async (
  t: ExecutionContext,
  loop: ReturnType<typeof attachLoop>,
  { start, size }: { readonly start: number; readonly size: number },
  file: string,
): Promise<void> => {
  const table = mustRun('sfdisk', ['--dump', loop.device]).stdout;
  const mount = mountDevice(t, loop.partition(2), { readOnly: true });
  const before = snapshot(mount.path);
  mount.unmount();
  const image = (await makeImage(loop.device, { partition: 2 })).image;
  mustRun('partx', ['--delete', loop.device]);
  overwriteWithNoise(loop.device, extentsOf(image.extents));
  const restored = await restoreImage(loop.device);
  t.is(restored.partitionTable, 'rebuilt');
  t.is(mustRun('sfdisk', ['--dump', loop.device]).stdout, table);
  t.notThrows(() => mustBeClean(e2fsckClean(loop.device, { offset: start })));
  const again = attachLoop(t, file, { offset: start, size });
  const after = mountDevice(t, again.device, { readOnly: true });
  t.deepEqual(differences(before, snapshot(after.path)), []);
  after.unmount();
  again.detach();
};

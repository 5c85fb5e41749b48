import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { complement, normalise, subtract, toExtents } from '../../rescue/bytes/runs.ts';
import { BOOT_AREA } from '../../rescue/fs/filesystem.ts';
import { ntfsDriver } from '../../rescue/fs/ntfs/ntfs.ts';
import { joined } from '../../rescue/fs/ntfs/runlist-encoder.ts';
import { parseLocatorRecord } from '../../rescue/image/locator-record.ts';
import { applyPatch } from '../../rescue/job/apply.ts';
import type { CreateRequest, ImageSummary } from '../../rescue/job/results.ts';
import type { Extent } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { dataByNtfscluster, mountNtfs, treeThroughMount } from '../fs/ntfs/volumes.ts';
import { duplicate } from '../support/duplicate.ts';
import { digestOf, firstDifference, noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { extentsOf } from './cycle.ts';
import { listImages, makeImage, NOW, removeImage, restoreImage, verifyImage } from './requests.ts';

const CONTAINERS = '.holdfast';

export interface NtfsStage {
  readonly file: string;
  /** Default 512. */
  readonly sectorSize?: number | undefined;
  readonly request?: Partial<CreateRequest>;
  /** Bytes that are destroyed and compared: all but the zeros of a file that is large. */
  readonly lookedAt?: number;
}

/** The mounted root, as long as `body` takes. */
export const whileMounted = <Result>(
  t: ExecutionContext,
  { file, sectorSize }: NtfsStage,
  body: (root: string) => Result,
  readOnly = false,
): Result => {
  const mount = mountNtfs(t, file, { sectorSize, readOnly });
  const result = body(mount.path);
  mount.unmount();
  return result;
};

export const ntfsMustBeClean = (t: ExecutionContext, { file, sectorSize }: NtfsStage, when: string): void => {
  t.deepEqual(new NtfsFileVolume(file).problems(sectorSize), [], when);
};

/** `before` with the claim's patch, computed again, is what the file holds but for the container, in free clusters, and the locator record. */
const onlyStatedChanges = (
  t: ExecutionContext,
  { file, lookedAt = statSync(file).size }: NtfsStage,
  { before, image }: { readonly before: string; readonly image: ImageSummary },
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
  const exempt = normalise([...container, ...recordPlace(file)]);
  t.is(firstDifference(before, file, complement(exempt, { start: 0, length: lookedAt })), undefined);
};

/** The sector of the locator record, if there is one. */
const recordPlace = (file: string): Extent[] =>
  new NtfsFileVolume(file).open((device) => {
    const found: Extent[] = [];
    for (let at = 0; at < BOOT_AREA; at += 512)
      if (parseLocatorRecord(device.read(at, 512)) !== undefined) found.push({ start: at, length: 512 });
    return found;
  });

/**
 * The container's file as ntfscluster follows its runs, in the order of its content: that in which the slots stand, or `verify` would find
 * their homes wrong.
 */
const runsMustBeOurs = (t: ExecutionContext, { file }: NtfsStage, when: string): void => {
  const [node, runs, size] = new NtfsFileVolume(file).open((device) => {
    const system = ntfsDriver.open(device);
    const [container] = system.containers();
    const entry = [...system.walk()].find(({ path }) => path === container!.paths[0]);
    return [entry!.node, joined(container!.runs), container!.size] as const;
  });
  t.deepEqual(dataByNtfscluster(file, node), runs, when);
  const { stdout } = mustRun('ntfsinfo', ['--force', '--inode', String(node), file]);
  t.regex(stdout, /File attributes:\s+READONLY HIDDEN SYSTEM \(0x0+7\)/, when);
  for (const each of ['Data', 'Allocated', 'Initialized'])
    t.regex(stdout, new RegExp(`${each} size:\\s+${size} `), when);
};

/** The whole proof on one volume: image, noise over everything else, search, restore, an owner who goes on working, removal. */
export const ntfsCycle = async (t: ExecutionContext, stage: NtfsStage): Promise<ImageSummary> => {
  const { file, sectorSize = 512 } = stage;
  const clean = (when: string): void => ntfsMustBeClean(t, stage, when);
  const treeNow = (): ReadonlyMap<string, string> => whileMounted(t, stage, treeThroughMount, true);
  clean('before');
  const tree = treeNow();

  const before = duplicate(file, `${file}.before`);
  const { image } = await makeImage(file, stage.request);
  onlyStatedChanges(t, stage, { before, image });
  rmSync(before);
  t.is(image.state, 'committed');
  clean('after create');
  t.deepEqual(treeNow(), tree, 'after create');
  // ntfscluster knows sectors of 512 bytes only.
  if (sectorSize === 512) runsMustBeOurs(t, stage, 'after create');
  const sealed = digestOf(file, extentsOf(image.sealedExtents));

  const { size } = statSync(file);
  const { lookedAt = size } = stage;
  const rest = { start: lookedAt, length: size - lookedAt };
  overwriteWithNoise(file, [...extentsOf(image.extents), rest], 'noise');
  const listed = await listImages(file);
  t.is(listed.images.length, 1, 'found in the noise');
  t.like(listed.images[0], { id: image.id, state: 'committed', foundBy: 'scan', extents: image.extents });
  const restored = await restoreImage(file);
  t.true(restored.written);
  t.deepEqual(restored.imagesKept, [image.id]);
  t.is(digestOf(file, extentsOf(image.sealedExtents)), sealed);
  clean('after restore');
  t.deepEqual(treeNow(), tree, 'after restore');
  if (sectorSize === 512) runsMustBeOurs(t, stage, 'after restore');
  t.like((await listImages(file)).images[0], { id: image.id, state: 'committed', foundBy: 'filesystem' });

  whileMounted(t, stage, workOn);
  clean('after the owner worked on');
  t.deepEqual((await verifyImage(file)).problems, []);
  await removeImage(file, { image: image.id });
  clean('after remove');
  whileMounted(t, stage, (root) => t.false(readdirSync(root).includes(CONTAINERS)));
  return image;
};

/** What an owner does on an ordinary day: goes through the big folder, and brings something new as far as there is room. */
const workOn = (root: string): void => {
  const big = join(root, 'many');
  for (const name of readdirSync(big)) rmSync(join(big, name));
  const folder = join(root, 'later');
  mkdirSync(folder);
  for (let index = 0; index < 40; index += 1)
    writeFileSync(join(folder, `came later ${index}`), noiseSource(`${index}`)(index * 331));
  if (!statSync(join(root, CONTAINERS)).isDirectory()) throw new Error('the containers are gone');
};

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { normalise } from '../../rescue/bytes/runs.ts';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { JobContext } from '../../rescue/job/context.ts';
import { MIB } from '../../rescue/units.ts';
import { populateFat } from '../fs/fat/content.ts';
import { fsckFat } from '../fs/fat/fsck.ts';
import { treeByMtools } from '../fs/fat/mtools.ts';
import { markBad, placesOf } from '../fs/fat/patching.ts';
import { makeFat } from '../fs/fat/volumes.ts';
import { mustBeClean } from '../support/judges.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { makeImage } from './power-cut/world.ts';
import { listImages, NOW, restoreImage } from './requests.ts';

test('clusters that are marked as bad are neither read for an image nor written by its restore', async (t) => {
  const file = join(temporaryFolder(t), 'volume');
  makeFat(file, { size: 40 * MIB, bits: 32, sectorsPerCluster: 1 });
  populateFat(t, file);
  const tree = treeByMtools(t, file);
  // Not the last ones: whether the volume is a part of something else is said there, and must be read.
  const marked = markBad(file, 200).slice(0, 100);
  const { data, clusterSize } = placesOf(file);
  const bad = normalise(
    marked.map((entry) => ({ start: data + (entry - 2) * clusterSize, length: clusterSize })),
  );
  const disk = MemoryDevice.of(readFileSync(file), 512);
  const worn = new FaultyDevice(disk, { badReads: bad, badWrites: bad });
  const { image, state } = await makeImage(new JobContext({ now: NOW }), worn, 'user');
  t.is(state, 'committed');

  writeFileSync(file, disk.read(0, disk.size));
  const { images } = await listImages(file);
  overwriteWithNoise(file, extentsOf(images[0]!.extents), 'bad clusters');
  const noise = digestOf(file, bad);
  const restored = await restoreImage(file);
  t.is(restored.image.id, image.id);
  t.is(digestOf(file, bad), noise);
  mustBeClean(fsckFat(t, file));
  const found = treeByMtools(t, file);
  for (const path of tree.keys()) t.deepEqual(found.get(path), tree.get(path), path);
});

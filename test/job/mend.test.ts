import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { KIB, MIB } from '../../rescue/units.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf } from './cycle.ts';
import { displace, downInPieces } from './displace.ts';
import { listImages, makeImage, restoreImage, verifyImage } from './requests.ts';
import { fillStage, type Stage, stageMustBeClean, treeOf } from './stage.ts';

const SLOT_CLUSTERS = (64 * KIB) / 4096;

const imaged = async (t: ExecutionContext, type: 'ext2' | 'ext4' = 'ext4') => {
  const size = 64 * MIB;
  const file = makeVolume(join(temporaryFolder(t), 'volume'), { size, blockSize: 4096, type });
  const stage: Stage = { file, start: 0, size };
  const tree = fillStage(t, stage, { size: MIB, entries: 60 });
  const { image } = await makeImage(file);
  return { stage, tree, image };
};

for (const { what, piece, left } of [
  { what: 'whole slots', piece: 3 * SLOT_CLUSTERS, left: 'in place' },
  { what: 'pieces that tear slots apart', piece: 7, left: 'as a copy' },
])
  test.serial(`a moved container in ${what} is put right ${left}`, async (t) => {
    const { stage, tree, image } = await imaged(t);
    displace(stage.file, downInPieces(piece));
    t.notThrows(() => stageMustBeClean(stage));
    const [moved] = (await listImages(stage.file)).images;
    t.like(moved, { id: image.id, state: 'moved', foundBy: 'filesystem' });
    const looked = await verifyImage(stage.file);
    t.true(looked.problems.some(({ code }) => code === 'slot.moved'));
    t.is(looked.repaired, undefined);
    const { problems, repaired } = await verifyImage(stage.file, { repair: true });
    t.deepEqual(problems, []);
    t.is(repaired!.length, 1, repaired!.join());
    t.notThrows(() => stageMustBeClean(stage));
    const { images } = await listImages(stage.file, { depth: 'full' });
    t.deepEqual(
      images.map(({ id, state }) => [id, state]),
      [[image.id, 'committed']],
      JSON.stringify(images),
    );
    t.true(images[0]!.generation > image.generation);
    // Found without a file system again, and good for everything.
    overwriteWithNoise(stage.file, extentsOf(images[0]!.extents));
    t.like((await listImages(stage.file)).images[0], { id: image.id, state: 'committed', foundBy: 'scan' });
    await restoreImage(stage.file);
    t.notThrows(() => stageMustBeClean(stage));
    t.deepEqual(differences(tree, treeOf(t, stage)), []);
    t.deepEqual((await verifyImage(stage.file)).problems, []);
  });

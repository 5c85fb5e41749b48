import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { type DiskOptions, makeDisk } from '../support/disk.ts';
import { mustBeClean, partitionTableSound } from '../support/judges.ts';
import { attachLoop } from '../support/loop.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf, wholeCycle } from './cycle.ts';
import { makeImage, verifyImage } from './requests.ts';
import { fillStage, type Stage, tableOf } from './stage.ts';

interface Shape extends DiskOptions {
  /** Number of the partition that is imaged. */
  readonly partition: number;
}

const SHAPES: Readonly<Record<string, Shape>> = {
  'MBR, a primary partition': {
    size: 80 * MIB,
    table: 'mbr',
    partitions: [{ size: 8 * MIB, bootable: true }, { size: 56 * MIB }, { type: '7' }],
    partition: 2,
  },
  'MBR, a logical partition': {
    size: 96 * MIB,
    table: 'mbr',
    partitions: [
      { size: 8 * MIB },
      { type: 'extended' },
      { size: 8 * MIB },
      { size: 56 * MIB },
      { size: 8 * MIB, type: '82' },
    ],
    partition: 6,
  },
  GPT: {
    size: 80 * MIB,
    table: 'gpt',
    partitions: [
      { size: 8 * MIB, name: 'before' },
      { size: 56 * MIB, name: 'kelp' },
      { size: 8 * MIB, type: 'swap' },
    ],
    partition: 2,
  },
  'GPT with a BIOS boot partition behind': {
    size: 80 * MIB,
    table: 'gpt',
    partitions: [{ size: 56 * MIB }, { size: MIB, type: '21686148-6449-6E6F-744E-656564454649' }],
    partition: 1,
  },
  'GPT, 4096-byte sectors': {
    size: 80 * MIB,
    table: 'gpt',
    sectorSize: 4096,
    partitions: [{ size: 8 * MIB }, { size: 56 * MIB }],
    partition: 2,
  },
};

const diskStage = (t: ExecutionContext, shape: Shape): Stage => {
  const file = join(temporaryFolder(t), 'disk');
  const places = makeDisk(t, file, shape);
  const { start, size } = places.find((each) => each.number === shape.partition)!;
  makeVolume(file, { offset: start, size, blockSize: 4096, label: 'kelp' });
  const { partition, sectorSize } = shape;
  return { file, start, size, partition, ...(sectorSize === undefined ? {} : { sectorSize }) };
};

for (const [name, shape] of Object.entries(SHAPES))
  test.serial(name, async (t) => {
    const stage = diskStage(t, shape);
    const tree = fillStage(t, stage, { size: MIB, entries: 100 });
    t.not(tableOf(t, stage), '');
    await wholeCycle(t, { stage, tree });
    const loop = attachLoop(t, stage.file, { sectorSize: shape.sectorSize });
    t.notThrows(() => mustBeClean(partitionTableSound(loop.device)));
  });

test('an image that is named is looked for until it is met, whatever partition shows its image first', async (t) => {
  const file = join(temporaryFolder(t), 'disk');
  const partitions = [{ size: 24 * MIB }, { size: 24 * MIB }, { size: 24 * MIB }];
  const places = makeDisk(t, file, { size: 80 * MIB, table: 'gpt', partitions });
  const made = [];
  for (const { number: partition, start, size } of places) {
    makeVolume(file, { offset: start, size });
    made.push((await makeImage(file, { partition, name: `image ${partition}` })).image);
  }
  overwriteWithNoise(
    file,
    made.flatMap(({ extents }) => extentsOf(extents)),
  );
  for (const { id, name, partition } of made) {
    for (const image of [id, id.slice(0, 8), name]) {
      const found = await verifyImage(file, { image });
      t.is(found.image.id, id);
      t.is(found.image.partition.offset, partition.offset);
    }
  }
});

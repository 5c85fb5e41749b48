import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Extent, MIB } from '../../../../rescue/units.ts';
import { type Forgery, forgeExtents, type Place } from '../../../locate/forge-extents.ts';
import { machine, put, take } from '../../../locate/planting.ts';
import { duplicate } from '../../../support/duplicate.ts';
import { makeVolume } from '../../../support/volume.ts';
import type { Scene } from './scene.ts';
import { imageOf, loseAllBut, loseBeginnings, ordinaryDisk, type Surroundings, store } from './stages.ts';

/** Whole, and valid in all that it says, but for that no file of the file system holds it. */
const forgedInFreeSpace: Scene = {
  name: 'a forged image in free space',
  stage: async (cleanup, file) => {
    ordinaryDisk(cleanup, file);
    const workshop = duplicate(file, `${file}.workshop`);
    const image = await imageOf(workshop, 'f0');
    put(file, take(workshop, image.extents));
    // A person may name one that no file holds.
    return { file, unattended: ['latest', image.id], attended: ['latest'] };
  },
};

const inVirtualMachine = (kind: 'a whole disk' | 'a bare volume', surroundings: Surroundings): Scene => ({
  name: `an image in the disk of a virtual machine, ${kind}, surroundings ${surroundings}`,
  stage: async (cleanup, file) => {
    const [place] = ordinaryDisk(cleanup, file);
    const folder = dirname(file);
    const made =
      kind === 'a whole disk'
        ? await machine(cleanup, folder, 'inner')
        : { file: makeVolume(`${file}.inner`, { size: 12 * MIB, blockSize: 1024 }), image: undefined };
    const image = made.image ?? (await imageOf(made.file, 'e1'));
    store(cleanup, file, place!, made.file);
    // A person may choose an image that lies elsewhere than where it was made, by its id, when nothing speaks against it.
    if (surroundings === 'whole')
      return { file, unattended: ['latest', image.id], attended: ['latest', image.id] };
    loseBeginnings(file, place!);
    return { file, unattended: ['latest', image.id], attended: ['latest'] };
  },
});

const twins: Scene = {
  name: 'two images of one id in one partition, surroundings lost',
  stage: async (cleanup, file) => {
    ordinaryDisk(cleanup, file);
    const workshop = duplicate(file, `${file}.workshop`);
    const image = await imageOf(file, 'f0');
    // It takes the best place, so that the other one lies lower.
    await imageOf(workshop, '0f', { kind: 'factory' });
    const other = await imageOf(workshop, 'f0');
    put(file, take(workshop, other.extents));
    loseAllBut(file, [image, other]);
    return { file, unattended: ['latest', image.id], attended: ['latest', image.id] };
  },
};

const clones: Scene = {
  name: 'two images of one id in two partitions, surroundings whole',
  stage: async (cleanup, file) => {
    const [first, second] = ordinaryDisk(cleanup, file, 2);
    const image = await imageOf(file, 'f0', { partition: 1 });
    const content = readFileSync(file).subarray(first!.start, first!.start + first!.length);
    put(file, new Map([[second!.start, content]]));
    return { file, unattended: ['latest', image.id], attended: ['latest', image.id] };
  },
};

const withForgedExtents = (
  where: string,
  { surroundings, data }: { surroundings: Surroundings; data: Forgery['data'] },
  elsewhere: (place: Place, other: readonly Extent[]) => readonly Extent[],
): Scene => ({
  name: `extents that point ${where}, surroundings ${surroundings}, data ${data}`,
  stage: async (cleanup, file) => {
    const [place] = ordinaryDisk(cleanup, file);
    const other = await imageOf(file, '0f', { kind: 'factory' });
    const image = await imageOf(file, 'f0');
    if (surroundings === 'lost') loseAllBut(file, [image, other]);
    const others = other.extents.map(([start, length]) => ({ start: start - place!.start, length }));
    forgeExtents(file, place!, image, { elsewhere: (own) => elsewhere(own, others), data });
    // Where single slots still tell all of it, a person may name it. Without them it is no image, and the other one is the latest.
    return data === 'kept'
      ? { file, unattended: ['latest', image.id], attended: ['latest'] }
      : { file, unattended: [image.id], attended: [image.id] };
  },
});

const total = (extents: readonly Extent[]): number => extents.reduce((sum, { length }) => sum + length, 0);

/** The first bytes of extents, in their order. */
const head = (extents: readonly Extent[], length: number): Extent[] => {
  let left = length;
  return extents.flatMap((extent) => {
    const taken = Math.min(left, extent.length);
    left -= taken;
    return taken === 0 ? [] : [{ start: extent.start, length: taken }];
  });
};

const forgedExtents = (around: Parameters<typeof withForgedExtents>[1]): Scene[] => [
  withForgedExtents('into themselves', around, ({ extents, slotSize }) => {
    // The second half of the slots is the first half.
    const { start } = extents[0]!;
    const half = Math.floor(total(extents) / slotSize / 2) * slotSize;
    return [
      { start, length: total(extents) - half },
      { start, length: half },
    ];
  }),
  withForgedExtents('at another container', around, ({ extents, slotSize }, others) => {
    // The first two slots stay, an anchor and a commit record, so that the image opens and is vouched for.
    const kept = head(extents, 2 * slotSize);
    const [largest] = [...others].sort((a, b) => b.length - a.length);
    return [...kept, { start: largest!.start, length: total(extents) - 2 * slotSize }];
  }),
  withForgedExtents('outside the partition', around, ({ extents, slotSize, size }) => [
    { start: extents[0]!.start, length: slotSize },
    { start: size, length: total(extents) - slotSize },
  ]),
];

/** An image like any other: asked for without a person, it comes back. Not among the scenes: it shows that one can fail. */
export const GENUINE: Scene = {
  name: 'a genuine image, surroundings lost',
  stage: async (cleanup, file) => {
    ordinaryDisk(cleanup, file);
    const image = await imageOf(file, 'f0');
    loseAllBut(file, [image]);
    return { file, unattended: ['latest'], attended: [] };
  },
};

/** Images that nobody may believe without asking a person. */
export const SCENES: readonly Scene[] = [
  forgedInFreeSpace,
  ...(['whole', 'lost'] as const).flatMap((surroundings) => [
    inVirtualMachine('a whole disk', surroundings),
    inVirtualMachine('a bare volume', surroundings),
    ...(['lost', 'kept'] as const).flatMap((data) => forgedExtents({ surroundings, data })),
  ]),
  twins,
  clones,
];

/** Throws for a name that no scene has. */
export const sceneNamed = (name: string): Scene => {
  const scene = SCENES.find((each) => each.name === name);
  if (scene === undefined) throw new Error(`${name}: there is no such scene`);
  return scene;
};

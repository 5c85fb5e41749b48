import { CountingReader } from '../device/counting.ts';
import type { ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { openFromSlot } from '../image/reader.ts';
import type { SlotHeader } from '../image/slot.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import type { Collection } from './collection.ts';
import { listThroughFileSystem, type UnusableContainer } from './filesystem.ts';
import {
  type FileSystemAt,
  type Found,
  judge,
  partitionWindow,
  resolveSiblings,
  type Surroundings,
  type Way,
} from './found.ts';
import type { Content } from './hiding.ts';
import { Reassembly } from './reassemble.ts';
import type { BackwardScan } from './scan.ts';

/** The rungs of the ladder, one by one; in which order they are climbed, and when the climb ends, `locate.ts` says. */

export interface Step {
  readonly step: Way;
  readonly found: number;
  readonly bytesRead: ByteLength;
  /** Bytes about which the step leaves nothing to be learnt. */
  readonly bytesCovered: ByteLength;
  readonly note?: string;
}

export interface LocateProgress {
  readonly covered: ByteLength;
  readonly total: ByteLength;
  readonly note?: string;
  /** What the scan has just looked at, and the slots that it met there. */
  readonly looked?: { readonly at: Extent; readonly slots: readonly ByteOffset[] };
}

/** Starts, implied by slots, at which a file system is looked for. */
const MAX_STARTS = 192;

export const isCommitted = ({ state }: Found): boolean => state === 'committed';

export const isDisplaced = ({ image }: Found): boolean =>
  image.displaced === true && image.state === 'committed';

/** Where leftovers lie, other images may lie by now. */
export const isHeld = (state: Found['state']): boolean => state !== 'stale' && state !== 'prepared';

export const shifted = (extents: readonly Extent[], by: ByteOffset): Extent[] =>
  extents.map(({ start, length }) => ({ start: start + by, length }));

/** Asks the file systems that stand. */
export const lookThroughFileSystems = (
  around: Surroundings,
  whole: Extent,
  collection: Collection,
  fileSystems: Map<ByteOffset, FileSystemAt>,
  steps: Step[],
): { readonly contents: Map<ByteOffset, Content>; readonly unusable: UnusableContainer[] } => {
  const { table } = around;
  const contents = new Map<ByteOffset, Content>();
  const device = new CountingReader(around.device);
  const end = whole.start + whole.length;
  const partitions =
    table?.valid === true && table.scheme !== 'none'
      ? table.partitions.map(({ start, size }) => ({ start, length: size }))
      : [{ start: 0, length: device.size }];
  const regions = partitions.filter((each) => each.start >= whole.start && each.start + each.length <= end);
  const notes: string[] = [];
  const unusable: UnusableContainer[] = [];
  for (const region of regions.length > 0 ? regions : [whole]) {
    const listed = listThroughFileSystem(device, region);
    collection.looked.add(region.start);
    contents.set(region.start, listed.content);
    if (listed.at !== undefined) fileSystems.set(region.start, listed.at);
    for (const image of listed.images) collection.add(judge(image, region.start, 'filesystem', around));
    notes.push(...listed.notes);
    unusable.push(...listed.unusable);
  }
  const note = notes.slice(0, 4).join('; ');
  steps.push({
    step: 'filesystem',
    found: collection.found.length,
    bytesRead: device.traffic.bytesRead,
    bytesCovered: device.traffic.bytesRead,
    ...(note === '' ? {} : { note }),
  });
  return { contents, unusable };
};

export interface NamedStep {
  readonly around: Surroundings;
  readonly fileSystems: Map<ByteOffset, FileSystemAt>;
  readonly whole: Extent;
  readonly collection: Collection;
  readonly steps: Step[];
  /** Whether the images that those found name as their siblings are wanted too. */
  readonly closure: boolean;
}

/** A step that opens images at places that were written down earlier. */
export const lookThroughNamed = (
  step: 'record' | 'aid',
  look: (device: ReadableDevice) => {
    readonly images: readonly { readonly image: Image; readonly start: ByteOffset }[];
    readonly notes: readonly string[];
  },
  { around, whole, fileSystems, collection, steps, closure }: NamedStep,
): void => {
  const device = new CountingReader(around.device);
  const before = collection.found.length;
  const { images, notes } = look(device);
  for (const { image, start } of images) {
    lookAtStart({ ...around, device }, fileSystems, image, start, collection);
    collection.add(judge(image, start, step, around));
  }
  if (closure && images.length > 0) addSiblings({ ...around, device }, whole, collection, step);
  const { bytesRead } = device.traffic;
  const note = notes.slice(0, 4).join('; ');
  steps.push({
    step,
    found: collection.found.length - before,
    bytesRead,
    bytesCovered: bytesRead,
    ...(note === '' ? {} : { note }),
  });
};

/**
 * A partition of a valid table hides no more images once one of it is known whose sibling list resolves: such lists cover
 * a partition, as a file system's folder does.
 */
export const settleNamed = (
  { device, table }: Surroundings,
  { found }: Collection,
  contents: Map<ByteOffset, Content>,
): void => {
  if (table?.valid !== true) return;
  for (const { start, size } of table.partitions) {
    const named = found.some(
      (each) =>
        each.start === start &&
        isCommitted(each) &&
        each.image.identity.partitionSize >= size &&
        resolveSiblings(device, each).complete,
    );
    if (named) contents.set(start, 'listed');
  }
};

/** Opens what the scan meets, until there is enough. */
export function* runScan(
  scan: BackwardScan,
  around: Surroundings,
  whole: Extent,
  fileSystems: Map<ByteOffset, FileSystemAt>,
  collection: Collection,
  enough: () => boolean,
): Generator<LocateProgress> {
  for (let step = scan.step(); step !== undefined; step = scan.step()) {
    let opened = false;
    for (const { position, header } of step.hits) {
      const start = position - header.home;
      const key = collection.key(header, start);
      if (start < 0) collection.noteCopy(header, position);
      if (start < 0 || collection.holds(key, header.home) || !collection.isNew(key, header)) continue;
      const image = open(around.device, start, header);
      if (image === undefined) {
        collection.miss(key, header);
        continue;
      }
      lookAtStart(around, fileSystems, image, start, collection);
      const found = judge(image, start, 'scan', around);
      collection.add(found);
      if (isHeld(found.state)) scan.markKnown(shifted(image.extents, start));
      opened = true;
    }
    if (opened && enough()) return;
    const slots = step.hits.map(({ position }) => position);
    yield { covered: scan.bytesCovered, total: whole.length, looked: { at: step.covered, slots } };
  }
}

/**
 * Where no table tells where partitions are, the slots do: whether a file system starts there, and lists the image, is part of what
 * the image is.
 */
const lookAtStart = (
  around: Surroundings,
  fileSystems: Map<ByteOffset, FileSystemAt>,
  { identity }: Image,
  start: ByteOffset,
  collection: Collection,
): void => {
  const { device } = around;
  if (collection.looked.has(start) || collection.looked.size >= MAX_STARTS || start >= device.size) return;
  collection.looked.add(start);
  const length = Math.min(identity.partitionSize, device.size - start);
  const listed = listThroughFileSystem(device, { start, length });
  if (listed.at === undefined) return;
  fileSystems.set(start, listed.at);
  for (const image of listed.images) collection.add(judge(image, start, 'filesystem', around));
};

/** A quick search ends at one image: the others, of which a later one may be the one to choose, are in its sibling list. */
export const addSiblings = (around: Surroundings, whole: Extent, collection: Collection, way: Way): void => {
  for (const each of collection.found.filter(({ state }) => state === 'committed')) {
    for (const { image, start } of resolveSiblings(around.device, each).siblings) {
      if (start >= whole.start && start < whole.start + whole.length)
        collection.add(judge(image, start, way, around));
    }
  }
};

const open = (device: ReadableDevice, start: ByteOffset, header: SlotHeader): Image | undefined => {
  try {
    return openFromSlot(partitionWindow(device, start, header.partitionSize), header);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

/** Puts together, from single slots, the images of which no anchor opened. */
export function* reassemble(
  around: Surroundings,
  whole: Extent,
  collection: Collection,
  steps: Step[],
): Generator<LocateProgress> {
  const reassembly = new Reassembly({
    device: around.device,
    within: whole,
    wanted: [...collection.unopened.values()],
    diskOffset: around.diskOffset,
  });
  for (const progress of reassembly.run())
    yield { ...progress, note: 'putting images together from single slots' };
  const before = collection.found.length;
  for (const { image, start } of reassembly.images())
    collection.add(judge(image, start, 'reassembly', around));
  const note = reassembly.failures.slice(0, 4).join('; ');
  steps.push({
    step: 'reassembly',
    found: collection.found.length - before,
    bytesRead: reassembly.bytesRead,
    bytesCovered: whole.length,
    ...(note === '' ? {} : { note }),
  });
}

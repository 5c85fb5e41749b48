import { complement, totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import { type HoldfastError, isHoldfastError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { formatImageId } from '../image/slot.ts';
import type { LiveTable } from '../partition/table.ts';
import { type ByteLength, type ByteOffset, type Extent, formatBytes } from '../units.ts';
import { type Aid, openByAid } from './aid.ts';
import { Collection } from './collection.ts';
import type { UnusableContainer } from './filesystem.ts';
import {
  type FileSystemAt,
  type Found,
  markSuperseded,
  resolveSiblings,
  type Surroundings,
} from './found.ts';
import { hidingPlaces } from './hiding.ts';
import { judgeTogether } from './impostors.ts';
import type { ReadAhead } from './read-ahead.ts';
import { openByRecords, recordStarts } from './record.ts';
import {
  addSiblings,
  isCommitted,
  isDisplaced,
  isHeld,
  type LocateProgress,
  lookThroughFileSystems,
  lookThroughNamed,
  type NamedStep,
  reassemble,
  runScan,
  type Step,
  settleNamed,
  shifted,
} from './rungs.ts';
import { BackwardScan } from './scan.ts';

export interface LocateOptions {
  readonly device: ReadableDevice;
  readonly diskOffset: ByteOffset;
  readonly table: LiveTable | undefined;
  /** Look in this part of the device only. */
  readonly within?: Extent;
  readonly depth: 'quick' | 'full';
  readonly rotational: boolean;
  /** Another thread that reads for the scan; whoever gives it closes it. */
  readonly readAhead?: ReadAhead | undefined;
  /** One certain image is looked for: quick depth does not end before it, and full depth follows if it is not met. */
  readonly wanted?: ((found: Found) => boolean) | undefined;
  /** Ends a quick scan at this image; default: the first committed one whose siblings are all there. */
  readonly accept?: (image: Image) => boolean;
  /** All images are wanted: quick depth ends early only where nothing else can hide any; default false. */
  readonly exhaustive?: boolean;
  /** Whether images of which no anchor opens are put together from single slots, which reads everything; default true. */
  readonly reassemble?: boolean;
  /** Whether full depth follows when quick depth finds nothing; default true. */
  readonly deepen?: boolean;
  /** A recovery aid that the person gave; `fault`: why what was given is none. */
  readonly aid?: Aid | { readonly fault: string };
}

export interface Located {
  /** Committed images first, later ones before earlier ones. */
  readonly images: readonly Found[];
  readonly steps: readonly Step[];
  /** Depth that was reached. */
  readonly depth: 'quick' | 'full';
  readonly bytesRead: ByteLength;
  readonly bytesCovered: ByteLength;
  /** Ids of images of which slots were met, but no anchor that opens. */
  readonly unopened: readonly string[];
  /** Why a slot that was met cannot be read: its container was made by a newer version. */
  readonly newer: HoldfastError | undefined;
  /** Containers that a file system lists and that are no image where they are. */
  readonly unusable: readonly UnusableContainer[];
}

/**
 * The ladder, a step at a time so that it can be watched and stopped: the file system's own directory, the locator record, a
 * recovery aid, the backward scan, reassembly. Record and aid only save the search: what they name is judged like any other
 * image, and the search ends with it or goes on as if the scan had met it. Quick depth ends at the first committed image whose sibling list resolves, unless all images are wanted and
 * more may hide elsewhere (`hiding.ts`); if it finds no such image at all, full depth follows. Never writes.
 */
export function* locate(options: LocateOptions): Generator<LocateProgress, Located> {
  const { device, table } = options;
  const whole = options.within ?? { start: 0, length: device.size };
  const collection = new Collection();
  const steps: Step[] = [];
  const fileSystems = new Map<ByteOffset, FileSystemAt>();
  const around: Surroundings = { device, diskOffset: options.diskOffset, table, fileSystems };
  yield { covered: 0, total: whole.length, note: 'asking the file system' };
  const { contents, unusable } = lookThroughFileSystems(around, whole, collection, fileSystems, steps);
  const { wanted = isCommitted } = options;
  const isResolved = (each: Found): boolean =>
    // What the file system lists away from home has its siblings listed beside it.
    (options.wanted === undefined && isDisplaced(each)) ||
    (wanted(each) && (!isCommitted(each) || resolveSiblings(device, each).complete));
  const accept =
    options.accept === undefined
      ? isResolved
      : (each: Found): boolean => options.accept?.(each.image) === true;
  const accepted = (): boolean => collection.found.some(accept);
  const hidden = (): Extent[] => (options.exhaustive === true ? hidingPlaces(table, whole, contents) : []);
  const isEnough = (): boolean => options.depth === 'quick' && hidden().length === 0 && accepted();
  const closure = options.accept === undefined;
  const named: NamedStep = { around, whole, fileSystems, collection, steps, closure };
  if (!isEnough()) {
    yield { covered: 0, total: whole.length, note: 'looking for a locator record' };
    const starts = recordStarts(table, whole, hidden());
    const byName = (device: ReadableDevice) => openByRecords(device, starts);
    lookThroughNamed('record', byName, named);
  }
  const { aid } = options;
  if (aid !== undefined) {
    yield { covered: 0, total: whole.length, note: 'looking where the recovery aid says' };
    const byName = (device: ReadableDevice) =>
      'fault' in aid
        ? { images: [], notes: [aid.fault] }
        : openByAid(device, aid, { diskOffset: options.diskOffset, table, within: whole });
    lookThroughNamed('aid', byName, named);
  }
  settleNamed(around, collection, contents);
  const hiding = hidden();
  let depth: 'quick' | 'full' = options.depth;
  let bytesRead = 0;
  let bytesCovered = 0;
  let newer: HoldfastError | undefined;
  if (depth === 'full' || hiding.length > 0 || !accepted()) {
    const scan = new BackwardScan({
      device,
      start: whole.start,
      end: whole.start + whole.length,
      rotational: options.rotational,
      depth,
      readAhead: options.readAhead,
    });
    const before = collection.found.length;
    for (const { image, start, state } of collection.found)
      if (isHeld(state)) scan.markKnown(shifted(image.extents, start));
    // Once there is an image to end at, only what may hide others is looked at.
    let narrowed = false;
    const enough = (): boolean => {
      if (depth === 'full' || !accepted()) return false;
      if (!narrowed) scan.markKnown(complement(hiding, whole));
      narrowed = true;
      return hiding.length === 0;
    };
    if (depth === 'quick' && hiding.length > 0) {
      enough();
      const note = `${table?.valid === true ? 'not all of this disk is known' : 'there is no partition table to trust'}: ${formatBytes(totalLength(hiding))} are sampled for more images`;
      yield { covered: 0, total: whole.length, note };
    }
    yield* runScan(scan, around, whole, fileSystems, collection, enough);
    const any =
      options.accept === undefined
        ? (each: Found) => wanted(each) || (options.wanted === undefined && isDisplaced(each))
        : accept;
    if (depth === 'quick' && options.deepen !== false && !collection.found.some(any)) {
      depth = 'full';
      scan.deepen();
      yield {
        covered: scan.bytesCovered,
        total: whole.length,
        note: 'quick depth found nothing: looking at every byte',
      };
      yield* runScan(scan, around, whole, fileSystems, collection, () => false);
    }
    if (closure) addSiblings(around, whole, collection, 'scan');
    bytesRead = scan.bytesRead;
    bytesCovered = scan.bytesCovered;
    newer = scan.damaged.find(({ error }) => isHoldfastError(error, 'unsupported'))?.error;
    steps.push({
      step: 'scan',
      found: collection.found.length - before,
      bytesRead,
      bytesCovered,
      note: scanNote(scan, depth, collection),
    });
    const needed = options.reassemble !== false && (depth === 'full' || !accepted());
    if (needed && collection.unopened.size > 0) yield* reassemble(around, whole, collection, steps);
  }
  bytesRead = steps.reduce((sum, step) => sum + step.bytesRead, 0);
  return {
    images: sorted(judgeTogether(markSuperseded(collection.found), around)),
    steps,
    depth,
    bytesRead,
    bytesCovered: Math.min(whole.length, Math.max(bytesCovered, bytesRead)),
    unopened: [...new Set([...collection.unopened.values()].map(({ imageId }) => formatImageId(imageId)))],
    newer,
    unusable,
  };
}

const scanNote = (scan: BackwardScan, depth: 'quick' | 'full', { copies }: Collection): string =>
  [
    `${depth} depth`,
    ...(scan.sequentialFrom === undefined
      ? []
      : [`read in order where strides would be below ${formatBytes(scan.sequentialFrom)}`]),
    ...[...copies].map(([id, at]) => `a copied container of image ${id} at byte ${at}`),
    ...(scan.bytesUnreadable > 0 ? [`${formatBytes(scan.bytesUnreadable)} unreadable`] : []),
  ].join(', ');

const RANK: Record<Found['state'], number> = {
  committed: 0,
  damaged: 1,
  prepared: 2,
  moved: 3,
  stale: 4,
  foreign: 5,
};

const sorted = (found: readonly Found[]): Found[] =>
  [...found].sort(
    (a, b) =>
      RANK[a.state] - RANK[b.state] ||
      a.start - b.start ||
      b.image.control.sequence - a.image.control.sequence ||
      (a.image.id < b.image.id ? -1 : 1),
  );

import { intersect, subtract, toExtents } from '../bytes/runs.ts';
import { corrupt } from '../errors.ts';
import type { AddressSpace } from '../image/control.ts';
import type { Image } from '../image/image.ts';
import { SPACE } from '../image/layout.ts';
import type { LogGap } from '../image/scanned-map.ts';
import type { ByteLength, Extent } from '../units.ts';
import type { JobContext } from './context.ts';
import { readFrames } from './frames.ts';
import type { Loss, Losses, LostExtent } from './losses.ts';
import { extentsOf, framesOf, type MappedFrame } from './mapped-frame.ts';
import { bitmapDamage } from './salvage.ts';
import type { Standing } from './standing.ts';

/** A frame's runs must lie in their address space, whatever the map says. */
export const outsideSpace = (frame: MappedFrame): boolean =>
  frame.entries.some(
    (entry) => (entry.start + entry.length) * frame.space.unit > frame.space.length || entry.length === 0,
  );

const isOfClusters = ({ id }: AddressSpace): boolean => id === SPACE.partition;

/** Where in the volume the content of a gap in the log was; only what was in use, if that is known. */
function* extentsOfGap(
  { after, before }: LogGap,
  spaces: readonly AddressSpace[],
  inUse: (() => Iterable<Extent>) | undefined,
): Generator<LostExtent> {
  for (const { id, start, length, unit, of } of spaces) {
    if (id < after.space || (before !== undefined && id > before.space)) continue;
    const first = id === after.space ? after.unit * unit : 0;
    const end = before !== undefined && id === before.space ? Math.min(before.unit * unit, length) : length;
    if (end <= first) continue;
    const whole = [{ start: start + first, length: end - first }];
    // Only the clusters' own space is in the bitmap; what lies outside them is counted from the start of the partition, over them.
    let held: Iterable<Extent> = whole;
    if (id === SPACE.partition && inUse !== undefined) held = intersect(whole, inUse());
    if (id === SPACE.outside) held = subtract(whole, spaces.filter(isOfClusters));
    for (const part of held) yield { ...part, of };
  }
}

/** Gaps for which the bitmap is read; there are so many only if most of the image is gone. */
const GAPS_LOOKED_UP = 64;

/** Reports what the gaps of a map that was read to its end may have held. */
export const lostGaps = (
  image: Pick<Image, 'gaps' | 'control' | 'inUse' | 'bitmapLost'>,
  spaces: readonly AddressSpace[],
  onLost: (loss: Loss) => void,
): void => {
  const gaps = image.gaps();
  if (gaps.length === 0) return;
  const { clusterBase, clusterSize } = image.control.geometry;
  const hasBitmap = image.bitmapLost !== true && bitmapDamage(image) === undefined;
  const known = gaps.length <= GAPS_LOOKED_UP && hasBitmap;
  const inUse = known ? () => toExtents(image.inUse(), clusterSize, clusterBase) : undefined;
  const ascending = [...spaces].sort((a, b) => a.id - b.id);
  for (const gap of gaps) {
    const reason = `nothing can be read of the log from ${gap.from} to ${gap.to}`;
    const log = { start: gap.from, length: gap.to - gap.from };
    onLost({ extents: extentsOfGap(gap, ascending, inUse), log, reason });
  }
};

const ALWAYS = (): boolean => true;

/**
 * Reads, decodes and checks every frame; reports each one that is damaged, and each part of the log from which no frame
 * can be told. Of frames that are `standing` where a restore puts them, what is stored is compared with its CRC-32, and what stands there
 * with the SHA-256, instead of decoding them. Writes nothing.
 */
export const verifyFrames = async (
  context: JobContext,
  image: Image,
  spaces: readonly AddressSpace[],
  onLost: (loss: Loss) => void,
  standing?: Standing,
): Promise<ByteLength> => {
  let checked = 0;
  const lose = (frame: MappedFrame, reason: string): void => {
    const { logOffset, recordLength } = frame.entries[0]!;
    const { of } = frame.space;
    const extents = extentsOf(frame).map((extent) => ({ ...extent, of }));
    onLost({ extents, log: { start: logOffset, length: recordLength }, reason });
  };
  context.progress('verify-image', 0, image.rawBytes);
  await readFrames(context, image, framesOf(image, spaces), { compareDigest: ALWAYS, standing }, (frames) => {
    for (const { frame, fault } of frames) {
      if (outsideSpace(frame)) lose(frame, 'the map names clusters outside the partition');
      else if (fault !== undefined) lose(frame, fault);
      checked += frame.length;
    }
    context.progress('verify-image', Math.min(checked, image.rawBytes), image.rawBytes);
  });
  lostGaps(image, spaces, onLost);
  return checked;
};

/** How much is lost, for people. */
export const countLosses = ({ count }: Losses): string =>
  count === 1 ? '1 damaged frame' : `${count} damaged frames`;

/** Throws `corrupt` (`image.frames`, `image.bitmap`) unless every frame is whole, and the bitmap. */
export const requireWhole = (lost: Losses, image: Image): void => {
  const structure = `image ${image.id.slice(0, 8)}`;
  const wayOut = 'Nothing was written. What is whole can be restored with --salvage.';
  const { first } = lost;
  if (first !== undefined) {
    throw corrupt(`the image has ${countLosses(lost)}`, {
      code: 'image.frames',
      structure,
      offset: first.start ?? 0,
      found: first.reason,
      wayOut,
    });
  }
  const damage = bitmapDamage(image);
  if (damage === undefined) return;
  throw corrupt('it cannot be read which clusters were in use', {
    code: 'image.bitmap',
    structure,
    found: damage.message,
    wayOut,
  });
};

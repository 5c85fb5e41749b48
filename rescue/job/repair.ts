import { normalise, subtract } from '../bytes/runs.ts';
import type { Device } from '../device/device.ts';
import { Guard } from '../device/guard.ts';
import { isHoldfastError, refused } from '../errors.ts';
import { appendAudit, readAudit } from '../image/audit.ts';
import { parseCommit, readCommit, writeCommit } from '../image/commit.ts';
import type { Image } from '../image/image.ts';
import { COMMIT, COMMIT_POSITION } from '../image/layout.ts';
import { freshSlot, lostAnchors, rewriteAnchor } from '../image/mend-slots.ts';
import { mutableBIndex } from '../image/sealed.ts';
import { payloadCapacity } from '../image/slot.ts';
import type { Extent } from '../units.ts';
import type { JobContext } from './context.ts';
import { committed } from './create-plan.ts';
import { refreshLocatorRecord } from './locator-record.ts';
import { mendContainer } from './mend.ts';
import { isOwnSlot } from './own-slots.ts';
import { settle, tidy } from './settle.ts';
import { bystanders, protect, protectionKey } from './siblings.ts';
import {
  asRefusal,
  type ListedContainer,
  listContainers,
  mutableExtents,
  openVolume,
  type PartitionAccess,
  refuseInconsistent,
  refuseReadOnly,
  refuseUnfit,
} from './volume.ts';

/**
 * Mends what can be mended without the data itself: places that a defragmenter changed, anchors and commit records of which there
 * are others, headers of slots that hold no data, lists of siblings, journals with nothing left to do, a missing history. Lost data is
 * lost; `verify` says so.
 */

/** Whether a container is the one with this id. */
const isOf = ({ image, displaced }: ListedContainer, id: string): boolean => (image ?? displaced)?.id === id;

/** One sentence for each thing that was mended. */
export const repairOn = async (
  context: JobContext,
  access: PartitionAccess,
  id: string,
): Promise<string[]> => {
  const guard = new Guard(access.device);
  await settle(context, guard, access);
  const { driver, fileSystem } = openVolume(guard);
  try {
    refuseUnfit(fileSystem);
    refuseInconsistent({ driver, fileSystem });
  } catch (error) {
    throw asRefusal(error, driver);
  }
  const done: string[] = [];
  const moved = listContainers(guard, fileSystem).filter((each) => each.displaced?.id === id);
  for (const container of moved) {
    const { how } = await mendContainer(context, guard, container);
    done.push(SAID[how]);
  }
  const listed = listContainers(guard, openVolume(guard).fileSystem);
  const container = listed.find((each) => isOf(each, id));
  if (container?.image === undefined) {
    if (done.length > 0) return done;
    throw refused('the file system does not list this image, so nothing of it is written', {
      code: 'not-listed',
      found: id,
      wayOut: 'Restore from it, or make a new image.',
    });
  }
  const { image } = container;
  if (image.state === 'committed') done.push(...mendSlots(context, guard, listed, image));
  tidy(guard);
  const now = listContainers(guard, openVolume(guard).fileSystem);
  refreshLocatorRecord(context, guard, committed(now), bystanders(now));
  return done;
};

const SAID = {
  'in place': 'Its slots say again where they lie.',
  'as a copy': 'It was written anew in one place, and the moved container is removed.',
  superseded: 'What a repair that was cut off had left of the moved container is removed.',
} as const;

/** Slots of a container at home that hold no data. */
const mendSlots = (
  context: JobContext,
  guard: Guard,
  listed: readonly ListedContainer[],
  image: Image,
): string[] => {
  refuseReadOnly(image);
  const others = listed.flatMap(({ image: other }) =>
    other?.state === 'committed' && other.id !== image.id ? [other] : [],
  );
  protect(guard, [...others, ...bystanders(listed, image.id).damaged]);
  return [...mendLostAnchors(guard, image), ...mendMutable(context, guard, image)];
};

/** Protects all of the image but one slot, and opens that. */
const inSlot = (guard: Guard, image: Image, index: number, body: (device: Device) => void): void => {
  const slot: Extent = { start: image.homes.homeOf(index), length: image.homes.slotSize };
  const mutable = mutableExtents(image);
  guard.protect(protectionKey(image), { sealed: subtract(normalise(image.sealed), [slot]), mutable });
  guard.withOpened([slot], (device) => {
    body(device);
    device.flush();
  });
  guard.protect(protectionKey(image), { sealed: image.sealed, mutable });
};

const mendLostAnchors = (guard: Guard, image: Image): string[] => {
  const { lost, standing } = lostAnchors(image);
  if (standing === undefined) return [];
  for (const index of lost)
    inSlot(guard, image, index, (device) => rewriteAnchor(device, image, standing, index));
  return lost.length === 0 ? [] : [`Anchors that were lost are written anew: slots ${lost.join(', ')}.`];
};

const mendMutable = (context: JobContext, guard: Guard, image: Image): string[] => {
  const { mutableHomes, journal, homes } = image;
  if (mutableHomes === undefined || journal === undefined) return [];
  const done: string[] = [];
  const capacity = payloadCapacity(homes.slotSize);
  const slots = [
    { index: 1, kind: 'mutable', logOffset: 0 } as const,
    ...journal.slots.map(
      (index, ordinal) => ({ index, kind: 'journal', logOffset: ordinal * capacity }) as const,
    ),
    { index: mutableBIndex(homes.slotCount), kind: 'mutable', logOffset: 0 } as const,
  ];
  const lost = slots.filter(({ index }) => !isOwnSlot(guard, homes.homeOf(index), image, index));
  for (const slot of lost) inSlot(guard, image, slot.index, (device) => freshSlot(device, image, slot));
  if (lost.length > 0)
    done.push(`Slots of the mutable area are written anew: ${lost.map(({ index }) => index).join(', ')}.`);
  guard.withOpened(mutableExtents(image), (device) => {
    const { imageId } = image.identity;
    const commit = readCommit(device, mutableHomes, imageId)?.commit;
    if (commit !== undefined && lostCommits(device, image) > 0) {
      writeCommit(device, mutableHomes, commit);
      done.push('The commit record is there twice again.');
    }
    if (readAudit(device, mutableHomes, imageId) === undefined) {
      appendAudit(device, mutableHomes, imageId, {
        action: 'created',
        time: commit?.time ?? context.now,
        salvaged: false,
      });
      done.push('The history begins anew with when the image was made.');
    }
  });
  return done;
};

/** How many of the two commit records are no valid ones of this image. */
export const lostCommits = (device: Pick<Device, 'read'>, { mutableHomes, identity }: Image): number =>
  (mutableHomes ?? []).filter((home) => {
    try {
      return parseCommit(device.read(home + COMMIT_POSITION, COMMIT.size), identity.imageId) === undefined;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      return true;
    }
  }).length;

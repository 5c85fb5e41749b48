import type { Found } from '../locate/found.ts';
import { proposeTable } from '../partition/propose.ts';
import { readTable } from '../partition/table.ts';
import { knownPartition } from './restore-plan.ts';
import type { ProposedTable } from './results.ts';
import { openSubject, type Subject } from './subject.ts';

/** Images of partitions of this disk, the newest first: its copy of the table is nearest to what was there last. */
const witnesses = (images: readonly Found[]): Found[] =>
  images
    .filter(({ state, start }) => state === 'committed' && start > 0)
    .sort((a, b) => b.image.control.created - a.image.control.created || a.start - b.start);

/**
 * The partition table that the images on a disk imply, where the disk has none that is valid; undefined where it has, where
 * TARGET is no disk, or where no image says anything.
 */
export const proposalFor = (subject: Subject, images: readonly Found[]): ProposedTable | undefined => {
  const best = witnesses(images);
  if (subject.table === undefined || subject.table.valid || best.length === 0) return undefined;
  // Only the images know the sector size of a disk in a file that has lost its table.
  const disk = openSubject(subject.target.path, false, best[0]!.image.identity.sectorSize);
  try {
    const known = best.map(({ image, start }) => knownPartition(image, start));
    const plan = proposeTable(disk.device, readTable(disk.device), known);
    if (plan === undefined) return undefined;
    const { after } = plan;
    return {
      scheme: after.scheme,
      diskId: after.diskId,
      sectorSize: after.sectorSize,
      reason: plan.reason,
      partitions: after.partitions.map(({ number, start, size, type, uuid, name, bootable }) => ({
        number,
        offset: start,
        size,
        type,
        uuid,
        name,
        bootable,
        images: best
          .filter((each) => each.start === start && each.image.control.partition.size <= size)
          .map(({ image }) => image.id),
      })),
      dropped: plan.dropped.map(({ source, number, name, start, size, reason }) => ({
        source,
        number,
        name,
        offset: start,
        size,
        reason,
      })),
      notes: plan.notes,
    };
  } finally {
    disk.close();
  }
};

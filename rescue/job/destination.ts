import { existsSync, realpathSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { SpanSet } from '../bytes/runs.ts';
import { CountingDevice } from '../device/counting.ts';
import type { Device } from '../device/device.ts';
import { createSparseFile } from '../device/file.ts';
import { footingOf } from '../device/footing.ts';
import { FreshDevice } from '../device/fresh.ts';
import { Guard } from '../device/guard.ts';
import { MemoryDevice } from '../device/memory.ts';
import { rereadPartitionTable } from '../device/reread.ts';
import { openTarget } from '../device/target.ts';
import { Window } from '../device/window.ts';
import { refused, usage } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { Found } from '../locate/found.ts';
import { readTable } from '../partition/table.ts';
import { type ByteLength, type ByteOffset, type Extent, formatBytes } from '../units.ts';
import type { JobContext } from './context.ts';
import { locateIn } from './locating.ts';
import { protectionKey } from './siblings.ts';
import { openSubject, type Subject } from './subject.ts';
import { mutableExtents } from './volume.ts';

/** Where a restore writes: the partition, and the disk around it if there is one. */
export interface RestorePlace {
  readonly path: string;
  /** The partition that holds the image, or would. */
  readonly inPlace: boolean;
  readonly identity: Subject['target']['identity'];
  readonly partition: Guard;
  /** The whole disk, where its table is in our care. */
  readonly disk: Guard | undefined;
  /** The same, for looking at. */
  readonly subject?: Subject;
  readonly table: Subject['table'];
  /** Where the partition starts on the disk, or on TARGET. */
  readonly start: ByteOffset;
  readonly traffic: () => { readonly bytesRead: ByteLength; readonly bytesWritten: ByteLength };
  /** Nothing was there before: no partition, no file. */
  readonly isNew: boolean;
  /** Images on another place than TARGET that go with what is there now. */
  readonly destroyed: readonly Found[];
  /** After a table was written: lets the kernel see it. Call after `close`. */
  reread(): string | undefined;
  close(): void;
}

const shifted = (extents: readonly Extent[], by: ByteOffset): Extent[] =>
  extents.map(({ start, length }) => ({ start: start + by, length }));

const keyAt = (image: Image, start: ByteOffset): string => `${protectionKey(image)}/${start}`;

/** Protects images on a device on which their partition starts at `start`. */
export const protectAt = (guard: Guard, images: readonly { image: Image; start: ByteOffset }[]): void => {
  for (const { image, start } of images) {
    guard.protect(keyAt(image, start), {
      sealed: shifted(image.sealed, start),
      mutable: shifted(mutableExtents(image), start),
    });
  }
};

/** Ends what `protectAt` began: another generation of the image is committed. */
export const giveUpAt = (guard: Guard, image: Image, start: ByteOffset): void =>
  guard.giveUp(keyAt(image, start));

const tooSmall = (path: string, needed: ByteLength, found: ByteLength) =>
  refused(`${path} is too small for the image`, {
    code: 'too-small',
    expected: `at least ${needed} bytes (${formatBytes(needed)})`,
    found: `${found} bytes (${formatBytes(found)})`,
    wayOut: 'Restore to a place at least as large as the partition was.',
  });

/**
 * Opens TARGET for restoring `chosen` in place. The partition is written through its own node where it has one, so that a
 * mounted neighbour does not matter; otherwise, and with `wholeDisk`, the whole of TARGET is opened exclusively.
 */
export const openInPlace = (
  path: string,
  chosen: Found,
  kept: readonly Found[],
  everything: readonly Found[],
  options: { readonly wholeDisk?: boolean | undefined } = {},
): RestorePlace => {
  const { sectorSize } = chosen.image.identity;
  const looking = openSubject(path, false, sectorSize);
  const { target, table } = looking;
  const size = chosen.image.control.partition.size;
  if (chosen.start + size > target.device.size) {
    looking.close();
    throw tooSmall(path, chosen.start + size, target.device.size);
  }
  const entry =
    table?.valid === true ? table.partitions.find((each) => each.start === chosen.start) : undefined;
  const node =
    entry !== undefined && target.kind === 'disk' && options.wholeDisk !== true
      ? target.nodes.find((each) => each.number === entry.number)
      : undefined;
  const inPartition = kept
    .filter((each) => each.start === chosen.start)
    .map(({ image }) => ({ image, start: 0 }));
  if (node !== undefined && entry!.size >= size) {
    const own = openTarget(node.path, { write: true });
    const device = new CountingDevice(own.device);
    // The node of a partition that has grown is longer than the image.
    const partition = new Guard(new Window(device, { start: 0, length: size }, node.path));
    protectAt(partition, inPartition);
    const close = (): void => {
      own.close();
      looking.close();
    };
    return {
      path: node.path,
      inPlace: true,
      isNew: false,
      destroyed: [],
      identity: target.identity,
      partition,
      disk: undefined,
      table,
      start: chosen.start,
      traffic: () => device.traffic,
      reread: () => undefined,
      close,
    };
  }
  looking.close();
  const subject = openSubject(path, true, sectorSize);
  const disk = new Guard(subject.device);
  protectAt(
    disk,
    everything.filter((each) => kept.includes(each) || each.start !== chosen.start),
  );
  // Beside the disk's guard, not above it: what is opened in one must not be closed by the other.
  const partition = new Guard(new Window(subject.device, { start: chosen.start, length: size }, path));
  protectAt(partition, inPartition);
  const isDisk = subject.table !== undefined && chosen.start > 0;
  return {
    path,
    inPlace: true,
    isNew: false,
    destroyed: [],
    identity: subject.target.identity,
    partition,
    disk: isDisk ? disk : undefined,
    subject,
    table: subject.table,
    start: chosen.start,
    traffic: () => subject.device.traffic,
    reread: () => {
      const { outcome, message } = rereadPartitionTable(path);
      return outcome === 'failed' ? message : undefined;
    },
    close: () => subject.close(),
  };
};

export interface ElsewhereOptions {
  /** A file that does not exist is not made. */
  readonly dryRun: boolean;
  /** Ids of images on the place that may be destroyed. */
  readonly drop: readonly string[];
  /** TARGET, where the images were found, and the images. */
  readonly subject: Pick<Subject, 'target'>;
  readonly found: readonly Found[];
  /** Container file that the image is read from. */
  readonly from?: string | undefined;
}

/** The place must not be TARGET under another name: images on TARGET are not asked about. */
const refuseSource = (path: string, range: Extent, { subject, found, from }: ElsewhereOptions): void => {
  const here = footingOf(path);
  const own = { start: here.offset + range.start, length: range.length };
  if (from !== undefined && footingOf(from).base === here.base) {
    throw refused(`${path} is the file that the image is read from`, { code: 'to-is-source' });
  }
  const there = footingOf(subject.target.path);
  if (there.base !== here.base) return;
  const lying = new SpanSet(
    found.flatMap(({ image, start }) => shifted(image.extents, there.offset + start)),
  );
  if (!lying.intersects(own)) return;
  throw refused(`${path} is where images lie that were found on ${subject.target.path}`, {
    code: 'to-holds-images',
    wayOut: 'Leave out --to, and the images survive the restore; or name another place.',
  });
};

/**
 * Opens another place to restore to. A partition or a file takes the partition as it is (a file that does not exist is made); a
 * disk with a table, or a whole block device of a disk image, takes it at its recorded place.
 */
export const openElsewhere = async (
  context: JobContext,
  path: string,
  image: Image,
  source: ElsewhereOptions,
): Promise<RestorePlace> => {
  const { offset, size } = image.control.partition;
  const { sectorSize } = image.identity;
  if (!existsSync(path)) {
    refuseSystemFolder(path);
    return source.dryRun ? imagined(path, size, sectorSize) : made(path, size, sectorSize);
  }
  const subject = openSubject(path, true, sectorSize);
  const { target } = subject;
  const asDisk = offset > 0 && (target.kind === 'disk' || subject.table?.valid === true);
  const start = asDisk ? offset : 0;
  if (start + size > target.device.size) {
    subject.close();
    throw tooSmall(path, start + size, target.device.size);
  }
  let destroyed: readonly Found[];
  try {
    refuseSource(path, { start, length: size }, source);
    destroyed = await imagesToDestroy(context, subject, { start, length: size }, source.drop);
  } catch (error) {
    subject.close();
    throw error;
  }
  const disk = new Guard(subject.device);
  return {
    path,
    inPlace: false,
    isNew: false,
    destroyed,
    identity: target.identity,
    partition: new Guard(new Window(disk, { start, length: size }, path)),
    disk: asDisk ? disk : undefined,
    subject,
    table: asDisk ? readTable(disk) : undefined,
    start,
    traffic: () => subject.device.traffic,
    reread: () => {
      const { outcome, message } = rereadPartitionTable(path);
      return outcome === 'failed' ? message : undefined;
    },
    close: () => subject.close(),
  };
};

/** Folders of the kernel's: a file there is a mistyped device, and may fill memory. Throws `usage` (`target.missing`). */
const refuseSystemFolder = (path: string): void => {
  const folder = dirname(resolve(path));
  const real = existsSync(folder) ? realpathSync(folder) : folder;
  if (!/^\/(?:dev|proc|sys)(?:\/|$)/.test(`${real}/`)) return;
  throw usage(`there is no ${path}, and no file is made there`, {
    code: 'target.missing',
    wayOut: 'Name a device that is there, or a file in another folder.',
  });
};

/**
 * The images on the place that the restore would overwrite, all of them named by `drop`. The file system there is asked and
 * the range sampled. Throws `refused` (`place-holds-images`, `drop-unmatched`).
 */
const imagesToDestroy = async (
  context: JobContext,
  subject: Subject,
  range: Extent,
  drop: readonly string[],
): Promise<readonly Found[]> => {
  const located = await locateIn(context, subject, range);
  const lying = located.images.filter(
    ({ state, image, start }) =>
      (image.state === 'committed' || image.state === 'damaged') &&
      state !== 'stale' &&
      state !== 'foreign' &&
      new SpanSet(shifted(image.extents, start)).intersects(range),
  );
  const unopened = located.unopened.filter((id) => !located.images.some(({ image }) => image.id === id));
  const ids = [...lying.map(({ image }) => image.id), ...unopened];
  for (const id of drop) refuseUnmatched(context, id, ids);
  const isDropped = (id: string): boolean => drop.some((each) => id.startsWith(each.toLowerCase()));
  const kept = ids.filter((id) => !isDropped(id));
  if (kept.length === 0) return lying;
  throw refused(`images lie on ${subject.target.path} that the restore would destroy`, {
    code: 'place-holds-images',
    found: kept.map((id) => `${id}${unopened.includes(id) ? ' (no anchor opens)' : ''}`).join(', '),
    wayOut: `Name another place, or let them be destroyed: ${kept.map((id) => `--drop ${id.slice(0, 8)}`).join(' ')}.`,
  });
};

/** Throws `refused` (`drop-unmatched`): what is to be destroyed must be named beyond doubt. */
const refuseUnmatched = (context: JobContext, drop: string, ids: readonly string[]): void => {
  const named = ids.filter((id) => drop !== '' && id.startsWith(drop.toLowerCase()));
  if (named.length === 1) return;
  if (named.length === 0 && /^[0-9a-f]{32}$/i.test(drop)) {
    context.note(`Image ${drop.slice(0, 8)}, which may be destroyed, is not there any more.`);
    return;
  }
  throw refused(`--drop ${drop} does not name exactly one image of this place`, {
    code: 'drop-unmatched',
    found: ids.join(', '),
    wayOut: 'Give the id of the image that may be destroyed, or enough of its beginning.',
  });
};

/** A new file. It goes again if nothing came to be written to it. */
const made = (path: string, size: ByteLength, sectorSize: ByteLength): RestorePlace => {
  const file = createSparseFile(path, size, { sectorSize });
  const opened = place(path, new FreshDevice(file), size);
  const close = (): void => {
    file.close();
    if (opened.traffic().bytesWritten === 0) rmSync(path, { force: true });
  };
  return { ...opened, close };
};

/** A file that a dry run does not make. Throws `usage` (`target.missing`) if there is no folder for it. */
const imagined = (path: string, size: ByteLength, sectorSize: ByteLength): RestorePlace => {
  const folder = dirname(path);
  if (!existsSync(folder)) throw usage(`${folder} does not exist`, { code: 'target.missing' });
  return place(path, new MemoryDevice(size, sectorSize, path), size);
};

const place = (path: string, below: Device, size: ByteLength): RestorePlace => {
  const device = new CountingDevice(below);
  return {
    path,
    inPlace: false,
    isNew: true,
    destroyed: [],
    identity: { size, removable: false, rotational: false, mapped: false },
    partition: new Guard(device),
    disk: undefined,
    table: undefined,
    start: 0,
    traffic: () => device.traffic,
    reread: () => undefined,
    close: () => {},
  };
};

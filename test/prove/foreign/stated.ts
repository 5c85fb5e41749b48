import { normalise, SpanSet, subtract, toExtents } from '../../../rescue/bytes/runs.ts';
import type { Device } from '../../../rescue/device/device.ts';
import { openFile } from '../../../rescue/device/file.ts';
import { ReadableWindow, Window } from '../../../rescue/device/window.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { BOOT_AREA, type FileSystem, type FileSystemDriver } from '../../../rescue/fs/filesystem.ts';
import { type Patch, PatchBuilder, stepExtents } from '../../../rescue/fs/patch.ts';
import { probeFileSystem } from '../../../rescue/fs/probe.ts';
import { parseLocatorRecord } from '../../../rescue/image/locator-record.ts';
import { applyPatch } from '../../../rescue/job/apply.ts';
import { openWith } from '../../../rescue/job/volume.ts';
import type { ByteOffset, Extent, Run } from '../../../rescue/units.ts';
import type { Subject } from './subject.ts';

/**
 * What a create, a restore and a remove may change of the owner's bytes, computed again from the volume as it was: the listing of the
 * container, and its removal. All positions are bytes of the volume.
 */

const onVolume = <Result>(
  path: string,
  { start, size }: Subject,
  body: (device: Device, driver: FileSystemDriver) => Result,
): Result => {
  const file = openFile(path, { write: true });
  try {
    const device = new Window(file, { start, length: size });
    const probed = probeFileSystem(device);
    if (!('driver' in probed)) throw new Error(`${path} holds ${probed.other}`);
    return body(device, probed.driver);
  } finally {
    file.close();
  }
};

/** How the finished volume lists the container. */
export interface Listing {
  readonly name: string;
  readonly runs: readonly Run[];
}

export const listingOf = (path: string, subject: Subject, imageId: string): Listing =>
  onVolume(path, subject, (device, driver) => {
    const name = `user-${imageId.slice(0, 12)}`;
    const listed = driver.open(device).containers();
    const found = listed.find((each) => each.name === name);
    if (found === undefined)
      throw new Error(`the volume does not list ${name}, but: ${listed.map((each) => each.name).join(', ')}`);
    return { name, runs: found.runs };
  });

/** Whether a volume that is to be examined has images already. False where it cannot be opened. */
export const listsContainers = (path: string, subject: Subject): boolean => {
  try {
    return onVolume(path, subject, (device, driver) => openWith(driver, device).containers().length > 0);
  } catch {
    return false;
  }
};

const extentsOf = ({ phases, sectorSize }: Patch): Extent[] =>
  normalise(phases.flat().flatMap((step) => [...stepExtents(step, sectorSize)]));

const applied = (
  path: string,
  subject: Subject,
  edit: (driver: FileSystemDriver, device: Device) => Patch,
): Extent[] =>
  onVolume(path, subject, (device, driver) => {
    const patch = edit(driver, device);
    applyPatch(device, patch);
    return extentsOf(patch);
  });

const nothing = { has: (): boolean => false };

/** Makes the volume list the container as `create` does. Gives where it wrote. */
export const claimAsCreate = (path: string, subject: Subject, listing: Listing, time: number): Extent[] =>
  applied(path, subject, (driver, device) =>
    driver.patch(device, (editor) => driver.claim(editor, { ...listing, time, avoid: nothing })),
  );

/** As `restore` does in its view of the image: no transaction, an empty log, the place on the disk `diskOffset` (0: no disk). */
export const claimAsRestore = (
  path: string,
  subject: Subject,
  listing: Listing,
  { time, diskOffset }: { readonly time: number; readonly diskOffset: ByteOffset },
): Extent[] =>
  applied(path, subject, (driver, device) => {
    const editor = new PatchBuilder(device);
    driver.claim(editor, { ...listing, time, avoid: new SpanSet(listing.runs) });
    driver.emptyLog(editor);
    if (diskOffset > 0) driver.moved(editor, { from: diskOffset, to: diskOffset });
    return editor.build();
  });

export const releaseAsRemove = (path: string, subject: Subject, { name }: Listing, time: number): Extent[] =>
  applied(path, subject, (driver, device) =>
    driver.patch(device, (editor) => driver.release(editor, { name, time })),
  );

/** The sector with the locator record, if there is one now; it must have been zeros before. */
export const locatorRecordPlace = (
  path: string,
  pristine: string,
  { start, size }: Subject,
): { readonly place: readonly Extent[]; readonly fault: string | undefined } => {
  const [now, then] = [openFile(path), openFile(pristine)];
  try {
    for (let at = 0; at + 512 <= Math.min(BOOT_AREA, size); at += 512) {
      if (parseLocatorRecord(now.read(start + at, 512)) === undefined) continue;
      const wasZero = then.read(start + at, 512).every((byte) => byte === 0);
      return {
        place: [{ start: at, length: 512 }],
        fault: wasZero ? undefined : `the locator record was written over something at byte ${at}`,
      };
    }
    return { place: [], fault: undefined };
  } finally {
    now.close();
    then.close();
  }
};

/** System files of NTFS, which a listing does change: $MFT, $Bitmap and the like. */
const FIRST_OF_OWNERS = 24;

/** Clusters with the content of files, folders left out: nobody has a business there. */
export const contentOfFiles = (path: string, subject: Subject): Extent[] =>
  onVolume(path, subject, (device, driver) => {
    const system = driver.open(device);
    const { clusterSize, clusterBase } = system.geometry;
    const runs: Run[] = [];
    try {
      for (const entry of system.walk()) {
        if (entry.type === 'directory') continue;
        if (driver.name === 'ntfs' && entry.node < FIRST_OF_OWNERS) continue;
        runs.push(...entry.runs());
      }
    } catch (error) {
      // An image does not take sound folders: what is found up to here is content.
      if (!isHoldfastError(error, 'corrupt')) throw error;
    }
    return [...toExtents(normalise(runs), clusterSize, clusterBase)];
  });

/** What an image leaves out on purpose: page files and the like, bad clusters, and those that the file system itself calls never written. */
export const leftOut = (path: string, { start, size }: Subject): Extent[] => {
  const device = openFile(path);
  try {
    const window = new ReadableWindow(device, { start, length: size });
    const probed = probeFileSystem(window);
    if (!('driver' in probed)) return [];
    const system: FileSystem = probed.driver.open(window);
    const { clusterSize, clusterBase } = system.geometry;
    const runs = [...system.excludes().flatMap((each) => each.runs), ...system.blank(), ...system.bad()];
    return [...toExtents(normalise(runs), clusterSize, clusterBase)];
  } finally {
    device.close();
  }
};

/** `extents` without all of `holes`. */
export const without = (extents: readonly Extent[], ...holes: readonly (readonly Extent[])[]): Extent[] => [
  ...subtract(normalise(extents), normalise(holes.flat())),
];

import type { Device, ReadableDevice } from '../device/device.ts';
import { ioError } from '../errors.ts';
import type { Patch } from '../fs/patch.ts';
import type { ByteOffset } from '../units.ts';

/** Writes a patch phase by phase, a flush after each, and reads back from the medium what must stand there at the end. */
export const applyPatch = (partition: Device, patch: Patch): void => {
  for (const phase of patch.phases) {
    for (const { offset, after } of phase) partition.write(offset, after);
    partition.flush();
  }
  for (const [offset, expected] of finalSectors(patch)) {
    const found = new Uint8Array(patch.sectorSize);
    partition.readUncachedInto(offset, found);
    if (Buffer.compare(found, expected) !== 0) {
      throw ioError('the device does not hold what was written to it', {
        code: 'read-back',
        structure: 'patched metadata',
        offset,
      });
    }
  }
};

/** Latest content of every sector that the patch changes. */
const finalSectors = (patch: Patch): Map<ByteOffset, Uint8Array> => {
  const unit = patch.sectorSize;
  const latest = new Map<ByteOffset, Uint8Array>();
  for (const { offset, after } of patch.phases.flat()) {
    for (let at = 0; at < after.length; at += unit) latest.set(offset + at, after.subarray(at, at + unit));
  }
  return latest;
};

/**
 * Whether every sector of the patch is as it was before or as one of the patch's phases leaves it: only then may the
 * patch be finished. What anybody else changed in between gives false. Scratch writes do not count.
 */
export const patchMayBeFinished = (partition: ReadableDevice, patch: Patch): boolean => {
  const unit = patch.sectorSize;
  const allowed = new Map<ByteOffset, Uint8Array[]>();
  for (const { offset, before, after, scratch } of patch.phases.flat()) {
    if (scratch === true) continue;
    for (let at = 0; at < after.length; at += unit) {
      const versions = allowed.get(offset + at) ?? [before.subarray(at, at + unit)];
      versions.push(after.subarray(at, at + unit));
      allowed.set(offset + at, versions);
    }
  }
  for (const [offset, versions] of allowed) {
    const found = partition.read(offset, unit);
    if (!versions.some((version) => Buffer.compare(version, found) === 0)) return false;
  }
  return true;
};

import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { ReadableDevice } from '../../../rescue/device/device.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { openContent } from '../../../rescue/fs/ntfs/content.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { AT_INDEX_ALLOCATION, BOOT_SECTOR, NAME_INDEX } from '../../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { isInUse } from '../../../rescue/fs/ntfs/record.ts';
import { removeUpdateSequence } from '../../../rescue/fs/ntfs/update-sequence.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { eachByteIsSurvived, readAll, untypedErrorsAreSeen } from '../hostile.ts';
import { addUpdateSequence, Damaged, smallVolume } from './damage.ts';

test('any changed byte of the boot sector is survived', (t) => {
  const positions = Array.from({ length: BOOT_SECTOR.offsetOf('bootstrap') }, (_, index) => index);
  eachByteIsSurvived(t, ntfsDriver, smallVolume(t), { positions, masks: [0x01, 0xff] });
});

/** A protected structure: where it stands, and how long it is. */
interface Structure {
  readonly offset: number;
  readonly size: number;
}

/** All records in use and all blocks of indexes. */
const structuresOf = (device: ReadableDevice): Structure[] => {
  const volume = new NtfsVolume(device);
  const found: Structure[] = [];
  for (let number = 0; number < volume.recordCount; number += 1) {
    const record = volume.record(number);
    if (!isInUse(record)) continue;
    found.push({ offset: volume.recordOffset(number), size: volume.recordSize });
    if (record.base !== undefined) continue;
    const blocks = openContent(volume.file(number), AT_INDEX_ALLOCATION, NAME_INDEX);
    for (let offset = 0; offset < (blocks?.size ?? 0); offset += 4096)
      found.push({ offset: blocks!.position(offset), size: 4096 });
  }
  return found;
};

/** Changes bytes of a structure as if whoever wrote it had meant it: under an update sequence that is right. */
const tamper = (
  device: MemoryDevice,
  { offset, size }: Structure,
  changes: readonly (readonly [number, number])[],
): MemoryDevice => {
  const changed = device.snapshot();
  const bytes = device.read(offset, size);
  removeUpdateSequence(bytes, { structure: 'structure', offset });
  for (const [at, value] of changes) bytes[at % size] = value;
  try {
    addUpdateSequence(bytes);
  } catch {
    // The update sequence itself was changed and leads out of the record: written as it is.
  }
  changed.write(offset, bytes);
  return changed;
};

/** Where headers and lengths are is where change hurts; values that are near a limit hurt most. */
const changes = fc.array(
  fc.tuple(
    fc.oneof(fc.nat(255), fc.nat(1023), fc.nat(4095)),
    fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xf0, 0xff), fc.nat(255)),
  ),
  { minLength: 1, maxLength: 3 },
);

const tamperTest = (t: ExecutionContext, clusterSize: number): void => {
  const device = smallVolume(t, clusterSize);
  t.is(readAll(ntfsDriver, device), 0);
  const structures = structuresOf(device);
  t.true(structures.length > 100);
  // System files and the first user files more often than the many that are alike.
  const some = fc.oneof(fc.constantFrom(...structures.slice(0, 40)), fc.constantFrom(...structures));
  const property = fc.property(some, changes, (structure, list) => {
    readAll(ntfsDriver, tamper(device, structure, list));
  });
  t.notThrows(() => fc.assert(property, { numRuns: 200 }));
};

for (const clusterSize of [512, 4096])
  test(
    `records and index blocks with any content end in an error or a success: ${clusterSize}`,
    tamperTest,
    clusterSize,
  );

test('a tree whose node leads back to itself ends', (t) => {
  const damaged = new Damaged(smallVolume(t));
  damaged.indexBlock('/many', (bytes, header) => {
    // The first entry gets a sub-node: block 0, which it stands in.
    const entry = header + (bytes[header]! | (bytes[header + 1]! << 8));
    bytes[entry + 12]! |= 1;
    const length = bytes[entry + 8]! | (bytes[entry + 9]! << 8);
    bytes.fill(0, entry + length - 8, entry + length);
  });
  const codes = openNtfs(damaged.device)
    .check()
    .map(({ code }) => code);
  t.true(
    codes.some((code) => code === 'ntfs.index' || code === 'ntfs.index-node'),
    codes.join(),
  );
});

test('a truncated device is an error', (t) => {
  const device = smallVolume(t);
  for (const size of [0, 100, 512, 4096, 100_000, device.size - 1024])
    t.throws(() => openNtfs(MemoryDevice.of(device.read(0, size))), { name: 'HoldfastError' }, `${size}`);
  // Without the last sector the backup is gone, but the volume is whole.
  const end = Number(openNtfs(device).geometry.recognition[1]!.start);
  const cut = openNtfs(MemoryDevice.of(device.read(0, end)));
  t.is(cut.parameters()['backupBootSector'], 'none');
  t.is(cut.geometry.size, end);
  t.deepEqual(cut.check(), []);
});

test('the harness can fail: an untyped error is no success', (t) => {
  untypedErrorsAreSeen(t, ntfsDriver, smallVolume(t));
});

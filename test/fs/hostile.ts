import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { ReadableDevice } from '../../rescue/device/device.ts';
import type { MemoryDevice } from '../../rescue/device/memory.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import type { FileSystemDriver } from '../../rescue/fs/filesystem.ts';
import { probeFileSystem } from '../../rescue/fs/probe.ts';

/** Longest that reading all of a small volume may take, damaged in any way: it takes some ms when whole. */
const PATIENCE = 5000;

const count = (items: Iterable<unknown>): number => {
  for (const _ of items);
  return 0;
};

/** Everything that reads, step by step: `attempt` runs each. What a step gives is the number of its complaints. */
export const readSteps = (
  driver: FileSystemDriver,
  device: ReadableDevice,
  attempt: (step: () => number) => void,
): void => {
  attempt(() => count([probeFileSystem(device)]));
  attempt(() => {
    const fileSystem = driver.open(device);
    const { geometry } = fileSystem;
    for (const { start, length } of [...geometry.outside, ...geometry.recognition])
      if (start < 0 || start + length > device.size) throw new RangeError('outside of the device');
    attempt(() => count(fileSystem.allocation()));
    attempt(() => count(fileSystem.blank()));
    attempt(() => count(fileSystem.bad()));
    attempt(() => count(fileSystem.reserved()));
    attempt(() => {
      for (const entry of fileSystem.walk()) attempt(() => count(entry.runs()));
      return 0;
    });
    attempt(() => count(fileSystem.excludes()));
    attempt(() => count(fileSystem.containers()));
    attempt(() => count(fileSystem.unusedBootSectors()));
    attempt(() => fileSystem.refusals().length);
    attempt(() => fileSystem.check().length);
    attempt(() => count(Object.keys(fileSystem.parameters())));
    return 0;
  });
};

/** Everything that reads. Gives how many complaints there were; only typed errors may come out. */
export const readAll = (driver: FileSystemDriver, device: ReadableDevice): number => {
  const started = performance.now();
  let complaints = 0;
  readSteps(driver, device, (read) => {
    try {
      complaints += read();
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      complaints += 1;
    }
  });
  const took = performance.now() - started;
  if (took > PATIENCE) throw new Error(`took ${took} ms`);
  return complaints;
};

/** The same disk with one byte changed, by exclusive or. */
export const withByte = (device: MemoryDevice, position: number, change: number): MemoryDevice => {
  const changed = device.snapshot();
  const [byte] = device.read(position, 1);
  changed.write(position, Uint8Array.of(byte! ^ change));
  return changed;
};

/** Each of the bytes changed by each of the masks: nothing but a complaint or a success may come of it. */
export const eachByteIsSurvived = (
  t: ExecutionContext,
  driver: FileSystemDriver,
  device: MemoryDevice,
  { positions, masks }: { readonly positions: Iterable<number>; readonly masks: readonly number[] },
): void => {
  t.is(readAll(driver, device), 0);
  for (const position of positions)
    for (const mask of masks)
      t.notThrows(() => readAll(driver, withByte(device, position, mask)), `byte ${position}`);
};

/** Up to three of the bytes changed to anything, `runs` times. */
export const changedBytesAreSurvived = (
  t: ExecutionContext,
  driver: FileSystemDriver,
  device: MemoryDevice,
  { positions, runs }: { readonly positions: readonly number[]; readonly runs: number },
): void => {
  t.is(readAll(driver, device), 0);
  t.true(positions.length > 500);
  const change = fc.tuple(fc.constantFrom(...positions), fc.integer({ min: 1, max: 255 }));
  const property = fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
    let changed = device;
    for (const [position, mask] of changes) changed = withByte(changed, position, mask);
    readAll(driver, changed);
  });
  t.notThrows(() => fc.assert(property, { numRuns: runs }));
};

/** The harness can fail: an error without a type is no success. */
export const untypedErrorsAreSeen = (
  t: ExecutionContext,
  driver: FileSystemDriver,
  device: MemoryDevice,
): void => {
  const broken = Object.create(device, {
    size: { value: device.size },
    sectorSize: { value: device.sectorSize },
    read: {
      value: () => {
        throw new TypeError('not of this program');
      },
    },
  }) as ReadableDevice;
  t.throws(() => readAll(driver, broken), { instanceOf: TypeError });
};

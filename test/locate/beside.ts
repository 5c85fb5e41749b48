import type { ReadableDevice } from '../../rescue/device/device.ts';
import { listen, ReadAhead } from '../../rescue/locate/read-ahead.ts';

/**
 * Stands for the other thread on this one. It reads what it is handed at once, or `lateBy` stretches later; by then the scan may have taken
 * it, and others may be there under the same number. `lostAfter`: stretches after which it is lost.
 */
export const beside = (device: ReadableDevice, { lateBy = 0, lostAfter = Number.POSITIVE_INFINITY } = {}) => {
  let stretches = 0;
  let bytes = 0;
  const waiting: number[] = [];
  const start = (memory: SharedArrayBuffer) => {
    const readStretch = listen(memory, (position, target) => device.readInto(position, target));
    const postMessage = (stretch: number): void => {
      stretches += 1;
      if (stretches > lostAfter) readAhead.giveUp();
      else waiting.push(stretch);
      if (stretches <= lostAfter && waiting.length > lateBy) readStretch(waiting.shift()!);
    };
    return { postMessage, terminate: () => Promise.resolve() };
  };
  const counted = (count: number): void => {
    bytes += count;
  };
  const readAhead = new ReadAhead({ start, counted });
  return { readAhead, stretches: () => stretches, bytes: () => bytes };
};

import { CountingDevice } from '../device/counting.ts';
import type { Device } from '../device/device.ts';
import { UnfinishedError } from './results.ts';

/**
 * Does `body` on a device that is watched. Before its first write an error is a refusal and goes through as it is; from then
 * on it becomes an `UnfinishedError` that says what to do `next`, unless it is one already.
 */
export const watchingWrites = async <Result>(
  device: Device,
  next: string,
  body: (watched: Device) => Promise<Result>,
): Promise<Result> => {
  const watched = new CountingDevice(device);
  try {
    return await body(watched);
  } catch (error) {
    if (error instanceof UnfinishedError || watched.traffic.writes === 0) throw error;
    throw new UnfinishedError(error as Error, next);
  }
};

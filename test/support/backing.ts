import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** The file behind a loop device, as the kernel names it; undefined if it has none. */
export const backingOf = (device: string): string | undefined => {
  try {
    return readFileSync(`/sys/block/${basename(device)}/loop/backing_file`, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
};

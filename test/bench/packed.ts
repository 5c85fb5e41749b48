import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { type Extent, MIB } from '../../rescue/units.ts';

/** Writes the extents of one file, one behind the other, into another. */
export const gather = (from: string, extents: readonly Extent[], to: string): void => {
  const source = openSync(from, 'r');
  const target = openSync(to, 'w');
  const block = new Uint8Array(4 * MIB);
  try {
    for (const { start, length } of extents)
      for (let done = 0; done < length; ) {
        const count = readSync(source, block, 0, Math.min(block.length, length - done), start + done);
        if (count === 0) throw new Error(`${from} ends at ${start + done}`);
        for (let written = 0; written < count; )
          written += writeSync(target, block, written, count - written);
        done += count;
      }
    fsyncSync(target);
  } finally {
    closeSync(source);
    closeSync(target);
  }
};

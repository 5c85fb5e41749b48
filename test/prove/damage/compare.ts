import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { coalesce, type Span } from '../../../rescue/bytes/runs.ts';
import { MIB } from '../../../rescue/units.ts';

const SECTOR = 512;

/** Sectors in which two files of the same length differ; ascending, joined. */
export const differences = (left: string, right: string): Span[] => {
  const [a, b] = [openSync(left, 'r'), openSync(right, 'r')];
  try {
    const { size } = fstatSync(a);
    if (fstatSync(b).size !== size) throw new Error(`${left} and ${right} are not of one length`);
    const [x, y] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
    const found: Span[] = [];
    for (let at = 0; at < size; at += MIB) {
      const length = readSync(a, x, 0, MIB, at);
      readSync(b, y, 0, MIB, at);
      if (x.compare(y, 0, length, 0, length) === 0) continue;
      for (let from = 0; from < length; from += SECTOR) {
        const to = Math.min(length, from + SECTOR);
        if (x.compare(y, from, to, from, to) !== 0) found.push({ start: at + from, length: to - from });
      }
    }
    return [...coalesce(found)];
  } finally {
    closeSync(a);
    closeSync(b);
  }
};

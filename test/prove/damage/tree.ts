import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB } from '../../../rescue/units.ts';
import { noiseSource } from '../../support/noise.ts';

/** What people have on their disks, some 14 MiB of it: text, pictures, many small files, a few large ones. */

const WORDS = 'invoice of the harbour for nets ropes and oil is due by the end of month'.split(' ');

/** Compressible, but not repetitive. */
const prose = (random: Uint8Array, length: number): string => {
  let text = '';
  for (let at = 0; text.length < length; at += 1)
    text += `${WORDS[random[at % random.length]! % WORDS.length]} `;
  return text.slice(0, length);
};

/** Half of it compresses: a database, a program. */
const mixed = (next: (length: number) => Buffer, length: number): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(length / 8192) }, (_, index) =>
      index % 2 === 0 ? next(8192) : Buffer.from(prose(next(997), 8192)),
    ),
  ).subarray(0, length);

/** Fills an empty folder; the same for the same seed. Names are such as every file system takes. */
export const plantTree = (root: string, seed: string): void => {
  const next = noiseSource(seed);
  const folder = (...parts: string[]): string => {
    const path = join(root, ...parts);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const upTo = (most: number): number => next(4).readUInt32LE(0) % most;
  for (let year = 0; year < 4; year += 1)
    for (let index = 0; index < 12; index += 1)
      writeFileSync(
        join(folder('documents', `year ${2020 + year}`, `quarter ${index % 4}`), `letter ${index}.txt`),
        prose(next(4093), 600 + upTo(40 * KIB)),
      );
  for (let index = 0; index < 20; index += 1)
    writeFileSync(join(folder('pictures'), `picture ${index}.jpg`), next(50 * KIB + upTo(200 * KIB)));
  for (let index = 0; index < 120; index += 1)
    writeFileSync(
      join(folder('settings', `program ${index % 5}`), `option ${index}.ini`),
      prose(next(511), upTo(3 * KIB)),
    );
  writeFileSync(join(folder('large'), 'film.bin'), next(3 * MIB));
  writeFileSync(join(folder('large'), 'journal.log'), prose(next(65521), 3 * MIB));
  writeFileSync(join(folder('large'), 'accounts.db'), mixed(next, 2 * MIB));
};

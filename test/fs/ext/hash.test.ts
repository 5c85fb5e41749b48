import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isHoldfastError } from '../../../rescue/errors.ts';
import {
  HASH_HALF_MD4,
  HASH_LEGACY,
  HASH_TEA,
  HASH_UNSIGNED,
  hashName,
} from '../../../rescue/fs/ext/hash.ts';
import { MIB } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { HASH_SEED, makeVolume } from '../../support/volume.ts';

const NAMES = [
  'a',
  'lost+found',
  '.holdfast',
  'sixteen-letters-',
  'a name that is longer than thirty-two bytes, so that two rounds are needed',
  'x'.repeat(255),
  'ünïcödé-海藻-🌊',
  'exactly-thirty-two-bytes-of-name',
];
const VERSIONS = { legacy: HASH_LEGACY, half_md4: HASH_HALF_MD4, tea: HASH_TEA };
const SEED = Buffer.from(HASH_SEED.replaceAll('-', ''), 'hex');

const judged = (folder: string, version: string, seed: string | undefined): number[] => {
  const path = makeVolume(join(folder, 'volume'), { size: 2 * MIB, type: 'ext2' });
  const options = `-h ${version}${seed === undefined ? '' : ` -s ${seed}`}`;
  const requests = NAMES.map((name) => `dx_hash ${options} "${name}"\n`).join('');
  // Names with blanks stand in quotes, in a file.
  writeFileSync(join(folder, 'requests'), requests);
  const { stdout } = mustRun('debugfs', ['-f', join(folder, 'requests'), path]);
  return [...stdout.matchAll(/is (0x[0-9a-f]+)/g)].map((match) => Number(match[1]));
};

for (const [name, plain] of Object.entries(VERSIONS)) {
  for (const unsigned of [false, true]) {
    const version = plain + (unsigned ? HASH_UNSIGNED : 0);
    // debugfs has no names for the unsigned ones, but takes numbers.
    const label = unsigned ? `HASHALG_${version}` : name;
    test(`directory hash as debugfs computes it: ${name}${unsigned ? ' unsigned' : ''}`, (t) => {
      const folder = temporaryFolder(t);
      for (const seed of [new Uint8Array(16), SEED]) {
        const expected = judged(folder, label, seed === SEED ? HASH_SEED : undefined);
        t.is(expected.length, NAMES.length);
        t.deepEqual(
          NAMES.map((each) => hashName(Buffer.from(each), { version, seed })),
          expected,
        );
      }
    });
  }
}

test('an unknown hash version is said to be unknown', (t) => {
  const error = t.throws(() => hashName(Buffer.from('a'), { version: 6, seed: SEED }));
  t.true(isHoldfastError(error, 'unsupported'));
});

import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import { temporaryFolder } from '../support/temporary.ts';
import type { Outcome } from './part.ts';
import { prove } from './runner.ts';
import { compareByPrograms, compareFolders } from './scale/compare.ts';
import { scale } from './scale/scale.ts';

test.serial('a terabyte with some thousand files comes back within the memory', async (t) => {
  const proof = await prove(scale, { depth: 'sample', seed: 1, jobs: 1 });
  t.deepEqual(proof.failures, []);
});

test('the comparison sees one wrong byte, a file that is new and one that is missing', async (t) => {
  const folder = temporaryFolder(t);
  for (const name of ['a', 'b']) {
    mkdirSync(join(folder, name, 'deep'), { recursive: true });
    for (const file of ['one', 'deep/two']) {
      writeFileSync(join(folder, name, file), 'content');
      utimesSync(join(folder, name, file), 1, 1);
    }
  }
  const compare = () =>
    compareFolders(join(folder, 'a'), join(folder, 'b'), { ignore: ['left out'], inodes: false });
  writeFileSync(join(folder, 'b', 'left out'), '');
  t.deepEqual(compare(), { files: 2, differences: [] });
  writeFileSync(join(folder, 'b/deep/two'), 'contenT');
  utimesSync(join(folder, 'b/deep/two'), 1, 1);
  t.deepEqual(compare().differences, ['deep/two: its content differs']);
  writeFileSync(join(folder, 'a/lost'), '');
  writeFileSync(join(folder, 'b/found'), '');
  const differences = ['deep/two: its content differs', 'found is new', 'lost is missing'];
  t.deepEqual(compare().differences, differences);
  const options = { ignore: ['left out'], inodes: false };
  const words = { programs: 3, timeout: 120_000 };
  const shared = await compareByPrograms(join(folder, 'a'), join(folder, 'b'), options, words);
  t.deepEqual({ ...shared, differences: shared.differences.toSorted() }, { files: 2, differences });
  await t.throwsAsync(() => compareByPrograms(join(folder, 'a'), join(folder, 'c'), options, words), {
    message: /ENOENT/,
  });
});

test('too much memory, and too much time for each gigabyte, miss their figures', (t) => {
  const side = (seconds: number, peak: number) => {
    const taken = [{ seconds, cpu: 1, peak }];
    return {
      used: 1024 * MIB,
      stored: MIB,
      compared: 1,
      taken: { create: taken, list: taken, verify: taken, restore: taken },
    };
  };
  const outcome: Outcome = {
    piece: { name: 'volume', work: null },
    result: {
      counts: { files: 1 },
      faults: [],
      detail: { files: 1, small: side(1, MIB), large: side(1.31, 256 * MIB + 1) },
    },
    seconds: 1,
  };
  const { figures } = scale.report([outcome], () => 1, 'full');
  const missed = figures.filter(({ value, most = Number.POSITIVE_INFINITY }) => value > most);
  t.deepEqual(
    missed.map(({ value }) => value),
    [257, 1.31, 1.31, 1.31],
  );
});

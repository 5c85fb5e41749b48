import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import type { Judgements } from './judgement.ts';
import { CannotStart, chooseSizes, requireMachine, USUAL_DATA } from './machine.ts';
import { allHold, type Outcome, reportLines } from './report.ts';

const GOOD = { holds: true, seen: 'as it was' };
const JUDGEMENTS: Judgements = {
  soundWithImage: GOOD,
  destroyed: GOOD,
  table: GOOD,
  boot: GOOD,
  clean: GOOD,
  files: GOOD,
  imageFound: GOOD,
  sealed: GOOD,
};
const outcome = (judgements: Judgements): Outcome => ({
  judgements,
  diskBytes: 984 * MIB,
  files: 12345,
  contentBytes: 378 * MIB,
  destroyedBytes: 816 * MIB,
  imageBytes: 168 * MIB,
  sealedBytes: 167 * MIB,
  usedBytes: 444 * MIB,
  seconds: { create: 12.3, list: 1.2, restore: 65 },
});

test('the report of a success says so, in 80 columns', (t) => {
  const text = reportLines(outcome(JUDGEMENTS)).join('\n');
  t.true(allHold(JUDGEMENTS));
  t.regex(text, /^Everything came back\.$/m);
  t.notRegex(text, /FAILED|NO /);
  for (const line of text.split('\n')) t.true(line.length <= 80, line);
});

for (const name of Object.keys(JUDGEMENTS) as (keyof Judgements)[]) {
  test(`a report is a failure as soon as one check fails: ${name}`, (t) => {
    const judgements = { ...JUDGEMENTS, [name]: { holds: false, seen: 'something else\nand more' } };
    t.false(allHold(judgements));
    const text = reportLines(outcome(judgements)).join('\n');
    t.regex(text, /^FAILED: 1 check of 8 did not pass\.$/m);
    t.notRegex(text, /Everything came back/);
    t.is(text.match(/^ {2}NO /gm)?.length, 1);
    t.is(text.match(/^ {2}yes /gm)?.length, 7);
    t.regex(text, /\| something else\n +\| and more/);
  });
}

test('the disk is as big as there is room for, and never too small to be worth it', (t) => {
  const usual = chooseSizes(USUAL_DATA, 1024 * 1024 * MIB);
  t.is(usual.data, USUAL_DATA);
  for (const free of [250 * MIB, 400 * MIB, 800 * MIB]) {
    const { data, disk } = chooseSizes(USUAL_DATA, free);
    t.true(data < USUAL_DATA);
    t.true(disk > 2 * data);
    t.true(disk + 128 * MIB <= free, `${disk} of ${free}`);
    t.is(disk % MIB, 0);
  }
  const error = t.throws(() => chooseSizes(USUAL_DATA, 100 * MIB, '/somewhere'), { instanceOf: CannotStart });
  t.regex(error.message, /Only 100 MiB are free in \/somewhere.*TMPDIR/);
});

test('whoever is not root is told what to do', (t) => {
  const error = t.throws(() => requireMachine(1000), { instanceOf: CannotStart });
  t.regex(error.message, /as root/);
});

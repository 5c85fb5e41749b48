import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { openFat } from '../../../rescue/fs/fat/filesystem.ts';
import { PROBLEMS } from '../../../rescue/fs/fat/problems.ts';
import { mustBeClean } from '../../support/judges.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { BAD, DAMAGES, HARMLESS, locate, put16, setFirst, soundVolume, TYPES } from './damages.ts';
import { fsckFat } from './fsck.ts';
import { setFatEntry } from './patching.ts';

for (const options of TYPES)
  test(`damage is named, and fsck.fat sees it too: FAT${options.bits}`, (t) => {
    const sound = soundVolume(t, options);
    mustBeClean(fsckFat(t, sound));
    const copy = join(temporaryFolder(t), 'copy');
    for (const { name, codes, apply, silent } of [...DAMAGES, ...HARMLESS]) {
      copyFileSync(sound, copy);
      apply(locate(copy));
      const device = openFile(copy);
      const problems = openFat(device).check();
      device.close();
      t.deepEqual(
        problems.map(({ code }) => code),
        codes,
        `${name}: ${JSON.stringify(problems)}`,
      );
      for (const { message, where, wayOut } of problems) {
        t.regex(where, /byte position 0x|FAT/, name);
        t.true(message.length > where.length && wayOut !== undefined, name);
      }
      if (codes.length > 0 && silent === undefined)
        t.false(fsckFat(t, copy).clean, `${name}: fsck.fat finds nothing`);
    }
  });

test('every problem has a test', (t) => {
  const tested = new Set(DAMAGES.flatMap(({ codes }) => codes));
  t.deepEqual(
    Object.keys(PROBLEMS).filter((code) => !tested.has(code)),
    [],
  );
});

test('no more problems are looked for than are asked for', (t) => {
  const path = soundVolume(t, TYPES[1]);
  const { folder, fileA, fileB } = locate(path);
  for (const entry of [folder, fileA, fileB]) setFirst(path, entry, 1);
  const device = openFile(path);
  t.teardown(() => device.close());
  t.is(openFat(device).check().length, 3);
  t.is(openFat(device).check(2).length, 2);
});

test('a FAT that is not in use may hold anything', (t) => {
  const path = soundVolume(t, TYPES[2]);
  // BPB_ExtFlags: only FAT 0 counts.
  put16(path, 40, 0x80);
  setFatEntry(path, 5, BAD, { tables: [1] });
  const device = openFile(path);
  t.teardown(() => device.close());
  t.deepEqual(openFat(device).check(), []);
});

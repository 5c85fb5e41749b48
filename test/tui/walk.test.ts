import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { listImages, makeImage } from '../job/requests.ts';
import { fillStage, type Stage, stageMustBeClean, tableOf, treeOf, workOn } from '../job/stage.ts';
import { attachLoop } from '../support/loop.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences } from '../support/tree.ts';
import { makeFile, makeVolume } from '../support/volume.ts';
import { Terminal } from './terminal.ts';

/** The program itself, with real jobs in their threads, on a real disk in a file. */

const MAIN = join(import.meta.dirname, '../../rescue/main.ts');

const PLACE = { start: 3 * MIB, size: 240 * MIB };

const makeStage = (t: ExecutionContext): Stage => {
  const file = makeFile(join(temporaryFolder(t), 'disk'), 256 * MIB);
  mustRun('sfdisk', [file], {
    input: 'label: gpt\nstart=1MiB, size=2MiB, name=other\nstart=3MiB, size=240MiB, name=root\n',
  });
  makeVolume(file, { size: PLACE.size, offset: PLACE.start, label: 'root' });
  return { file, ...PLACE, partition: 2 };
};

const open = async (
  t: ExecutionContext,
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Terminal> => {
  const terminal = new Terminal(t, { columns: 80, rows: 24, command: [process.execPath, MAIN, 'tui'], env });
  await terminal.until(/Which disk/);
  await terminal.keys('o');
  await terminal.until(/Path of a file/);
  terminal.type(file);
  await terminal.keys('Enter');
  return terminal;
};

/** From the list of images, or from a job that is run again, to the end of the plan. */
const toPlan = async (terminal: Terminal): Promise<void> => {
  // The plan may be longer than the screen: Enter reads on to its end.
  for (;;) {
    const text = await terminal.until(/Enter {2}(Read on|Go on to confirm)/);
    if (text.includes('Go on to confirm')) return;
    await terminal.keys('Enter');
  }
};

const agree = async (terminal: Terminal, name: string): Promise<void> => {
  await terminal.keys('Enter');
  await terminal.until(/The last question/);
  terminal.type(name);
  await terminal.until(/right/);
  await terminal.keys('Enter');
  await terminal.until(/> Restore now </);
  await terminal.keys('Enter');
};

test.serial('from a wrecked disk to a whole one', async (t) => {
  const stage = makeStage(t);
  const tree = fillStage(t, stage);
  const table = tableOf(t, stage);
  const { image } = await makeImage(stage.file, { partition: 2, name: 'before' });
  const extents = (pairs: typeof image.extents) => pairs.map(([start, length]) => ({ start, length }));
  const sealed = digestOf(stage.file, extents(image.sealedExtents));
  overwriteWithNoise(stage.file, extents(image.extents), 'walk');

  const terminal = await open(t, stage.file);
  await terminal.until(/1 image found/);
  await terminal.keys('Enter');
  await toPlan(terminal);
  // Nothing was written for looking and planning.
  t.is(tableOf(t, stage), '');
  await agree(terminal, 'disk');
  const result = await terminal.until(/The partition is back/);
  t.regex(result, /partition table was rebuilt/);
  t.regex(result, /read back from the disk: it is the same/);
  t.true(result.includes(image.id), 'the command for a shell');

  t.notThrows(() => stageMustBeClean(stage));
  t.is(tableOf(t, stage), table);
  t.is(digestOf(stage.file, extents(image.sealedExtents)), sealed);
  t.deepEqual(differences(tree, treeOf(t, stage)), []);
  await terminal.keys('q');
  t.is(await terminal.ended(), 0);
});

test.serial(
  'a factory and two user images: the one that is chosen comes back, the others stay',
  async (t) => {
    const stage = makeStage(t);
    const { file } = stage;
    const asDelivered = fillStage(t, stage);
    const factory = (await makeImage(file, { partition: 2, kind: 'factory', name: 'as delivered' })).image;
    workOn(t, stage);
    const older = (await makeImage(file, { partition: 2, name: 'older' })).image;
    const asOlder = treeOf(t, stage);
    const newer = (await makeImage(file, { partition: 2, name: 'newer', keepOld: true })).image;
    const all = [factory, older, newer];
    const extents = all.flatMap((image) => image.extents.map(([start, length]) => ({ start, length })));
    overwriteWithNoise(file, extents, 'several');

    for (const [name, words, tree] of [
      ['older', /partition table was rebuilt/, asOlder],
      ['as delivered', /partition table was kept/, asDelivered],
    ] as const) {
      const terminal = await open(t, file);
      await terminal.until(/3 images found/);
      for (let step = 0; step < 3; step += 1) {
        if (new RegExp(`► ${name} `).test(terminal.text())) break;
        const before = terminal.text();
        await terminal.keys('Down');
        await terminal.until((text) => text !== before);
      }
      await terminal.until(new RegExp(`► ${name} `));
      await terminal.keys('Enter');
      await toPlan(terminal);
      await agree(terminal, 'disk');
      t.regex(await terminal.until(/The partition is back/), words);
      t.notThrows(() => stageMustBeClean(stage));
      t.deepEqual(differences(tree, treeOf(t, stage)), [], name);
      await terminal.keys('q');
      t.is(await terminal.ended(), 0);
    }
    const { images } = await listImages(file);
    t.deepEqual(images.map(({ name, state }) => `${name}: ${state}`).sort(), [
      'as delivered: committed',
      'newer: committed',
      'older: committed',
    ]);
  },
);

/** Agrees, and stops as soon as it writes. The superblock comes last: stopped anywhere before the end, it is unfinished. */
const agreeAndStop = async (terminal: Terminal): Promise<void> => {
  await toPlan(terminal);
  await agree(terminal, 'disk');
  await terminal.until(/Bringing the partition back|Reading back what was written/);
  await terminal.keys('C-c', 'Tab', 'Enter');
  await terminal.until(/Stopped, because you asked for it/);
};

test.serial('stopped in mid-restore: said so, not mountable, and the same again ends it', async (t) => {
  const stage = makeStage(t);
  const tree = fillStage(t, stage, { size: 120 * MIB });
  const { image } = await makeImage(stage.file, { partition: 2 });
  overwriteWithNoise(
    stage.file,
    image.extents.map(([start, length]) => ({ start, length })),
    'stop',
  );
  const terminal = await open(t, stage.file);
  await terminal.until(/1 image found/);
  await terminal.keys('Enter');
  await agreeAndStop(terminal);
  await terminal.until(/What to do next/);
  t.throws(() => stageMustBeClean(stage), undefined, 'it is not a whole file system');
  await terminal.keys('a');
  await toPlan(terminal);
  await agree(terminal, 'disk');
  await terminal.until(/The partition is back/);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(differences(tree, treeOf(t, stage)), []);
});

test.serial('create, verify and remove on a volume in a file', async (t) => {
  const file = join(temporaryFolder(t), 'volume');
  makeVolume(file, { size: 64 * MIB });
  const stage = { file, start: 0, size: 64 * MIB };
  const tree = fillStage(t, stage);
  await makeImage(file, { name: 'made before' });
  const terminal = await open(t, file);
  await terminal.until(/1 image found/);
  await terminal.keys('v');
  await terminal.until(/The image is whole/);
  await terminal.keys('Escape');
  await terminal.until(/made before/);
  await terminal.keys('x');
  await terminal.until(/it cannot be brought back[\s\S]*Go on to confirm/);
  await terminal.keys('Enter');
  await terminal.until(/The last question/);
  terminal.type('volume');
  await terminal.keys('Enter', 'Enter');
  await terminal.until(/The image is removed/);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(differences(tree, treeOf(t, stage)), []);
});

test.serial('create on a disk of the list', async (t) => {
  const stage = makeStage(t);
  const tree = fillStage(t, stage);
  const { device, detach } = attachLoop(t, stage.file);
  const terminal = new Terminal(t, { columns: 80, rows: 24, command: [process.execPath, MAIN, 'tui'] });
  // Other people's disks are in the list too, and come and go: `o` is for the path, the list for what is chosen here.
  const chosen = new RegExp(`► ${device} `);
  await terminal.until(/► \/dev/);
  for (let step = 0; step < 64 && !chosen.test(terminal.text()); step += 1) {
    const before = terminal.text();
    await terminal.keys('Down');
    await terminal.until((text) => text !== before || chosen.test(text));
  }
  await terminal.keys('c');
  await terminal.until(/kept inside that partition/);
  // The first partition of this disk is empty: the form begins with the one that can hold an image.
  await terminal.until(/ext4 "root"/);
  await terminal.keys('Down');
  terminal.type('by hand');
  await terminal.until(/by hand/);
  await terminal.keys('Tab', 'Tab', 'Tab', 'Tab', 'Enter');
  await terminal.until(/Plan: create/);
  await terminal.keys('Enter');
  const result = await terminal.until(/The image is made/);
  t.true(result.includes(`holdfast create ${device} --partition 2 --name 'by hand'`));
  await terminal.keys('q');
  t.is(await terminal.ended(), 0);
  detach();
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(differences(tree, treeOf(t, stage)), []);
  const { images } = await listImages(stage.file);
  t.deepEqual(
    images.map(({ name, state }) => [name, state]),
    [['by hand', 'committed']],
  );
});

test.serial('what is no target is refused with its reason', async (t) => {
  const terminal = await open(t, '/no/such/path');
  await terminal.until(/Nothing was written/);
  t.regex(terminal.text(), /\/no\/such\/path/);
});

test.serial('a dumb terminal is asked questions', async (t) => {
  const terminal = new Terminal(t, {
    columns: 80,
    rows: 24,
    command: [process.execPath, MAIN, 'tui'],
    env: { TERM: 'dumb' },
  });
  await terminal.until(/questions and answers/);
  await terminal.until(/Which disk|No disk was found/);
  await terminal.keys('q', 'Enter');
  t.is(await terminal.ended(), 0);
});

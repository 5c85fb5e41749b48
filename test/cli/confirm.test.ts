import test from 'ava';
import { run } from '../../rescue/cli/run.ts';
import { refused, usage } from '../../rescue/errors.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import type { Partition } from '../../rescue/partition/model.ts';
import type { TablePlan } from '../../rescue/partition/plan.ts';
import type { LiveTable } from '../../rescue/partition/table.ts';
import { GIB, MIB } from '../../rescue/units.ts';
import { ID, IMAGE, INTENT, makeWorld, STATS, say } from './world.ts';

const RESTORE = ['restore', '/dev/sda2'];

test('the plan is shown, and the device name must be typed', async (t) => {
  const { exit, stdout, stderr } = await say(RESTORE, { terminal: true, answer: 'sda2' });
  t.is(exit, 0);
  for (const part of [
    'Kelp SSD',
    'serial K-77',
    '40.0 GiB',
    'label "root"',
    '/dev/sda2',
    '3f2a91c4 "before update"',
  ])
    t.true(stderr.includes(part), part);
  t.regex(stderr, /Will be written:\n {2}- 12\.0 GiB of data\n/);
  t.regex(stderr, /Will be kept:\n {2}- image 3f2a91c4\n/);
  t.regex(stderr, /WILL BE LOST:\n {2}- everything on/);
  t.regex(stderr, /Type sda2 to go on; anything else stops here: $/);
  t.regex(stdout, /^Partition 2 of \/dev\/sda2 \(label "root"\) is restored from the user image 3f2a91c4/);
});

for (const answer of ['sda', 'yes', 'SDA2', '', 'sda2 sda2', null]) {
  test(`declined: ${JSON.stringify(answer)}`, async (t) => {
    for (const argv of [RESTORE, ['remove', '/dev/sda2', '--image', 'latest']]) {
      const { exit, stdout, stderr } = await say(argv, { terminal: true, answer });
      t.is(exit, 4);
      t.is(stdout, '');
      t.regex(stderr, /holdfast: not confirmed, expected sda2, found /);
      t.regex(stderr, /Nothing was written\.\n$/);
    }
  });
}

test('what was typed before the question is no answer to it', async (t) => {
  const { surroundings, stdin, stderr } = makeWorld({ terminal: true });
  const raw: boolean[] = [];
  Object.assign(stdin, { setRawMode: (on: boolean) => raw.push(on) });
  stdin.write('sda2\n');
  stderr.on('said', (text: string) => {
    if (text.endsWith('stops here: ')) stdin.write('no\n');
  });
  t.is(await run(RESTORE, surroundings), 4);
  t.regex(stderr.text, /not confirmed, expected sda2, found no\n/);
  t.deepEqual(raw, [true, false]);
  const ended = makeWorld({ terminal: true });
  ended.stdin.end('sda2\n');
  t.is(await run(RESTORE, ended.surroundings), 4);
  const stopped = makeWorld({ terminal: true });
  stopped.stdin.write('\x03');
  t.is(await run(RESTORE, stopped.surroundings), 130);
  t.regex(stopped.stderr.text, /stopped on request\nNothing was written\.\n$/);
});

test('after a removal the same again names the image that is gone, whatever SEL meant', async (t) => {
  const argv = ['remove', '/dev/sda2', '--image', 'latest', '--yes'];
  t.regex((await say(argv)).stdout, new RegExp(`holdfast remove /dev/sda2 --image ${ID} --yes\n$`));
  t.regex(JSON.parse((await say([...argv, '--json'])).stdout).command, new RegExp(`--image ${ID}`));
});

test('blanks around the answer do not matter', async (t) => {
  t.is((await say(RESTORE, { terminal: true, answer: ' sda2 ' })).exit, 0);
});

test('--yes shows the plan and does not ask', async (t) => {
  const { exit, stderr } = await say([...RESTORE, '--yes']);
  t.is(exit, 0);
  t.regex(stderr, /WILL BE LOST/);
  t.notRegex(stderr, /Type /);
});

test('without a terminal it is refused before anything is looked at', async (t) => {
  for (const argv of [RESTORE, ['remove', '/dev/sda2', '--image', 'latest']]) {
    const { exit, stderr, requests } = await say(argv);
    t.is(exit, 4);
    t.regex(stderr, /no terminal to ask on\. .*--yes/);
    t.deepEqual(requests, []);
  }
  const wrongPath = () => {
    throw usage('/dev/sda2 does not exist', { code: 'target.missing' });
  };
  t.is((await say(RESTORE, { checkTarget: wrongPath })).exit, 2, 'a wrong path is called that');
});

test('create, list, info and verify ask nothing, with or without a terminal', async (t) => {
  for (const command of ['create', 'list', 'info', 'verify'])
    for (const terminal of [false, true]) t.is((await say([command, 'd'], { terminal })).exit, 0);
});

test('create asks nothing, but says what goes', async (t) => {
  const jobs: Partial<Jobs> = {
    create: async ({ target, confirm }) => {
      const agreed = await confirm?.({ ...INTENT, action: 'create', loses: ['image 77aa'] });
      if (!agreed) throw refused('declined', { code: 'unconfirmed' });
      return { target, image: IMAGE, stats: STATS, replaced: [ID], written: true };
    },
  };
  const { exit, stdout, stderr } = await say(['create', 'd'], { jobs });
  t.is(exit, 0);
  t.is(stderr, 'image 77aa\n');
  t.regex(stdout, /It replaces 3f2a91c4, which was removed\./);
});

test('--dry-run asks nothing and shows the plan as the result', async (t) => {
  const text = await say([...RESTORE, '--dry-run']);
  t.is(text.exit, 0);
  t.is(text.stderr, '');
  t.regex(text.stdout, /^Plan: restore\n[\s\S]*WILL BE LOST:[\s\S]*\nNothing was written\.\n/);
  t.notRegex(text.stdout, /is restored/);
  const json = await say([...RESTORE, '--dry-run', '--json']);
  const { plan, written } = JSON.parse(json.stdout);
  t.false(written);
  t.deepEqual(plan.loses, INTENT.loses);
});

test('with --json the question is still asked, on standard error', async (t) => {
  const { exit, stdout, stderr } = await say([...RESTORE, '--json'], { terminal: true, answer: 'sda2' });
  t.is(exit, 0);
  t.regex(stderr, /Type sda2/);
  t.is(JSON.parse(stdout).partitionTable, 'rebuilt');
});

const partition = (number: number, start: number, size: number, name: string): Partition => ({
  number,
  start,
  size,
  type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  uuid: `uuid-${number}-${start}`,
  name,
  bootable: false,
  attributes: '0000000000000000',
  logical: false,
});

const table = (partitions: readonly Partition[]): LiveTable => ({
  scheme: 'gpt',
  valid: true,
  sectorSize: 512,
  diskSize: 100 * GIB,
  diskId: '',
  partitions,
  extended: [],
  problems: [],
  mbr: null,
  gpt: null,
});

const PLAN: TablePlan = {
  action: 'rebuilt',
  reason: 'the disk has no partition table: a new GPT is built from what the images say',
  before: table([partition(1, MIB, GIB, 'same'), partition(2, 2 * GIB, GIB, 'gone')]),
  after: table([partition(1, MIB, GIB, 'same'), partition(3, 4 * GIB, GIB, 'new')]),
  patch: {
    sectorSize: 512,
    phases: [[{ offset: 0, before: new Uint8Array(512), after: new Uint8Array(512) }]],
  },
  dropped: [
    { source: 'image 77aa', number: 2, name: 'gone', start: 2 * GIB, size: GIB, reason: 'it overlaps' },
  ],
  notes: ['the PARTUUID changes'],
};

const withTable: Partial<Jobs> = {
  restore: async ({ target, confirm, dryRun }) => {
    await confirm({ ...INTENT, table: PLAN });
    return {
      target,
      image: IMAGE,
      stats: STATS,
      partitionTable: 'rebuilt',
      imagesKept: [],
      written: !dryRun,
      lost: [],
      lostFrames: 0,
      lostBytes: 0,
    };
  },
};

test('a partition table that changes is shown before and after, side by side', async (t) => {
  const { stderr } = await say([...RESTORE, '--yes'], { jobs: withTable });
  t.regex(stderr, /Partition table: rebuilt; the disk has no partition table/);
  t.regex(stderr, /^ {2}before: +after:$/m);
  t.regex(stderr, /^ {5}1 {2}at 1\.0 MiB {2}1\.0 GiB {2}same {2}0fc63daf +1 {2}at 1\.0 MiB {2}1\.0 GiB/m);
  t.regex(stderr, /^ {2}- {2}2 .* gone .* \+ {2}3 .* new /m);
  t.regex(stderr, /- not in the new table: partition 2 "gone" of 1\.0 GiB at byte 2147483648/);
  t.regex(stderr, /- the PARTUUID changes/);
  const { stdout } = await say([...RESTORE, '--dry-run', '--json'], { jobs: withTable });
  const { partitionTable } = JSON.parse(stdout).plan;
  t.like(partitionTable, { action: 'rebuilt', changes: true });
  t.is(partitionTable.after[1].name, 'new');
});

test('text from disks cannot move the cursor or forge lines', async (t) => {
  const evil = 'x\u001b[2J\r\nWILL BE KEPT: all\u202e';
  const image = { ...IMAGE, name: evil, label: evil, reason: evil, state: 'damaged' as const };
  const jobs: Partial<Jobs> = {
    list: async ({ target, depth }) => ({
      target,
      depth,
      bytesRead: 0,
      bytesCovered: 0,
      steps: [{ step: 'scan', found: 1, bytesRead: 0, bytesCovered: 0, note: evil }],
      images: [image],
    }),
    restore: async ({ confirm }) => {
      await confirm({ ...INTENT, image, loses: [evil], target: { ...INTENT.target, model: evil } });
      throw refused(evil, { code: 'x' });
    },
  };
  for (const argv of [
    ['list', 'd'],
    [...RESTORE, '--yes'],
  ]) {
    const { stdout, stderr } = await say(argv, { jobs });
    t.notRegex(stdout + stderr, /[^\P{Cc}\n]|\u202e/u);
    t.regex(stdout + stderr, /\\x1b\[2J/);
  }
  const { stderr } = await say(['restore', 'd', '--yes'], {
    jobs: { restore: async () => Promise.reject(refused('gr\u00fcn', { code: 'x' })) },
    env: { LANG: 'C' },
  });
  t.regex(stderr, /gr\\xfcn/, 'ASCII where the terminal knows no more');
});

import test from 'ava';
import { cancelled, corrupt, ioError, notFound, refused, unsupported, usage } from '../../rescue/errors.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import { UnfinishedError } from '../../rescue/job/results.ts';
import { ID, IMAGE, INTENT, STATS, say } from './world.ts';

const failing = (error: unknown): Partial<Jobs> => {
  const fail = async () => {
    throw error;
  };
  return { create: fail, list: fail, info: fail, verify: fail, restore: fail, remove: fail };
};

const cases: readonly (readonly [name: string, error: unknown, exit: number, document: object])[] = [
  [
    'usage',
    usage('disk is a directory', { code: 'target.directory' }),
    2,
    { kind: 'usage', reason: 'target.directory', message: 'disk is a directory' },
  ],
  ['not found', notFound('no image', { code: 'no-image' }), 3, { kind: 'not-found', reason: 'no-image' }],
  ['refused', refused('mounted on /mnt', { code: 'mounted' }), 4, { kind: 'refused', reason: 'mounted' }],
  ['unsupported', unsupported('LUKS', { code: 'luks' }), 4, { kind: 'unsupported', reason: 'luks' }],
  [
    'device gone before the first write',
    ioError('the device is gone', { code: 'ENXIO', offset: 4096 }),
    4,
    { kind: 'io', reason: 'ENXIO', where: { offset: 4096 } },
  ],
  [
    'source damaged',
    corrupt('checksum', { code: 'ext.group-checksum', structure: 'group descriptor', offset: 512 }),
    4,
    { kind: 'corrupt', where: { structure: 'group descriptor', offset: 512 } },
  ],
  ['partition table damaged', corrupt('crc', { code: 'gpt.header-crc' }), 4, { kind: 'corrupt' }],
  ['ext bitmap', corrupt('count', { code: 'ext.bitmap-count' }), 4, { kind: 'corrupt' }],
  ['cancelled', cancelled('stopped', { code: 'cancelled' }), 130, { kind: 'cancelled' }],
  [
    'cancelled after writing',
    new UnfinishedError(cancelled('stopped', { code: 'cancelled' }), 'Run it again.'),
    130,
    { kind: 'cancelled', next: 'Run it again.' },
  ],
  [
    'failed after the first write',
    new UnfinishedError(ioError('no space', { code: 'ENOSPC', offset: 8 }), 'Run it again.'),
    1,
    { kind: 'unfinished', reason: 'ENOSPC', where: { offset: 8 }, next: 'Run it again.' },
  ],
  ['a fault of our own', new TypeError('x is not a function'), 1, { kind: 'internal', reason: 'internal' }],
  ['something odd', 'a string', 1, { kind: 'internal', reason: 'internal' }],
  ...[
    'slot.header',
    'record.crc',
    'image.view',
    'anchor.control',
    'log.end',
    'map.page',
    'bitmap.page',
    'extents.order',
    'control.json',
    'frame.decode',
    'journal.digest',
    'patch.length',
    'commit.crc',
  ].map((code) => [code, corrupt('damaged', { code }), 5, { kind: 'corrupt', reason: code }] as const),
];

for (const [name, error, exit, document] of cases) {
  test(`exit ${exit}: ${name}`, async (t) => {
    const jobs = failing(error);
    for (const argv of [
      ['create', 'disk'],
      ['info', 'disk'],
      ['verify', 'disk'],
      ['restore', 'disk', '--yes'],
      ['remove', 'disk', '--image', 'x', '--yes'],
    ]) {
      const text = await say(argv, { jobs });
      t.is(text.exit, exit);
      t.is(text.stdout, '');
      t.regex(text.stderr, /^holdfast: /);
      t.notRegex(text.stderr, /\n {4}at /, 'no stack');
      const json = await say([...argv, '--json'], { jobs });
      t.is(json.exit, exit);
      t.is(json.stderr, text.stderr);
      t.is(json.stdout.trimEnd().split('\n').length, 1);
      const parsed = JSON.parse(json.stdout);
      t.deepEqual(Object.keys(parsed), ['error']);
      t.like(parsed.error, { code: exit, ...document });
      t.true(typeof parsed.error.message === 'string' && parsed.error.message !== '');
    }
  });
}

test('what to do next is said after the first write, and that nothing was written before it', async (t) => {
  const unfinished = new UnfinishedError(
    ioError('the device is gone', { code: 'ENXIO' }),
    'Plug it in again.',
  );
  const { stderr } = await say(['restore', 'd', '--yes'], { jobs: failing(unfinished) });
  t.is(stderr, 'holdfast: the device is gone\nWhat to do next: Plug it in again.\n');
  const mounted = failing(refused('d is mounted', { code: 'mounted', wayOut: 'Unmount it.' }));
  const early = await say(['restore', 'd', '--yes'], { jobs: mounted });
  t.is(early.stderr, 'holdfast: d is mounted. Unmount it.\nNothing was written.\n');
});

test('an internal error asks for a report; its stack is shown on demand', async (t) => {
  const jobs = failing(new TypeError('x is not a function'));
  const { stderr } = await say(['list', 'disk'], { jobs });
  t.is(stderr, 'holdfast: internal error, please report: TypeError: x is not a function\n');
  const debug = await say(['list', 'disk'], { jobs, env: { HOLDFAST_DEBUG: '1' } });
  t.regex(debug.stderr, /please report[^\n]+\nTypeError: x is not a function\n {4}at /);
});

test('exit 3: list without an image still prints the list', async (t) => {
  const nothing: Partial<Jobs> = {
    list: async ({ target, depth }) => ({
      target,
      depth,
      bytesRead: 1,
      bytesCovered: 2,
      steps: [],
      images: [],
    }),
  };
  const json = await say(['list', 'disk', '--json'], { jobs: nothing });
  t.is(json.exit, 3);
  t.like(JSON.parse(json.stdout), { target: 'disk', images: [], bytesRead: 1 });
  t.is(json.stderr, 'holdfast: no image found on disk\n');
  const text = await say(['list', 'disk'], { jobs: nothing });
  t.is(text.exit, 3);
  t.regex(text.stdout, /^No image found on disk\.\n/);
  const thrown = await say(['list', 'disk', '--json'], {
    jobs: failing(notFound('no image', { code: 'no-image' })),
  });
  t.is(thrown.exit, 3);
  t.like(JSON.parse(thrown.stdout), { images: [], error: { code: 3 } });
});

test('exit 5: verify that finds problems, and a salvage that loses something', async (t) => {
  const jobs: Partial<Jobs> = {
    verify: async ({ target }) => ({
      target,
      image: IMAGE,
      stats: STATS,
      problems: [
        {
          code: 'frame.digest',
          message: 'content differs',
          where: 'frame at 0x1000',
          wayOut: 'Make a new image.',
        },
      ],
    }),
    restore: async ({ target, confirm }) => {
      await confirm(INTENT);
      return {
        target,
        image: IMAGE,
        stats: STATS,
        partitionTable: 'kept',
        imagesKept: [ID],
        written: true,
        lost: [{ start: 8192, length: 4096 }],
        lostFrames: 1,
        lostBytes: 4096,
      };
    },
  };
  const verify = await say(['verify', 'disk'], { jobs });
  t.is(verify.exit, 5);
  t.regex(
    verify.stdout,
    /1 problem\.\n {2}- frame\.digest: content differs \(frame at 0x1000\)\n {4}Make a new/,
  );
  t.is(verify.stderr, 'holdfast: 1 problem found in the image\n');
  const json = await say(['verify', 'disk', '--json'], { jobs });
  t.is(json.exit, 5);
  t.is(JSON.parse(json.stdout).problems.length, 1);
  const salvage = await say(['restore', 'disk', '--salvage', '--yes'], { jobs });
  t.is(salvage.exit, 5);
  t.regex(salvage.stdout, /but not all of it\.\n/);
  t.regex(salvage.stdout, /NOT restored, .* 4\.0 KiB in 1 frame:\n {2}4096 bytes at byte 8192\n/);
});

test('exit 0 otherwise', async (t) => {
  for (const argv of [
    ['create', 'd'],
    ['list', 'd'],
    ['info', 'd'],
    ['verify', 'd'],
    ['restore', 'd', '--yes'],
    ['remove', 'd', '--image', 'latest', '--yes'],
  ]) {
    const { exit } = await say(argv);
    t.is(exit, 0, argv.join(' '));
  }
});

test('usage errors are JSON too when JSON was asked for', async (t) => {
  const { exit, stdout, stderr } = await say(['list', '--json', '--bogus']);
  t.is(exit, 2);
  t.like(JSON.parse(stdout).error, { code: 2, kind: 'usage', reason: 'option.unknown-option' });
  t.regex(stderr, /unknown option '--bogus'/);
  const behind = await say(['list', '--', '--json', 'x']);
  t.is(behind.exit, 2);
  t.is(behind.stdout, '', 'behind -- it is no option');
});

import test from 'ava';
import { refuseUses } from '../../rescue/device/in-use.ts';
import { cancelled, refused } from '../../rescue/errors.ts';
import { IMAGE, STATS, say } from './world.ts';

test('a way out follows what was found with one full stop', (t) => {
  const wayOut = 'Mount it once.';
  t.is(
    refused('no', { code: 'x', found: 'a journal to replay first.', wayOut }).message,
    'no, found a journal to replay first. Mount it once.',
  );
  t.is(refused('no', { code: 'x', wayOut }).message, 'no. Mount it once.');
});

test('times are shown in one form, whatever the time zone of the machine', async (t) => {
  const before = process.env['TZ'];
  process.env['TZ'] = 'Asia/Kolkata';
  try {
    t.regex((await say(['info', 'disk'])).stdout, /created +2026-11-20 14:03 UTC\n/);
  } finally {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  }
});

test('positions are decimal, as in reports', (t) => {
  t.is(refused('no', { code: 'x', offset: 4096 }).message, 'no at byte position 4096');
});

test('what is mounted is said once', (t) => {
  const error = t.throws(() =>
    refuseUses('/dev/sda2', [{ by: 'mount', device: '/dev/sda2', where: '/home' }]),
  );
  t.regex(error!.message, /^\/dev\/sda2 is mounted on \/home\. /);
});

test('verify --repair says what it mended, and what it could not', async (t) => {
  const mended = 'Its slots say again where they lie.';
  for (const repaired of [[mended], []]) {
    const { exit, stdout } = await say(['verify', 'disk', '--repair'], {
      jobs: { verify: async () => ({ target: 'disk', image: IMAGE, stats: STATS, problems: [], repaired }) },
    });
    t.is(exit, 0);
    t.regex(
      stdout,
      repaired.length > 0 ? /Mended:\n {2}- Its slots say again/ : /nothing that a repair could mend/,
    );
  }
});

test('stopped before the first write: nothing was written, and that is said', async (t) => {
  for (const command of ['create', 'restore', 'remove'] as const) {
    const jobs = {
      [command]: async () => {
        throw cancelled('stopped on request', { code: 'cancelled' });
      },
    };
    const argv = [
      command,
      'disk',
      ...(command === 'remove' ? ['--image', 'x'] : []),
      ...(command === 'create' ? [] : ['--yes']),
    ];
    const { exit, stderr } = await say(argv, { jobs });
    t.is(exit, 130);
    t.is(stderr, 'holdfast: stopped on request\nNothing was written.\n', command);
  }
});

test('verify that finds damage says what to do', async (t) => {
  const jobs = {
    verify: async ({ target }: { target: string }) => ({
      target,
      image: IMAGE,
      stats: STATS,
      problems: [{ code: 'frame.damaged', message: 'content differs', where: 'log' }],
    }),
  };
  const { stdout } = await say(['verify', 'disk'], { jobs });
  t.regex(stdout, /What to do: make a new image[\s\S]*holdfast restore\s+--salvage/);
});

test('list: what was not found elsewhere does not contradict what was found', async (t) => {
  const jobs = {
    list: async ({ target }: { target: string }) => ({
      target,
      depth: 'quick' as const,
      bytesRead: 4096,
      bytesCovered: 4096,
      steps: [
        {
          step: 'filesystem' as const,
          found: 1,
          bytesRead: 4096,
          bytesCovered: 4096,
          note: 'no file system is recognised',
        },
        { step: 'scan' as const, found: 0, bytesRead: 0, bytesCovered: 0, note: 'quick depth' },
      ],
      images: [IMAGE],
    }),
  };
  const { stdout } = await say(['list', 'disk'], { jobs });
  t.regex(stdout, /1 image found, 4\.0 KiB read; elsewhere: no file system is recognised\n/);
  t.regex(stdout, /0 images found, 0 bytes read; quick depth\n/);
});

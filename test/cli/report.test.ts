import test from 'ava';
import { run } from '../../rescue/cli/run.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { ID, IMAGE, makeWorld, STATS, say } from './world.ts';

const OTHER: ImageSummary = {
  ...IMAGE,
  id: '77aa00112233445566778899aabbccdd',
  name: 'a name that is much longer than any column can be',
  kind: 'factory',
  state: 'damaged',
  reason: 'commit unknown',
  partition: { ...IMAGE.partition, number: null },
};

const two: Partial<Jobs> = {
  list: async ({ target, depth }) => ({
    target,
    depth,
    bytesRead: 5 * 2 ** 20,
    bytesCovered: 2 ** 30,
    steps: [{ step: 'reassembly', found: 2, bytesRead: 5 * 2 ** 20, bytesCovered: 2 ** 30, note: 'slow' }],
    images: [IMAGE, OTHER],
  }),
};

const listed = async (columns: number): Promise<string[]> => {
  const { surroundings, stdout } = makeWorld({ jobs: two, terminal: true });
  stdout.columns = columns;
  await run(['list', 'disk'], surroundings);
  return stdout.text.split('\n');
};

test('list: one row per image where there is room', async (t) => {
  const [head, first, second, reason, ...rest] = await listed(200);
  t.is(head?.replace(/ {2,}/g, '|'), 'ID|NAME|KIND|CREATED|FS|LABEL|SIZE|USED|STORED|STATE|FOUND BY|WHERE');
  t.regex(
    first!,
    /^3f2a91c4 {2}before update +user +2026-11-20 14:03 UTC {2}ext4 {2}root +40\.0 GiB {2}12\.0 GiB {2}4\.0 GiB {2}committed {2}scan +partition 2, at byte 1048576$/,
  );
  t.regex(second!, /^77aa0011 {2}a name that is m\.\. {2}factory/);
  t.is(reason, '    damaged: commit unknown');
  t.deepEqual(rest.slice(0, 4), [
    '',
    'How it was looked for:',
    '  reassembly from single slots  2 images found, 5.0 MiB read, 1.0 GiB covered; slow',
    '5.0 MiB read, 1.0 GiB covered, depth quick.',
  ]);
});

test('list: the table that the images imply, and what cannot be in it', async (t) => {
  const jobs: Partial<Jobs> = {
    list: async (request) => ({
      ...(await two.list!(request, {})),
      proposedTable: {
        scheme: 'gpt',
        diskId: '',
        sectorSize: 512,
        reason: 'the disk has no partition table',
        partitions: [
          {
            number: 1,
            offset: 2 ** 30,
            size: 2 ** 29,
            name: 'ESP\x1b[2J',
            images: [],
            type: 'c12a7328-f81f',
          },
          {
            number: 2,
            offset: 2 ** 20,
            size: 2 ** 29,
            name: '',
            images: [IMAGE.id, OTHER.id],
            type: '0fc63daf-8483',
          },
        ].map((each) => ({ ...each, uuid: '', bootable: false })),
        dropped: [
          {
            source: 'image 77',
            number: null,
            name: '',
            offset: 512,
            size: 1024,
            reason: 'it overlaps another',
          },
        ],
        notes: ['a note'],
      },
    }),
  };
  const { stdout } = await say(['list', 'disk'], { jobs });
  t.regex(stdout, /Proposed partition table: the disk has no partition table\.\nNUMBER +AT BYTE +SIZE +NAME/);
  t.regex(stdout, /^1 +1073741824 +512 MiB +ESP\S*\[2J +c12a7328 +-$/m);
  t.regex(stdout, /^2 +1048576 +512 MiB +- +0fc63daf +3f2a91c4, 77aa0011$/m);
  t.regex(stdout, /not in the new table: partition of 1\.0 KiB at byte 512, named by image 77: it overlaps/);
  t.regex(stdout, /- a note\nA restore writes it; nothing was written now\.\n/);
  t.false(stdout.includes('\x1b'));
});

test('list: what does not fit stands below, and a narrow terminal counts as 80 columns', async (t) => {
  for (const columns of [40, 80]) {
    const lines = await listed(columns);
    t.regex(lines[1]!, /^3f2a91c4 {2}before update +user +\S+ \S+ UTC {2}4\.0 GiB {2}committed$/);
    t.regex(
      lines[2]!,
      /^ {4}fs ext4, label root, size 40\.0 GiB, used 12\.0 GiB, found by scan, where partition 2/,
    );
    t.true(lines[1]!.length <= 80);
  }
});

test('info shows aligned facts', async (t) => {
  const { stdout } = await say(['info', 'd']);
  t.regex(stdout, new RegExp(`^id +${ID}\\nname +before update\\n`));
  const starts = stdout
    .split('\n\n')[0]!
    .split('\n')
    .map((line) => /^(.{11}) {2}\S/.test(line));
  t.true(starts.every(Boolean), stdout);
  t.regex(stdout, /^slots +65536$/m);
});

test('a report says only what happened', async (t) => {
  const created = await say(['create', 'd']);
  t.notRegex(created.stdout, /read back|verified/);
  t.regex(
    created.stdout,
    /is now inside partition 2 of d \(label "root"\)\.\n12\.0 GiB in use, stored in 4\.0 GiB, in 1 piece on the disk\.\n/,
  );
  t.regex(created.stdout, /13\.0 GiB read and 4\.0 GiB written in 1 min 15 s; at most 120 MiB of memory\./);
  const checked = await say(['create', 'd'], {
    jobs: {
      create: async ({ target }, { onEvent }) => {
        onEvent?.({ phase: 'read-back', done: 1, total: 1 });
        return { target, image: IMAGE, stats: STATS, replaced: [], written: true };
      },
    },
  });
  t.regex(checked.stdout, /read back from the disk: it is the same/);
  const unread = await say(['restore', 'd', '--yes', '--no-verify-after']);
  t.regex(unread.stdout, /was not read back \(--no-verify-after\)/);
  t.regex(
    unread.stdout,
    /The partition table was rebuilt\. .* entries only: .*\nStill there: image 3f2a91c4\.\n/,
  );
  const elsewhere = await say(['restore', 'd', '--yes', '--to', 'other']);
  t.regex(elsewhere.stdout, /^other \(label "root"\) is restored from/);
  const dry = await say(['remove', 'd', '--image', 'x', '--dry-run']);
  t.regex(dry.stdout, /\nNothing was written\.\n/);
  t.notRegex(dry.stdout, /is removed/);
});

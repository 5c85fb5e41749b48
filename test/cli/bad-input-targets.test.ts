import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import { makeNtfs } from '../fs/ntfs/volumes.ts';
import { withCleanup } from '../support/cleanup.ts';
import { makeDisk } from '../support/disk.ts';
import { noiseSource } from '../support/noise.ts';
import { mustRun, run } from '../support/run.ts';
import { type Expected, makeSamples, mustNotChange, refusedOn, type Samples } from './bad-input.ts';
import { COMMAND_NAMES, type Command, holdfast, wordsOf } from './real-jobs.ts';

let samples: Samples;
const undos: (() => void)[] = [];
test.before(async () => {
  samples = await makeSamples({ teardown: (undo) => undos.push(undo) });
});
test.after.always(() => {
  for (const undo of undos.reverse()) undo();
});

const NO_IMAGE: Expected = { exit: 3, error: 'not-found/no-image' };
const EMPTY_LIST: Expected = { exit: 3 };

/** All six commands on something that no image can be on; `create` says why it is none of its business. */
const everyCommand = async (
  t: Parameters<typeof refusedOn>[0],
  target: string,
  create: Expected,
): Promise<void> => {
  for (const command of COMMAND_NAMES) {
    const expected = command === 'create' ? create : command === 'list' ? EMPTY_LIST : NO_IMAGE;
    const { document } = await refusedOn(t, command, target, expected);
    if (command === 'list') t.deepEqual(document['images'], []);
  }
};

test('paths that are no disk: exit 2', async (t) => {
  const { folder } = samples;
  const empty = join(folder, 'empty');
  writeFileSync(empty, '');
  symlinkSync(join(folder, 'circle'), join(folder, 'circle'));
  mustRun('mkfifo', [join(folder, 'fifo')]);
  const cases: readonly [string, string, RegExp][] = [
    [join(folder, 'nothing here'), 'usage/target.missing', /nothing here does not exist/],
    [join(folder, 'empty', 'below'), 'usage/target.missing', /does not exist/],
    [folder, 'usage/target.directory', /is a directory/],
    [empty, 'usage/target.empty', /is empty/],
    [join(folder, 'circle'), 'usage/target.missing', /cannot be followed/],
    [join(folder, 'fifo'), 'usage/target.not-a-disk', /neither a block device nor a regular file/],
    ['/dev/null', 'usage/target.not-a-disk', /neither a block device nor a regular file/],
  ];
  for (const [target, error, message] of cases)
    for (const command of COMMAND_NAMES)
      await mustNotChange(t, wordsOf(command, target), [empty], { exit: 2, error, message });
});

test('what holds no file system: create is refused by name, no image is found', async (t) => {
  const file = (name: string, bytes: Uint8Array): string => {
    const path = join(samples.folder, name);
    writeFileSync(path, bytes);
    return path;
  };
  const unknown: Expected = { exit: 4, error: 'refused/unknown-filesystem', message: /Check that this is/ };
  const next = noiseSource('no file system');
  await everyCommand(t, file('one byte', Uint8Array.of(7)), unknown);
  await everyCommand(t, file('odd length', next(MIB + 77)), unknown);
  await everyCommand(t, file('noise', next(MIB)), unknown);
  await everyCommand(t, file('zeros', new Uint8Array(MIB)), { ...unknown, message: /all zeros/ });
  for (const version of [1, 2]) {
    const luks = next(MIB);
    luks.set(Buffer.from(`LUKS\xba\xbe\0${String.fromCharCode(version)}`, 'latin1'));
    await everyCommand(t, file(`luks${version}`, luks), { ...unknown, message: /LUKS.*Unlock it/ });
  }
  // Their boot sectors end like an MBR.
  for (const [name, message] of [
    ['-FVE-FS-', /BitLocker \(encrypted\)\. Decrypt the volume in Windows/],
    ['EXFAT   ', /exFAT/],
  ] as const) {
    const volume = new Uint8Array(MIB);
    volume.set([0xeb, 0x58, 0x90, ...Buffer.from(name)]);
    volume.set([0x55, 0xaa], 510);
    await everyCommand(t, file(name, volume), { ...unknown, message });
  }
  const swap = file('swap', new Uint8Array(MIB));
  mustRun('mkswap', ['--quiet', swap]);
  await everyCommand(t, swap, { ...unknown, message: /Linux swap/ });
});

test('a disk cut short: nothing is changed, and what is missing is said', async (t) => {
  const plain = samples.copy('plain', 'cut-plain');
  truncateSync(plain, 5_000_000);
  const cut: Expected = {
    exit: 4,
    error: 'refused/source-damaged',
    message: /larger than what holds it at byte position 1028, expected at most 5000000 bytes, found 8388608/,
  };
  await everyCommand(t, plain, cut);

  const imaged = samples.copy('imaged', 'cut-imaged');
  const [top] = samples.image.extents.at(-1)!;
  truncateSync(imaged, top + 4096);
  const damaged: Expected = { exit: 5, error: 'corrupt/image.damaged', message: /behind the end/ };
  for (const command of ['info', 'verify', 'restore', 'remove'] as const)
    await refusedOn(t, command, imaged, damaged);
  await refusedOn(t, 'create', imaged, { exit: 4, error: 'refused/source-damaged' });
  const { document } = await refusedOn(t, 'list', imaged, { exit: 0 });
  t.like(document['images'], [{ id: samples.image.id, state: 'damaged' }]);
  // Chosen on purpose: what is wrong is told slot by slot; there is no room to restore in place, elsewhere there is.
  const byId = ['--image', samples.image.id];
  const verified = await refusedOn(t, 'verify', imaged, { exit: 5 }, ...byId);
  const codes = (verified.document['problems'] as { code: string }[]).map(({ code }) => code);
  t.true(codes.includes('slot.unreadable'), codes.join());
  await refusedOn(t, 'restore', imaged, { exit: 4, error: 'refused/too-small' }, ...byId);
  const elsewhere = join(samples.folder, 'cut-restored');
  await refusedOn(t, 'restore', imaged, { exit: 0 }, ...byId, '--to', elsewhere);
  await refusedOn(t, 'list', elsewhere, EMPTY_LIST);
});

test('an NTFS cut short: the way out is not a repair', async (t) => {
  const path = makeNtfs(join(samples.folder, 'cut-ntfs'), { size: 8 * MIB });
  truncateSync(path, 6 * MIB);
  const message = /larger than its partition.*found 16383\. It was made shorter than what is in it[^.]*\.$/m;
  await refusedOn(t, 'create', path, { exit: 4, error: 'refused/source-damaged', message });
});

test('several partitions, none of which can be imaged: what each holds is said', async (t) => {
  const path = join(samples.folder, 'others');
  const places = makeDisk(t, path, { size: 8 * MIB, table: 'gpt', partitions: [{ size: 2 * MIB }, {}] });
  const disk = readFileSync(path);
  disk.set(Buffer.from('\xeb\x58\x90-FVE-FS-', 'latin1'), places[1]!.start);
  writeFileSync(path, disk);
  const message =
    /partition 1 \([^)]*\): empty \(all zeros\); partition 2 \([^)]*\): BitLocker \(encrypted\)\. Choose one/;
  await refusedOn(t, 'create', path, { exit: 4, error: 'refused/unknown-filesystem', message });
});

test('a file that may not be written: reading goes on, writing is refused', async (t) => {
  const target = samples.copy('imaged', 'read-only');
  chmodSync(target, 0o444);
  for (const command of ['list', 'info', 'verify'] as const) await refusedOn(t, command, target, { exit: 0 });
  for (const command of ['create', 'restore', 'remove'] as const)
    await refusedOn(t, command, target, { exit: 4, error: 'refused/read-only', message: /chmod u\+w/ });
  for (const command of ['create', 'remove'] as const)
    await refusedOn(t, command, target, { exit: 0 }, '--dry-run');
});

test('without a person and without --yes: refused', async (t) => {
  const target = samples.copy('imaged', 'nobody');
  for (const argv of [
    ['restore', target, '--json'],
    ['remove', target, '--image', 'latest', '--json'],
    ['restore', target, '--to', join(samples.folder, 'not made'), '--json'],
  ])
    await mustNotChange(t, argv, [target], { exit: 4, error: 'refused/unconfirmed', message: /--yes/ });
  t.false(existsSync(join(samples.folder, 'not made')));
  for (const [terminal, answer, exit] of [
    [true, 'nobody else', 4],
    [true, null, 4],
    [true, '', 4],
  ] as const) {
    const said = await holdfast(['restore', target], { terminal, answer });
    t.is(said.exit, exit, said.stderr);
    t.regex(said.stderr, /not confirmed[\s\S]*Nothing was written\./);
  }
});

test('no room: refused with the numbers; the old image is not given up for a new one that would not fit', async (t) => {
  const target = samples.copy('imaged', 'no-room');
  const noSpace: Expected = { exit: 4, error: 'refused/no-space', message: /besides 7\.0 MiB.*MiB free/ };
  for (const more of [[], ['--replace-first'], ['--dry-run'], ['--keep-old']])
    await mustNotChange(t, ['create', target, '--min-free', '7M', '--json', ...more], [target], noSpace);
  await mustNotChange(t, ['create', target, '--min-free', '99999P', '--json'], [target], {
    exit: 2,
    error: 'usage/option.invalid-argument',
    message: /8 PiB/,
  });
});

test('partition numbers', async (t) => {
  const target = samples.copy('imaged', 'no-table');
  for (const command of COMMAND_NAMES)
    await refusedOn(
      t,
      command,
      target,
      { exit: 2, error: `usage/partition.${command === 'create' ? 'no-table' : 'missing'}` },
      '--partition',
      '1',
    );
  await refusedOn(t, 'list', target, { exit: 2, error: 'usage/option.invalid-argument' }, '--partition', '0');
});

test.serial('HOLDFAST_ID: malformed, or of an image that is there', async (t) => {
  const target = samples.copy('imaged', 'fixed-id');
  try {
    process.env['HOLDFAST_ID'] = 'not an id';
    await refusedOn(t, 'create', target, { exit: 2, error: 'usage/id', message: /32 hexadecimal digits/ });
    await refusedOn(t, 'list', target, { exit: 0 });
    process.env['HOLDFAST_ID'] = samples.image.id;
    for (const more of [[], ['--keep-old']])
      await refusedOn(t, 'create', target, { exit: 4, error: 'refused/claim.exists' }, ...more);
  } finally {
    delete process.env['HOLDFAST_ID'];
  }
});

test.serial('SOURCE_DATE_EPOCH that is no time is not silently another one', async (t) => {
  const target = samples.copy('imaged', 'fixed-time');
  try {
    for (const wrong of ['yesterday', '-1', '999999999999']) {
      process.env['SOURCE_DATE_EPOCH'] = wrong;
      await refusedOn(t, 'create', target, {
        exit: 2,
        error: 'usage/source-date-epoch',
        message: /seconds since/,
      });
    }
  } finally {
    delete process.env['SOURCE_DATE_EPOCH'];
  }
});

test('--to: never onto the images themselves, never half made', async (t) => {
  const target = samples.copy('imaged', 'source');
  const { folder } = samples;
  linkSync(target, join(folder, 'hard link'));
  symlinkSync(target, join(folder, 'symbolic link'));
  const same: Expected = { exit: 4, error: 'refused/to-holds-images', message: /Leave out --to/ };
  for (const to of [target, join(folder, 'hard link'), join(folder, 'symbolic link')])
    await refusedOn(t, 'restore', target, same, '--to', to);
  const small = join(folder, 'small');
  writeFileSync(small, new Uint8Array(4096));
  writeFileSync(join(folder, 'void'), '');
  for (const [to, expected] of [
    [small, { exit: 4, error: 'refused/too-small', message: /at least 8388608 bytes .*found 4096 bytes/ }],
    [folder, { exit: 2, error: 'usage/target.directory' }],
    [join(folder, 'void'), { exit: 2, error: 'usage/target.empty' }],
    [join(folder, 'no', 'folder'), { exit: 2, error: 'usage/target.missing' }],
    ['/dev/null', { exit: 2, error: 'usage/target.not-a-disk' }],
  ] as const)
    await mustNotChange(t, wordsOf('restore', target, '--to', to), [target, small], expected);
  const planned = join(folder, 'planned');
  await refusedOn(t, 'restore', target, { exit: 0 }, '--to', planned, '--dry-run');
  t.false(existsSync(planned), 'a dry run makes no file');
  await refusedOn(
    t,
    'restore',
    target,
    { exit: 2, error: 'usage/target.missing' },
    '--to',
    join(planned, 'x'),
    '--dry-run',
  );
});

test('container files: cut short, no image, and the place to write to', async (t) => {
  const { folder, imaged } = samples;
  const name = /user-\w+\.hfi/.exec(run('debugfs', ['-R', 'ls -p /.holdfast', imaged]).stdout)![0];
  const file = join(folder, 'container.hfi');
  mustRun('debugfs', ['-R', `dump /.holdfast/${name} ${file}`, imaged]);
  for (const command of ['list', 'info', 'verify'] as const) await refusedOn(t, command, file, { exit: 0 });
  for (const command of ['create', 'remove'] as const)
    await refusedOn(t, command, file, { exit: 2, error: 'usage/target.image' });

  const cut = join(folder, 'cut.hfi');
  copyFileSync(file, cut);
  truncateSync(cut, 300_000);
  const { document } = await refusedOn(t, 'list', cut, { exit: 0 });
  t.like(document['images'], [{ state: 'damaged' }]);
  await refusedOn(t, 'verify', cut, { exit: 5 });
  truncateSync(cut, 70_000);
  const target = samples.copy('imaged', 'from');
  for (const [from, expected] of [
    [cut, { exit: 5 }],
    [samples.plain, { exit: 2, error: 'usage/image.no-slot' }],
    [folder, { exit: 2, error: 'usage/target.directory' }],
    [join(folder, 'missing.hfi'), { exit: 2, error: 'usage/target.missing' }],
  ] as const)
    await mustNotChange(t, wordsOf('restore', target, '--from', from), [target], expected);

  // Somewhere else, only what the file holds is listed: nothing of TARGET's own images.
  const elsewhere = join(folder, 'from-elsewhere');
  await mustNotChange(t, wordsOf('restore', target, '--from', file, '--to', elsewhere), [target, file], {
    exit: 0,
  });
  t.is(run('e2fsck', ['-fn', elsewhere]).exit, 0);
  t.notRegex(run('debugfs', ['-R', 'ls -p /', elsewhere]).stdout, /\.holdfast/);
});

test('choosing: short prefixes, unknown names, none of that kind, names that look like options', async (t) => {
  const roomy = await makeSamples(t, { size: 20 * MIB });
  const target = roomy.copy('imaged', 'several');
  for (const name of ['-rf', 'ünï — "x" \\n $(reboot)'])
    t.is((await holdfast([...wordsOf('create', target), '--keep-old', `--name=${name}`])).exit, 0);
  await mustNotChange(t, wordsOf('info', target, '--image=-rf'), [target], { exit: 0 });
  await mustNotChange(t, wordsOf('info', target, '--image', 'ünï — "x" \\n $(reboot)'), [target], {
    exit: 0,
  });
  const missing: Expected = { exit: 3, error: 'not-found/no-such-image', message: /-rf/ };
  await mustNotChange(t, wordsOf('info', target, '--image', roomy.image.id.slice(0, 3)), [target], missing);
  await mustNotChange(t, wordsOf('restore', target, '--image', 'none'), [target], missing);
  await mustNotChange(t, wordsOf('restore', target, '--image', 'factory'), [target], NO_IMAGE);
  await mustNotChange(
    t,
    wordsOf('restore', target, '--image', roomy.image.id, '--drop', roomy.image.id),
    [target],
    {
      exit: 4,
      error: 'refused/drop-chosen',
    },
  );
  // Twice the same name means neither.
  t.is((await holdfast([...wordsOf('create', target), '--keep-old', '--name=-rf'])).exit, 0);
  await mustNotChange(t, wordsOf('restore', target, '--image=-rf'), [target], {
    exit: 4,
    error: 'refused/ambiguous',
    message: /several images could be meant by "-rf".*--image ID/,
  });
});

test.serial('a prefix that two ids begin with is ambiguous', async (t) => {
  const target = samples.copy('plain', 'prefix');
  for (const end of ['1', '2']) {
    process.env['HOLDFAST_ID'] = `abcdef0${end}${'0'.repeat(24)}`;
    try {
      t.is((await holdfast([...wordsOf('create', target), '--keep-old'])).exit, 0);
    } finally {
      delete process.env['HOLDFAST_ID'];
    }
  }
  for (const command of ['info', 'restore', 'remove'] as const)
    await mustNotChange(t, [...wordsOf(command, target), '--image', 'abcdef0'], [target], {
      exit: 4,
      error: 'refused/ambiguous',
    });
  await mustNotChange(t, wordsOf('info', target, '--image', 'ABCDEF01'), [target], { exit: 0 });
});

test('a volume made anew over an image: found, not chosen silently, restored when it is named', async (t) => {
  await withCleanup(async () => {
    const target = samples.copy('imaged', 'anew');
    // Without a journal, which would be laid over the image.
    mustRun('mke2fs', ['-q', '-F', '-b', '1024', '-t', 'ext2', '-E', 'nodiscard', target]);
    const listed = await refusedOn(t, 'list', target, { exit: 0 });
    t.like(listed.document['images'], [{ id: samples.image.id, state: 'stale' }]);
    await refusedOn(t, 'restore', target, NO_IMAGE);
    const restored = await holdfast(wordsOf('restore', target, '--image', samples.image.id));
    t.is(restored.exit, 0, restored.stderr);
    t.is(run('e2fsck', ['-fn', target]).exit, 0);
    const verified = await refusedOn(t, 'verify', target, { exit: 0 });
    t.deepEqual(verified.document['problems'], []);
  });
});

test('words that no command knows', async (t) => {
  const target = samples.copy('imaged', 'words');
  for (const argv of [
    ['create', target, '--name', 'a\nb'],
    ['create', target, '--name', 'latest'],
    ['create', target, '--name', 'x'.repeat(257)],
    ['restore', target, '--image', ''],
    ['remove', target],
    ['remove', target, '--image', 'latest', '--to', 'x'],
    ['create'],
    ['create', target, target],
    ['frobnicate', target],
  ] satisfies [Command | 'frobnicate', ...string[]][]) {
    const outcome = await mustNotChange(t, [...argv, '--json'], [target], { exit: 2 });
    t.is(outcome.document.error?.kind, 'usage');
    t.regex(outcome.stderr, /See: holdfast/);
  }
});

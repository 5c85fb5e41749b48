import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { ImageSummary } from '../../rescue/job/results.ts';
import {
  type AidDocument,
  formatAid,
  isAidFile,
  MAX_AID_LENGTH,
  parseAid,
} from '../../rescue/locate/aid-file.ts';
import { MIB } from '../../rescue/units.ts';
import { holdfast } from '../cli/real-jobs.ts';
import { listImages, makeImage, restoreImage } from '../job/requests.ts';
import { makeDisk } from '../support/disk.ts';
import { duplicate } from '../support/duplicate.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { mountFile } from '../support/loop.ts';
import { noiseSource, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { extentsOf, imagedVolume, stepNames } from './climbing.ts';

const SAMPLE: AidDocument = {
  format: 1,
  disk: { size: 80 * MIB, sectorSize: 512, model: 'Kelp SSD', serial: 'K-77' },
  partition: { offset: MIB, size: 64 * MIB, number: 1, uuid: null },
  fileSystem: { kind: 'ext4', label: 'root\n-----BEGIN', uuid: 'u' },
  images: [
    {
      id: 'ab'.repeat(16),
      generation: 1,
      sequence: 3,
      kind: 'user',
      name: 'before\u202e update\n-----END HOLDFAST RECOVERY AID-----\n',
      created: 1_750_000_000,
      slotSize: 65536,
      anchors: [60 * MIB, 40 * MIB],
      extentCount: 2,
      extents: [
        [60 * MIB, 65536],
        [40 * MIB, MIB],
      ],
      extentsDigest: 'cd'.repeat(32),
    },
  ],
};

const DIGEST = /^SHA-256 .*$/m;
const partOf = (text: string): string =>
  /BEGIN HOLDFAST RECOVERY AID-----\n([\s\S]*\n)-----END/.exec(text)![1]!;

/** The machine's part replaced, and the checksum made right again. */
const forge = (text: string, json: string): string =>
  text
    .replace(partOf(text), () => json)
    .replace(DIGEST, `SHA-256 ${createHash('sha256').update(json).digest('hex')}`);

const faultOf = (text: string | Uint8Array): string | undefined => {
  const parsed = parseAid(Buffer.from(text));
  return 'fault' in parsed ? parsed.fault : undefined;
};

test('an aid is read as it was written, and says to a person what it is', (t) => {
  const text = formatAid(SAMPLE, 1_750_000_000);
  t.deepEqual(parseAid(Buffer.from(text)), SAMPLE);
  t.true(isAidFile(Buffer.from(text)));
  for (const says of [
    /^HOLDFAST RECOVERY AID\n/,
    /Written +2025-06-15 15:06 UTC/,
    /Disk +model "Kelp SSD", serial "K-77", 80\.0 MiB \(83886080 bytes\)/,
    /Partition +1, at byte 1048576, 64\.0 MiB/,
    /Image (ab){16}/,
    /anchors +at byte 63963136, 42991616 of the disk/,
    /holdfast restore DISK --aid FILE/,
  ])
    t.regex(text, says);
  // Nothing from the disk looks like a line of the file's own, or turns the text around.
  t.is(text.split('\n').filter((line) => line.startsWith('-----')).length, 2);
  t.false(text.split('-----BEGIN')[0]!.includes('\u202e'));
  t.true(text.split('\n').every((line) => line.length < 200));
});

test('ends of lines, a mark of byte order, and notes above do no harm', (t) => {
  const text = formatAid(SAMPLE, 0);
  for (const changed of [
    text.replaceAll('\n', '\r\n'),
    `\uFEFF${text}`,
    text.replace('How to use it', 'The till by the window.\n\nHow to use it'),
    `${text}\n\nPrinted by Ada.\n`,
  ]) {
    t.true(isAidFile(Buffer.from(changed)));
    t.deepEqual(parseAid(Buffer.from(changed)), SAMPLE);
  }
});

test('what is not whole is not used, and says why', (t) => {
  const text = formatAid(SAMPLE, 0);
  t.regex(faultOf(text.slice(0, 300))!, /is not there/);
  t.regex(faultOf(text.replace('"sequence": 3', '"sequence": 4'))!, /checksum/);
  t.regex(faultOf(text.replace(DIGEST, ''))!, /is not there/);
  t.regex(faultOf(forge(text, 'not JSON\n'))!, /no JSON/);
  t.regex(faultOf(forge(text, '{"format": 2}\n'))!, /newer version/);
  for (let cut = 0; cut < text.length - 1; cut += 97) t.not(faultOf(text.slice(0, cut)), undefined);
});

test('numbers that no aid has, under a checksum that is right', (t) => {
  const text = formatAid(SAMPLE, 0);
  const [image] = SAMPLE.images;
  const wrong = (more: object, outer: object = {}): string =>
    forge(text, `${JSON.stringify({ ...SAMPLE, images: [{ ...image, ...more }], ...outer })}\n`);
  for (const forged of [
    wrong({ anchors: [] }),
    wrong({ anchors: [-512] }),
    wrong({ anchors: [1e300] }),
    wrong({ anchors: [513] }),
    wrong({ anchors: Array(65).fill(512) }),
    wrong({ extents: Array(4097).fill([0, 512]) }),
    wrong({ id: 'x' }),
    wrong({ id: ['ab'.repeat(16)] }),
    wrong({ generation: 2 ** 53 }),
    wrong({ extentsDigest: '' }),
    wrong({}, { images: [] }),
    wrong({}, { images: Array(17).fill(image) }),
    wrong({}, { partition: null }),
    wrong({}, { disk: { ...SAMPLE.disk, size: -1 } }),
  ])
    t.not(faultOf(forged), undefined);
  t.is(faultOf(wrong({ later: 'members are ignored' })), undefined);
});

test('any bytes at all: a fault or an aid, and never an error', (t) => {
  const text = Buffer.from(formatAid(SAMPLE, 0));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
      (changes) => {
        const bytes = Uint8Array.from(text);
        for (const [at, value] of changes) bytes[at] = value;
        const parsed = parseAid(bytes);
        if (!('fault' in parsed)) t.deepEqual(parsed, SAMPLE);
      },
    ),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.json(), (json) => {
      t.notThrows(() => parseAid(Buffer.from(forge(text.toString(), `${json}\n`))));
    }),
    { numRuns: 100 },
  );
});

/** Everything but the image is noise; the image is found at the places that the aid names. */
const wrecked = (file: string, ...images: ImageSummary[]): string => {
  const copy = duplicate(file, `${file}.wreck`);
  overwriteWithNoise(copy, images.flatMap(extentsOf));
  return copy;
};

test.serial('written by info, used by list, verify, info and restore', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'disk');
  const size = 24 * MIB;
  const [place] = makeDisk(t, file, { size: 32 * MIB, table: 'gpt', partitions: [{ size }] });
  makeVolume(file, { offset: place!.start, size, blockSize: 4096, label: 'kelp' });
  const factory = (await makeImage(file, { kind: 'factory', minFree: 0 })).image;
  const { image } = await makeImage(file, { minFree: 0 });
  const aid = join(folder, 'aid.txt');
  const before = duplicate(file, join(folder, 'before'));
  const told = await holdfast(['info', file, '--aid-out', aid]);
  t.is(told.exit, 0, told.stderr);
  t.regex(told.stdout, /A recovery aid was written to .*aid\.txt\. Keep it on another disk\./);
  t.true(sameBytes(before, file), 'info writes nothing but the aid');
  const text = readFileSync(aid, 'utf8');
  for (const each of [image, factory]) t.true(text.includes(`Image ${each.id}`));
  t.regex(text, /label "kelp"/);

  const wreck = wrecked(file, image, factory);
  const listed = await holdfast(['list', wreck, '--aid', aid, '--json', '--progress', 'none']);
  const { images, steps } = listed.document as unknown as Awaited<ReturnType<typeof listImages>>;
  t.deepEqual(
    images.map(({ id, foundBy, state }) => [id, foundBy, state]),
    [
      [image.id, 'aid', 'committed'],
      [factory.id, 'aid', 'committed'],
    ],
  );
  t.like(
    steps.find(({ step }) => step === 'aid'),
    { found: 2 },
  );
  t.regex((await holdfast(['list', wreck, '--aid', aid])).stdout, /recovery aid file +2 images found/);
  t.is((await holdfast(['verify', wreck, '--aid', aid])).exit, 0);
  t.like((await holdfast(['info', wreck, '--aid', aid, '--image', 'factory', '--json'])).document, {
    image: { id: factory.id, foundBy: 'aid' },
  });
  const restored = await holdfast(['restore', wreck, '--aid', aid, '--yes', '--json']);
  t.is(restored.exit, 0, restored.stderr);
  t.like(restored.document, { partitionTable: 'rebuilt', image: { id: image.id, foundBy: 'aid' } });
  t.deepEqual([...(restored.document['imagesKept'] as string[])].sort(), [image.id, factory.id].sort());
  t.true(String(restored.document['command']).includes(`--aid ${aid}`));
  t.notThrows(() => mustBeClean(e2fsckClean(wreck, { offset: place!.start })));
  // The table is back, and the partition's own places are known again.
  const removed = await holdfast(['remove', wreck, '--aid', aid, '--image', image.id, '--yes']);
  t.is(removed.exit, 0, removed.stderr);
  t.deepEqual(
    (await listImages(wreck)).images.map(({ id }) => id),
    [factory.id],
  );
});

test.serial('an aid of another disk, or of an image that is gone: said, and found by the scan', async (t) => {
  const { file, image: old } = await imagedVolume(t);
  const aid = `${file}.aid`;
  t.is((await holdfast(['info', file, '--aid-out', aid])).exit, 0);
  const { image } = await makeImage(file, { minFree: 0 });
  t.not(image.id, old.id);
  const wreck = wrecked(file, image);
  const { images, steps } = await listImages(wreck, { aid });
  t.deepEqual(
    images.map(({ id, foundBy }) => [id, foundBy]),
    [[image.id, 'scan']],
  );
  t.regex(
    steps.find(({ step }) => step === 'aid')!.note!,
    /is not where the aid says; the aid is out of date/,
  );
  // Every home that it names holds something else of ours: the other image's own anchors.
  const document = parseAid(readFileSync(aid)) as AidDocument;
  const mixed = {
    ...document,
    images: document.images.map((each) => ({ ...each, anchors: [image.extents.at(-1)![0]] })),
  };
  writeFileSync(aid, formatAid(mixed, 0));
  t.deepEqual(
    (await listImages(wreck, { aid })).images.map(({ foundBy }) => foundBy),
    ['scan'],
  );
  // A damaged one is a warning and no reason to end.
  writeFileSync(aid, readFileSync(aid, 'utf8').replace('"generation": 1', '"generation": 7'));
  const said = await holdfast(['list', wreck, '--aid', aid]);
  t.is(said.exit, 0);
  t.regex(said.stderr, /The recovery aid .* is not used: it does not match its checksum/);
  t.regex(
    said.stdout,
    /recovery aid file +0 images found, 0 bytes read; not used: it does not match its checksum/,
  );
  await restoreImage(wreck, { aid });
  t.notThrows(() => mustBeClean(e2fsckClean(wreck)));
});

test.serial('what is no aid file is wrong usage, before anything is looked for', async (t) => {
  const { file } = await imagedVolume(t);
  const folder = temporaryFolder(t);
  const wrong: Record<string, (path: string) => void> = {
    'not there': () => {},
    'a folder': (path) => mkdirSync(path),
    empty: (path) => writeFileSync(path, ''),
    noise: (path) => writeFileSync(path, noiseSource('aid')(5000)),
    'some other text': (path) => writeFileSync(path, 'Dear diary,\n'),
    'longer than any aid': (path) => {
      writeFileSync(path, formatAid(SAMPLE, 0));
      truncateSync(path, MAX_AID_LENGTH + 1);
    },
    // Nobody writes to it: whoever opened it would wait for ever.
    'a pipe': (path) => execFileSync('mkfifo', [path]),
    'a device': (path) => symlinkSync('/dev/zero', path),
  };
  for (const [what, make] of Object.entries(wrong)) {
    const path = join(folder, what);
    make(path);
    for (const command of [
      ['list'],
      ['restore', '--yes'],
      ['verify'],
      ['info'],
      ['remove', '--image', 'latest', '--yes'],
    ]) {
      const { exit, stderr } = await holdfast([...command, file, '--aid', path]);
      t.is(exit, 2, `${command[0]}, ${what}: ${stderr}`);
      t.regex(stderr, /--aid .*: (?:not a recovery aid file|cannot be read)/, what);
      if (what === 'noise') continue;
      break;
    }
  }
});

test.serial('an aid is written over an older aid, and over nothing else', async (t) => {
  const { file, image } = await imagedVolume(t);
  const folder = temporaryFolder(t);
  const refusedAt = async (path: string, says: RegExp, target = file): Promise<void> => {
    const { exit, stderr } = await holdfast(['info', target, '--aid-out', path]);
    t.is(exit, 2, stderr);
    t.regex(stderr, says);
  };
  const diary = join(folder, 'diary');
  writeFileSync(diary, 'Dear diary,\n');
  await refusedAt(diary, /there already, and is no recovery aid/);
  t.is(readFileSync(diary, 'utf8'), 'Dear diary,\n');
  await refusedAt(folder, /there already, and is no recovery aid/);
  await refusedAt('/dev/null', /there already, and is no recovery aid/);
  await refusedAt(file, /this is what the command works on/);
  await refusedAt(join(folder, 'no such folder', 'aid'), /cannot be written \(ENOENT\)/);
  t.false(existsSync(join(folder, 'no such folder')));
  const aid = join(folder, 'aid.txt');
  writeFileSync(aid, formatAid(SAMPLE, 0));
  symlinkSync('aid.txt', join(folder, 'link'));
  t.is((await holdfast(['info', file, '--aid-out', join(folder, 'link')])).exit, 0);
  t.true(readFileSync(aid, 'utf8').includes(image.id));
  t.deepEqual(readdirSync(folder).sort(), ['aid.txt', 'diary', 'link'], 'nothing else is left behind');
  // A copy of the container says nothing of places on a disk.
  const copy = join(folder, 'copy.hfi');
  const bytes = readFileSync(file);
  writeFileSync(
    copy,
    Buffer.concat(ownOrder(image, aid).map(([start, length]) => bytes.subarray(start, start + length))),
  );
  await refusedAt(join(folder, 'other'), /is an image file, and a recovery aid is for a disk/, copy);
  t.is((await holdfast(['list', copy, '--aid', aid])).exit, 0, 'of no use, and no harm');
});

/** Extents in slot order, as the aid has them. */
const ownOrder = (image: ImageSummary, aid: string): readonly (readonly [number, number])[] => {
  const { images } = parseAid(readFileSync(aid)) as AidDocument;
  return images.find(({ id }) => id === image.id)!.extents;
};

test.serial('an aid that lies on the disk that it is for: a warning', async (t) => {
  const { file } = await imagedVolume(t);
  const mount = mountFile(t, file, {});
  const inside = await holdfast(['info', file, '--aid-out', join(mount.path, 'aid.txt')]);
  t.is(inside.exit, 0, inside.stderr);
  t.regex(inside.stderr, /lies on the disk that it is to help with/);
  mount.unmount();
  const outside = await holdfast(['info', file, '--aid-out', `${file}.aid`]);
  t.notRegex(outside.stderr, /lies on the disk/);
});

test.serial('with --depth full an aid changes nothing but the way', async (t) => {
  const { file, image } = await imagedVolume(t);
  const aid = `${file}.aid`;
  await holdfast(['info', file, '--aid-out', aid]);
  const wreck = wrecked(file, image);
  const [without, withAid] = [
    await listImages(wreck, { depth: 'full' }),
    await listImages(wreck, { depth: 'full', aid }),
  ];
  t.deepEqual(stepNames(withAid), ['filesystem', 'record', 'aid', 'scan']);
  t.deepEqual(
    withAid.images.map((each) => ({ ...each, foundBy: 'scan' as const })),
    [...without.images],
  );
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SpanSet, totalLength } from '../../../rescue/bytes/runs.ts';
import type { Device } from '../../../rescue/device/device.ts';
import { openFile } from '../../../rescue/device/file.ts';
import { type ClaimLimits, claim } from '../../../rescue/fs/fat/claim.ts';
import { folderOf, folderParts, lookup, rootFolder } from '../../../rescue/fs/fat/directory.ts';
import { fatDriver } from '../../../rescue/fs/fat/fat.ts';
import { openFat } from '../../../rescue/fs/fat/filesystem.ts';
import { release } from '../../../rescue/fs/fat/release.ts';
import { patch } from '../../../rescue/fs/fat/transaction.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import type { ClaimRequest } from '../../../rescue/fs/filesystem.ts';
import { PatchBuilder } from '../../../rescue/fs/patch.ts';
import { encodePatch } from '../../../rescue/image/patch-coding.ts';
import { patchMayBeFinished } from '../../../rescue/job/apply.ts';
import { GIB, KIB, MIB } from '../../../rescue/units.ts';
import { outcomeOf } from '../../image/outcome.ts';
import { mustBeClean } from '../../support/judges.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, highest, NOTHING, scattered, TIME } from '../editing.ts';
import { clustersOf } from './editing.ts';
import { fsckFat } from './fsck.ts';
import { mtools, treeByMtools } from './mtools.ts';
import { bytesAt, patchBytes, placesOf } from './patching.ts';
import { type FatOptions, makeFat } from './volumes.ts';

const SMALL: FatOptions = { size: 40 * MIB, bits: 32, sectorsPerCluster: 1 };
const FLOPPY: FatOptions = { size: 1440 * KIB, bits: 12, aligned: false };

const open = (t: ExecutionContext, options: FatOptions, prepare?: (path: string) => void) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), options);
  prepare?.(path);
  const device = openFile(path, { write: true });
  t.teardown(() => device.close());
  const free = [...new FatVolume(device).table.freeRuns()];
  return { path, device, free };
};

/** The code of a refusal, and that nothing was edited before it. */
const refusal = (
  t: ExecutionContext,
  device: Device,
  request: Partial<ClaimRequest>,
  limits?: ClaimLimits,
): string => {
  const builder = new PatchBuilder(device);
  const whole = { name: 'user-1', runs: [], time: TIME, avoid: NOTHING, ...request };
  const outcome = outcomeOf(() => claim(builder, whole, limits));
  if (outcome !== 'ok') t.deepEqual(builder.build().phases, [], outcome);
  return outcome;
};

test('what cannot be claimed is refused, and nothing is edited', (t) => {
  const { device, free } = open(t, SMALL);
  const runs = highest(free, 10);
  const code = (request: Partial<ClaimRequest>): string => refusal(t, device, request);
  t.is(code({ runs, name: 'a/b' }), 'claim.name');
  t.is(code({ runs, name: '' }), 'claim.name');
  t.is(code({ runs, name: 'x'.repeat(65) }), 'claim.name');
  t.is(code({ runs: [] }), 'claim.runs');
  t.is(code({ runs: [...runs, runs[0]!] }), 'claim.runs');
  t.is(code({ runs: [{ start: 0, length: 1 }] }), 'claim.not-free', 'the root folder');
  const { clusterCount } = new FatVolume(device);
  t.is(code({ runs: [{ start: clusterCount - 1, length: 2 }] }), 'claim.not-free', 'outside');
  t.is(code({ runs: [{ start: -1, length: 1 }] }), 'claim.not-free', 'outside');
  t.is(code({ runs }), 'ok');
});

test('names that are there: the same, another case, a file in place of the folder', (t) => {
  const { device, free } = open(t, SMALL);
  const runs = highest(free, 4);
  edited(fatDriver, device, (editor) =>
    claim(editor, { name: 'user-0123456789ab', runs, time: TIME, avoid: NOTHING }),
  );
  const more = highest([...new FatVolume(device).table.freeRuns()], 4);
  t.is(refusal(t, device, { name: 'user-0123456789ab', runs: more }), 'claim.exists');
  t.is(refusal(t, device, { name: 'USER-0123456789AB', runs: more }), 'claim.exists');
  t.is(refusal(t, device, { name: 'user-0123456789ac', runs: more }), 'ok');

  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, 'not a folder');
  const other = open(t, SMALL, (path) => mtools('mcopy', path, [file, '::/.holdfast']));
  t.is(refusal(t, other.device, { runs: highest(other.free, 4) }), 'claim.name-taken');
  t.is(
    outcomeOf(() => release(new PatchBuilder(other.device), { name: 'user-1', time: TIME })),
    'release.not-found',
  );
});

test('a container whose name a program wrote in capitals is still one', (t) => {
  const { path, device, free } = open(t, SMALL);
  const runs = highest(free, 30);
  const request = { name: 'user-0123456789ab', runs, time: TIME, avoid: NOTHING };
  edited(fatDriver, device, (editor) => claim(editor, request, { fileSize: 20 * 512 }));
  for (const end of ['hfi', '001']) {
    const name = `user-0123456789ab.${end}`;
    mtools('mren', path, [`::/.holdfast/${name}`, '::/.holdfast/between']);
    mtools('mren', path, ['::/.holdfast/between', `::/.holdfast/${name.toUpperCase()}`]);
  }
  const [listed] = openFat(device).containers();
  t.like(listed, { name: 'user-0123456789ab', size: 30 * 512 });
  t.is(
    refusal(t, device, {
      name: 'user-0123456789ab',
      runs: highest([...new FatVolume(device).table.freeRuns()], 4),
    }),
    'claim.exists',
  );
  edited(fatDriver, device, (editor) => release(editor, { ...listed!, time: TIME }));
  t.deepEqual(
    [...openFat(device).walk()].map((each) => each.path),
    ['/'],
  );
  mustBeClean(fsckFat(t, path));
});

test('short names that look alike are told apart', (t) => {
  const { path, device } = open(t, SMALL);
  for (let index = 0; index < 12; index += 1) {
    const runs = highest([...new FatVolume(device).table.freeRuns()], 2);
    edited(fatDriver, device, (editor) =>
      claim(editor, { name: `user-${index}00`, runs, time: TIME, avoid: NOTHING }),
    );
  }
  mustBeClean(fsckFat(t, path));
  const names = [...treeByMtools(t, path)].map(([, { shortName }]) => shortName);
  t.deepEqual(new Set(names).size, 13);
  t.deepEqual(names.slice(0, 3), ['HOLDFA~1', 'USER-000.HFI', 'USER-100.HFI']);
});

test('the folder takes its clusters outside of what is to be avoided, and no space for it is said', (t) => {
  const { path, device, free } = open(t, FLOPPY);
  const runs = highest(free, 20);
  const avoid = new SpanSet([{ start: 0, length: 100 }]);
  edited(fatDriver, device, (editor) => claim(editor, { name: 'user-1', runs, time: TIME, avoid }));
  t.deepEqual(clustersOf(device, '.'), [{ start: 100, length: 1 }]);
  mustBeClean(fsckFat(t, path));
  edited(fatDriver, device, (editor) => release(editor, { name: 'user-1', time: TIME }));
  t.is(refusal(t, device, { runs: free }), 'claim.no-space', 'the container takes all');
  t.is(refusal(t, device, { runs, avoid: { has: () => true } }), 'claim.no-space', 'all is to be avoided');
  const all = totalLength(free);
  const most = highest(free, all - 1);
  edited(fatDriver, device, (editor) =>
    claim(editor, { name: 'user-1', runs: most, time: TIME, avoid: NOTHING }),
  );
  mustBeClean(fsckFat(t, path));
  t.deepEqual([...new FatVolume(device).table.freeRuns()], [], 'full to the last cluster');
});

test('a root folder made of clusters grows; one entry that is left is not enough for a fixed one', (t) => {
  const names = Array.from({ length: 15 }, (_, index) => `F${index}`);
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, 'x');
  const fill = (path: string): void => {
    for (const name of names) mtools('mcopy', path, [file, `::/${name}`]);
  };
  const grown = open(t, SMALL, fill);
  edited(fatDriver, grown.device, (editor) =>
    claim(editor, { name: 'user-1', runs: highest(grown.free, 9), time: TIME, avoid: NOTHING }),
  );
  const volume = new FatVolume(grown.device);
  t.is([...folderParts(volume, rootFolder(volume))].length, 2);
  mustBeClean(fsckFat(t, grown.path));
  t.is(treeByMtools(t, grown.path).size, 17);

  const fixed = open(t, { ...FLOPPY, rootEntries: 16 }, fill);
  t.is(refusal(t, fixed.device, { runs: highest(fixed.free, 9) }), 'claim.folder-full');
});

test('an entry that finds room across two sectors only', (t) => {
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, 'x');
  const { path, device, free } = open(t, { ...FLOPPY, rootEntries: 32 }, (volume) => {
    for (let index = 0; index < 32; index += 1) mtools('mcopy', volume, [file, `::/F${index}`]);
    mtools('mdel', volume, ['::/F15', '::/F16']);
  });
  edited(fatDriver, device, (editor) =>
    claim(editor, { name: 'user-1', runs: highest(free, 9), time: TIME, avoid: NOTHING }),
  );
  mustBeClean(fsckFat(t, path));
  t.is(treeByMtools(t, path).size, 32);
  edited(fatDriver, device, (editor) => release(editor, { name: 'user-1', time: TIME }));
  mustBeClean(fsckFat(t, path));
  t.is(treeByMtools(t, path).size, 30);
});

test('what lies behind the end of a folder stays as it is, for those who see it and for those who do not', (t) => {
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, 'content');
  // Who reads on behind the end sees one file: its entry is whole, and its cluster in use.
  const behind = (slot: number) =>
    open(t, { ...FLOPPY, rootEntries: 32 }, (path) => {
      mtools('mcopy', path, [file, '::/HIDDEN']);
      const { root } = placesOf(path);
      const entry = bytesAt(path, root, 32);
      patchBytes(path, root, new Uint8Array(32));
      patchBytes(path, root + 32 * slot, entry);
    });
  const at = (path: string, slot: number): Buffer => bytesAt(path, placesOf(path).root + 32 * slot, 32);
  const room = behind(3);
  mustBeClean(fsckFat(t, room.path));
  const hidden = at(room.path, 3);
  edited(fatDriver, room.device, (editor) =>
    claim(editor, { name: 'user-1', runs: highest(room.free, 9), time: TIME, avoid: NOTHING }),
  );
  t.deepEqual(at(room.path, 3), hidden);
  t.is(at(room.path, 2)[0], 0, 'two entries, then the end');
  mustBeClean(fsckFat(t, room.path));
  t.deepEqual([...treeByMtools(t, room.path).keys()], ['/.holdfast', '/.holdfast/user-1.hfi']);
  edited(fatDriver, room.device, (editor) => release(editor, { name: 'user-1', time: TIME }));
  t.deepEqual(at(room.path, 3), hidden);
  mustBeClean(fsckFat(t, room.path));

  // The end mark has to stay, too: two entries are one too many.
  for (const slot of [1, 2]) {
    const tight = behind(slot);
    t.is(refusal(t, tight.device, { runs: highest(tight.free, 9) }), 'claim.folder-end');
  }
});

test('deleted entries behind the end of a folder are in nobody’s way', (t) => {
  const { path, device, free } = open(t, SMALL);
  const volume = new FatVolume(device);
  const { position } = [...folderParts(volume, rootFolder(volume))][0]!;
  device.write(position + 32, new Uint8Array(480).fill(0xe5));
  edited(fatDriver, device, (editor) =>
    claim(editor, { name: 'user-1', runs: highest(free, 9), time: TIME, avoid: NOTHING }),
  );
  t.is(device.read(position, 512)[64], 0, 'two entries, then the end');
  t.deepEqual([...treeByMtools(t, path).keys()], ['/.holdfast', '/.holdfast/user-1.hfi']);
});

test('a container of nine gigabytes is three files, whole slots and clusters in each', (t) => {
  const { path, device, free } = open(t, { size: 20 * GIB, bits: 32, sectorsPerCluster: 128 });
  const runs = highest(free, (9 * GIB) / (64 * KIB));
  edited(fatDriver, device, (editor) => claim(editor, { name: 'user-1', runs, time: TIME, avoid: NOTHING }));
  mustBeClean(fsckFat(t, path));
  const volume = new FatVolume(device);
  const root = rootFolder(volume);
  const folder = folderOf(volume, lookup(volume, root, '.holdfast')!, root);
  const sizes = ['user-1.hfi', 'user-1.001', 'user-1.002'].map((name) => lookup(volume, folder, name)!.size);
  const most = 4 * GIB - 64 * KIB;
  t.deepEqual(sizes, [most, most, 9 * GIB - 2 * most]);
  t.deepEqual(
    ['user-1.hfi', 'user-1.001', 'user-1.002'].flatMap((name) => clustersOf(device, name)),
    [
      { start: runs[0]!.start, length: 65535 },
      { start: runs[0]!.start + 65535, length: 65535 },
      { start: runs[0]!.start + 131070, length: 16386 },
    ],
  );
  t.regex(mtools('mdir', path, ['-a', '::/.holdfast']).stdout, /USER-1 +HFI +4294901760 .*user-1\.hfi/);
  edited(fatDriver, device, (editor) => release(editor, { name: 'user-1', time: TIME }));
  mustBeClean(fsckFat(t, path));
  t.deepEqual([...new FatVolume(device).table.freeRuns()], free);
});

test('20000 pieces, in a patch of a few bytes each', (t) => {
  const { path, device, free } = open(t, SMALL);
  const runs = scattered(free, 20_000);
  const made = edited(fatDriver, device, (editor) =>
    claim(editor, { name: 'user-1', runs, time: TIME, avoid: NOTHING }),
  );
  t.true(encodePatch(made).length < 20_000 * 8 + 20_000);
  mustBeClean(fsckFat(t, path));
  t.deepEqual(clustersOf(device, 'user-1.hfi'), runs);
  edited(fatDriver, device, (editor) => release(editor, { name: 'user-1', time: TIME }));
  mustBeClean(fsckFat(t, path));
});

test('100 GiB in clusters of 4 KiB are planned and looked through in little memory', (t) => {
  const { device, free } = open(t, { size: 102 * GIB, bits: 32, sectorsPerCluster: 8 });
  const runs = highest(free, (100 * GIB) / 4096);
  const usage = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = usage();
  const made = patch(device, (editor) => claim(editor, { name: 'user-1', runs, time: TIME, avoid: NOTHING }));
  t.true(patchMayBeFinished(device, made));
  // Before-images would be 400 MiB. What the collector has not come to yet counts, too.
  t.true(usage() - before < 160 * MIB, `${usage() - before}`);
  t.true(encodePatch(made).length < 64 * KIB);
});

test('FSInfo: a count that is known is kept right, one that is not stays unknown', (t) => {
  const { path, device, free } = open(t, SMALL);
  const at = 512 + 488;
  const count = (): number => Buffer.from(device.read(at, 4)).readUInt32LE();
  const before = count();
  const runs = highest(free, 30);
  edited(fatDriver, device, (editor) => claim(editor, { name: 'user-1', runs, time: TIME, avoid: NOTHING }));
  t.is(count(), before - 31);
  edited(fatDriver, device, (editor) => release(editor, { name: 'user-1', time: TIME }));
  t.is(count(), before);
  device.write(at, new Uint8Array(4).fill(0xff));
  edited(fatDriver, device, (editor) => claim(editor, { name: 'user-1', runs, time: TIME, avoid: NOTHING }));
  t.is(count(), 0xffff_ffff);
  mustBeClean(fsckFat(t, path));
});

test('FATs that differ where the container lies are not edited', (t) => {
  const { device, free } = open(t, SMALL);
  const runs = highest(free, 3);
  const volume = new FatVolume(device);
  const entry = volume.entryOf(runs[0]!.start + 1);
  const second = volume.parameters.tables[1]! + entry * 4;
  device.write(second, Uint8Array.of(0xf8, 0xff, 0xff, 0x0f));
  t.is(refusal(t, device, { runs }), 'fat.tables-differ');
  device.write(second, new Uint8Array(4));
  edited(fatDriver, device, (editor) => claim(editor, { name: 'user-1', runs, time: TIME, avoid: NOTHING }));
  device.write(second, new Uint8Array(4));
  t.is(
    outcomeOf(() => release(new PatchBuilder(device), { name: 'user-1', time: TIME })),
    'fat.tables-differ',
  );
});

test('release: named files only, no other ones, and the folder stays for what is left in it', (t) => {
  const { path, device, free } = open(t, SMALL);
  edited(fatDriver, device, (editor) =>
    claim(editor, { name: 'a', runs: highest(free, 30), time: TIME, avoid: NOTHING }, { fileSize: 10 * 512 }),
  );
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, 'the owner put this here');
  mtools('mcopy', path, [file, '::/.holdfast/a.txt']);
  const gone = (name: string, paths?: readonly string[]): string =>
    outcomeOf(() => {
      edited(fatDriver, device, (editor) =>
        release(editor, { name, time: TIME, ...(paths ? { paths } : {}) }),
      );
    });
  t.is(gone('b'), 'release.not-found');
  t.is(gone('a', ['/.holdfast/other.hfi']), 'release.not-found');
  t.is(gone('a', ['/.holdfast/a.001']), 'ok');
  t.deepEqual(
    [...treeByMtools(t, path).keys()],
    ['/.holdfast', '/.holdfast/a.002', '/.holdfast/a.hfi', '/.holdfast/a.txt'],
  );
  t.is(gone('a'), 'ok');
  t.deepEqual([...treeByMtools(t, path).keys()], ['/.holdfast', '/.holdfast/a.txt']);
  mustBeClean(fsckFat(t, path));
});

test('a chain that loops or leaves the volume is damage, and is not released', (t) => {
  const { device, free } = open(t, SMALL);
  const runs = highest(free, 5);
  edited(fatDriver, device, (editor) => claim(editor, { name: 'a', runs, time: TIME, avoid: NOTHING }));
  const { parameters } = new FatVolume(device);
  const entry = runs[0]!.start + 2;
  for (const [value, code] of [
    [entry, 'fat.chain-loop'],
    [0, 'fat.chain-broken'],
    [0x0ffffff7, 'fat.chain-broken'],
    [0x0ffffff0, 'fat.chain-broken'],
  ] as const) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    for (const table of parameters.tables) device.write(table + (entry + 3) * 4, bytes);
    t.is(
      outcomeOf(() => release(new PatchBuilder(device), { name: 'a', time: TIME })),
      code,
    );
  }
});

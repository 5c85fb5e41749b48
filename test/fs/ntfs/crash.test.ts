import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { readParameters } from '../../../rescue/fs/ntfs/boot-sector.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { requireContent } from '../../../rescue/fs/ntfs/content.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { AT_BITMAP, AT_DATA, BOOT_SECTOR, FILE_MFT } from '../../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { parseRecord } from '../../../rescue/fs/ntfs/record.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { patch } from '../../../rescue/fs/ntfs/transaction.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import type { Editor } from '../../../rescue/fs/patch.ts';
import { applyPatch, patchMayBeFinished } from '../../../rescue/job/apply.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { mustRun, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { aFewParts, cuts } from '../cuts.ts';
import { edited, freeRuns, highest, NOTHING, scattered, TIME } from '../editing.ts';
import { NtfsFileVolume } from './editing.ts';
import { FAR_APART, layoutOf } from './index-layout.ts';
import { makeNtfs, mountNtfs, scatterMft, treeThroughMount } from './volumes.ts';

/** A file that no folder lists yet, an extension that nothing names, a mirror that is written after its record. */
const HARMLESS = ['ntfs.name-without-entry', 'ntfs.extension', 'ntfs.mirror'];
/** A record of several sectors that was written in part: the journal mends it, or chkdsk. */
const TORN = [...HARMLESS, 'ntfs.update-sequence'];

/** Every file with its size and where it lies, the containers and the system files ($MFT grows) aside. */
const filesOf = (device: MemoryDevice): string[] =>
  [...openNtfs(device).walk()]
    .filter(({ path }) => !path.startsWith('/.holdfast') && !path.startsWith('/$') && path !== '/')
    .map(({ path, size, runs }) => `${path} ${size} ${JSON.stringify([...runs()])}`);

const free = (device: MemoryDevice): Run[] => freeRuns(ntfsDriver, device);

const codesOf = (device: MemoryDevice): string[] => [
  ...new Set(
    openNtfs(device)
      .check()
      .map(({ code }) => code),
  ),
];

const mftIsSound = (device: MemoryDevice, field: 'mft_lcn' | 'mftmirr_lcn' = 'mft_lcn'): boolean => {
  const boot = device.read(0, 512);
  const { clusterSize, recordSize } = readParameters(device);
  const offset = BOOT_SECTOR.get(boot, field) * clusterSize;
  try {
    parseRecord(device.read(offset, recordSize), FILE_MFT, offset);
    return true;
  } catch {
    return false;
  }
};

/** Record 0 and its copy are never torn both. */
const requireOneOf = (device: MemoryDevice, when: string): void => {
  if (!mftIsSound(device) && !mftIsSound(device, 'mftmirr_lcn'))
    throw new Error(`${when}: neither record 0 nor its copy`);
};

/** Blocks of an index are never torn: where they change, others take their place. */
const requireBlocks = (device: MemoryDevice, when: string): void => {
  const torn = openNtfs(device)
    .check()
    .find(({ code, message }) => code === 'ntfs.update-sequence' && !message.startsWith('MFT record'));
  if (torn !== undefined) throw new Error(`${when}: ${torn.message}`);
};

interface Counts {
  whole: number;
  torn: number;
  /** Says what is wrong with a state as a mount shows it. `mirrored`: $MFTMirr is equal to its records. */
  readonly judge?: (cut: MemoryDevice, mirrored: boolean) => string | undefined;
}

/** How often a state was mounted, and how often ntfs-3g declined to. */
interface Mounts {
  shown: number;
  declined: number;
}

/**
 * ntfs-3g mounts every fourth state of those that whole phases leave, and finds every file in it, and all states that it does not mount: it declines for one reason only: a record
 * that is not the same in $MFTMirr; after `ntfsfix` it mounts that, too.
 */
const mountJudge = (path: string, root: string, mounts: Mounts): NonNullable<Counts['judge']> => {
  mkdirSync(root);
  const show = (): ReadonlyMap<string, string> | undefined => {
    // Nothing is written: it does not matter that ntfs-3g is there for a moment after the mount has gone.
    if (run('ntfs-3g', ['-o', 'ro,streams_interface=windows', path, root]).exit !== 0) return undefined;
    try {
      return treeThroughMount(root);
    } finally {
      mustRun('umount', [root]);
    }
  };
  const expected = show();
  if (expected === undefined) throw new Error('ntfs-3g does not mount it before');
  let states = 0;
  return (cut, mirrored) => {
    states += 1;
    if (states % 4 > 0 && mirrored) return undefined;
    writeFileSync(path, cut.read(0, cut.size));
    let found = show();
    if ((found !== undefined) !== mirrored) return `mirror equal: ${mirrored}, mounted: ${!mirrored}`;
    if (found === undefined) {
      mounts.declined += 1;
      mustRun('ntfsfix', [path]);
      found = show();
    } else mounts.shown += 1;
    return isDeepStrictEqual(found, expected) ? undefined : 'ntfs-3g finds other files';
  };
};

/** Makes a change, looks at every state that a cut can leave, and applies it. */
const sweep = (
  device: MemoryDevice,
  counts: Counts,
  edit: (editor: Editor) => void,
  mayTear = false,
): void => {
  const made = patch(device, edit);
  const expected = filesOf(device);
  const after = device.snapshot();
  applyPatch(after, made);
  const last = [...cuts(device, made, aFewParts)].length - 1;
  let index = -1;
  for (const { when, whole, device: cut } of cuts(device, made, aFewParts)) {
    index += 1;
    const codes = whole || mftIsSound(cut) ? codesOf(cut) : ['ntfs.update-sequence'];
    if (codes.includes('ntfs.update-sequence')) requireOneOf(cut, when);
    if (mftIsSound(cut) && !mayTear) requireBlocks(cut, when);
    const worse = codes.filter((code) => !(whole ? HARMLESS : TORN).includes(code));
    if (worse.length > 0) throw new Error(`${when}: ${worse.join(' ')}`);
    if (!whole && codes.some((code) => !HARMLESS.includes(code))) counts.torn += 1;
    else {
      counts.whole += 1;
      const found = filesOf(cut);
      if (whole && JSON.stringify([...new Set(found)]) !== JSON.stringify(expected))
        throw new Error(`${when}: other files`);
      const dirty = openNtfs(cut)
        .refusals()
        .some(({ code }) => code === 'ntfs.dirty');
      // Not before the mirror is as clean as the record: the next run would take it for damage.
      if (whole && dirty === (index === 0 || index >= last)) throw new Error(`${when}: dirty ${dirty}`);
      const wrong = whole ? counts.judge?.(cut, !codes.includes('ntfs.mirror')) : undefined;
      if (wrong !== undefined) throw new Error(`${when}: ${wrong}`);
    }
    if (!patchMayBeFinished(cut, made)) throw new Error(`${when}: it cannot be finished`);
    applyPatch(cut, made);
    if ([...cut.differences(after)].length > 0) throw new Error(`${when}: finished, it is something else`);
  }
  applyPatch(device, made);
  if (openNtfs(device).check().length > 0) throw new Error('not clean at the end');
};

test('a claim and a release can be cut between any two phases, and finished from any state', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 6 * MIB, clusterSize: 1024 });
  const mount = mountNtfs(t, path);
  for (let index = 0; index < 40; index += 1)
    writeFileSync(join(mount.path, `file ${index}`), 'x'.repeat(index * 40));
  mkdirSync(join(mount.path, 'streams'));
  for (const name of ['file', 'file:small', 'file:large'])
    writeFileSync(join(mount.path, 'streams', name), name.repeat(300));
  mount.unmount();
  const device = MemoryDevice.of(readFileSync(path));
  const mounts = { shown: 0, declined: 0 };
  const counts = { whole: 0, torn: 0, judge: mountJudge(path, join(temporaryFolder(t), 'mounted'), mounts) };
  const take = (name: string, runs: readonly Run[]): void =>
    sweep(device, counts, (editor) => claim(editor, { name, runs, time: TIME, avoid: NOTHING }));
  take('first', highest(free(device), 150));
  take('second', scattered(free(device), 400));
  for (const name of ['a', 'b', 'c'])
    take(`${name.repeat(60)}`, [{ start: free(device)[0]!.start, length: 1 }]);
  for (const name of ['first', 'a'.repeat(60), 'second', 'b'.repeat(60), 'c'.repeat(60)])
    sweep(device, counts, (editor) => release(editor, { name, time: TIME }));
  t.true(counts.whole > 60, `${counts.whole}`);
  t.true(mounts.shown > 15 && mounts.declined > 5, JSON.stringify(mounts));
  t.true(counts.torn < counts.whole / 2, `${counts.torn} of ${counts.whole}`);
  writeFileSync(path, device.read(0, device.size));
  t.deepEqual(new NtfsFileVolume(path).problems(), []);
});

test('growth of a scattered $MFT can be cut anywhere: a list is made, an extension added, and replaced', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, clusterSize: 512 });
  const mount = mountNtfs(t, path);
  const count = scatterMft(mount.path, 560);
  for (let index = 1; index < Math.min(count, 900); index += 2)
    truncateSync(join(mount.path, 'many', `file number ${index}`), 0);
  mount.unmount();
  const device = MemoryDevice.of(readFileSync(path));
  const counts = { whole: 0, torn: 0 };
  const extents = (): string =>
    [...new NtfsVolume(device).file(FILE_MFT).extents(AT_DATA, '')]
      .map(({ place }) => place.structure.replace('MFT record ', ''))
      .join(' ');
  const seen = [extents()];
  for (let index = 0; index < 9 && seen.at(-1) !== '0 15 17'; index += 1) {
    const runs = scattered(free(device), 20);
    sweep(device, counts, (editor) => claim(editor, { name: `${index}`, runs, time: TIME, avoid: NOTHING }));
    seen.push(extents());
    // Records that came with it are marked, as if they were in use: the next claim needs more.
    const volume = new NtfsVolume(device);
    const marks = requireContent(volume.file(FILE_MFT), AT_BITMAP, '', 'bitmap');
    for (let byte = 8; byte < volume.recordCount / 8; byte += 1)
      device.write(marks.position(byte), Uint8Array.of(0xff));
  }
  t.deepEqual([...new Set(seen)], ['0', '0 15', '0 15 16', '0 15 17']);
  t.true(counts.torn < counts.whole / 2, `${counts.torn} of ${counts.whole}`);
});

test('a folder that gets a list, and blocks in another record, can be cut anywhere', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 24 * MIB, clusterSize: 512 });
  // Records, so that $MFT need not grow as well.
  const early = mountNtfs(t, path);
  const names = Array.from({ length: 250 }, (_, index) => join(early.path, `${index}`));
  for (const name of names) writeFileSync(name, '');
  for (const name of names) rmSync(name);
  early.unmount();
  const device = MemoryDevice.of(readFileSync(path));
  const counts = { whole: 0, torn: 0 };
  const layouts: string[] = [];
  const take = (name: string) => (editor: Editor) => {
    const { start, length } = free(device).at(-1)!;
    claim(editor, { name, runs: [{ start: start + length - 1, length: 1 }], time: TIME, avoid: FAR_APART });
  };
  for (let index = 0; index < 200 && layouts.length < 3; index += 1) {
    const name = `${(index * 37) % 211}-`.padEnd(64, 'x');
    const trial = device.snapshot();
    edited(ntfsDriver, trial, take(name));
    const layout = layoutOf(trial, '.holdfast');
    if (layouts.includes(layout)) edited(ntfsDriver, device, take(name));
    else {
      sweep(device, counts, take(name));
      layouts.push(layout);
    }
  }
  t.deepEqual(layouts, [
    'no list; blocks: ; bitmap: ',
    'no list; blocks: first; bitmap: first',
    'list; blocks: other; bitmap: other',
  ]);
  t.true(counts.torn < counts.whole / 2, `${counts.torn} of ${counts.whole}`);
});

test('without a cluster for another block, one changes in place: then it may be torn, and nothing else', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 6 * MIB, clusterSize: 512 });
  const device = MemoryDevice.of(readFileSync(path));
  const take = (name: string, avoid: { has(cluster: number): boolean }) => (editor: Editor) => {
    const { start, length } = free(device).at(-1)!;
    claim(editor, { name, runs: [{ start: start + length - 1, length: 1 }], time: TIME, avoid });
  };
  // Until there is a block: later ones leave another free.
  for (let index = 0; index === 0 || layoutOf(device, '.holdfast').includes('blocks: ;'); index += 1)
    edited(ntfsDriver, device, take(`${index}`.padEnd(60, 'x'), NOTHING));
  const counts = { whole: 0, torn: 0 };
  const all = { has: () => true };
  t.throws(() => sweep(device.snapshot(), counts, take('a', all)), {
    message: /block \d+ of index of MFT record/,
  });
  sweep(device, counts, take('a', all), true);
  t.true(counts.torn > 0);
});

test('another order would be noticed: the folder before the file that it lists', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 6 * MIB, clusterSize: 1024 });
  const device = MemoryDevice.of(readFileSync(path));
  const runs = highest(free(device), 20);
  const error = t.throws(() =>
    sweep(device, { whole: 0, torn: 0 }, (editor) => {
      const made = patch(device, (inner) => claim(inner, { name: 'x', runs, time: TIME, avoid: NOTHING }));
      for (const step of made.phases.flat().toReversed()) {
        if (step.kind === undefined) editor.write(step.offset, step.after);
        else editor.operate(step);
        editor.barrier();
      }
    }),
  );
  t.regex(error!.message, /phase \d+: ntfs/);
});

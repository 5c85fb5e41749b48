import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { complement } from '../../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { Recorder, type WriteEvent } from '../../../rescue/device/recorder.ts';
import { allocatedRuns } from '../../../rescue/fs/ntfs/allocation.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { patch } from '../../../rescue/fs/ntfs/transaction.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import type { Editor, Patch } from '../../../rescue/fs/patch.ts';
import { applyPatch, patchMayBeFinished } from '../../../rescue/job/apply.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { highest, scattered } from '../ext/editing.ts';
import { NOTHING, NtfsFileVolume, TIME } from './editing.ts';
import { makeNtfs, mountNtfs } from './volumes.ts';

interface Cut {
  readonly when: string;
  /** All writes of one phase reached the disk, and none of the next. */
  readonly whole: boolean;
  readonly device: MemoryDevice;
}

const sectorsOf = ({ offset, data }: WriteEvent): { offset: number; data: Uint8Array }[] =>
  Array.from({ length: data.length / 512 }, (_, index) => ({
    offset: offset + index * 512,
    data: data.subarray(index * 512, (index + 1) * 512),
  }));

/** The disk after each phase, and within each phase with some of its sectors only, whichever those are. */
function* cuts(base: MemoryDevice, made: Patch): Generator<Cut> {
  const recorder = new Recorder(base.snapshot());
  applyPatch(recorder, made);
  const device = base.snapshot();
  const random = noiseSource('which sectors');
  let phase: { offset: number; data: Uint8Array }[] = [];
  let phases = 0;
  for (const event of recorder.events) {
    if (event.type === 'write') phase.push(...sectorsOf(event));
    if (event.type !== 'flush') continue;
    phases += 1;
    for (let part = 0; part < Math.min(6, phase.length - 1); part += 1) {
      const some = device.snapshot();
      for (const [index, { offset, data }] of phase.entries())
        if (phase.length < 7 ? index <= part : random(1)[0]! % 2 === 0) some.write(offset, data);
      yield { when: `a part of phase ${phases}`, whole: false, device: some };
    }
    for (const { offset, data } of phase) device.write(offset, data);
    yield { when: `after phase ${phases}`, whole: true, device: device.snapshot() };
    phase = [];
  }
}

/** A file that no folder lists yet, an extension without its file, and what a folder lists twice while a block is split; a mirror that is written after its record. */
const HARMLESS = ['ntfs.name-without-entry', 'ntfs.extension', 'ntfs.mirror'];
/** A record or block of several sectors that was written in part: the journal mends it, or chkdsk. */
const TORN = [
  ...HARMLESS,
  'ntfs.update-sequence',
  'ntfs.index-bitmap',
  'ntfs.index-order',
  'ntfs.record-unmarked',
];
const SPLIT = [...HARMLESS, 'ntfs.index-order'];

/** Every file with its size and where it lies, the containers and the system files ($MFT grows) aside. */
const filesOf = (device: MemoryDevice): string[] =>
  [...openNtfs(device).walk()]
    .filter(({ path }) => !path.startsWith('/.holdfast') && !path.startsWith('/$') && path !== '/')
    .map(({ path, size, runs }) => `${path} ${size} ${JSON.stringify([...runs()])}`);

const free = (device: MemoryDevice): Run[] => {
  const volume = new NtfsVolume(device);
  return [...complement(allocatedRuns(volume), { start: 0, length: volume.clusterCount })];
};

interface Counts {
  whole: number;
  torn: number;
}

/** Makes a change, looks at every state that a cut can leave, and applies it. */
const sweep = (device: MemoryDevice, counts: Counts, edit: (editor: Editor) => void): void => {
  const made = patch(device, edit);
  const expected = filesOf(device);
  const after = device.snapshot();
  applyPatch(after, made);
  const last = [...cuts(device, made)].length - 1;
  let index = -1;
  for (const { when, whole, device: cut } of cuts(device, made)) {
    index += 1;
    const codes = [
      ...new Set(
        openNtfs(cut)
          .check()
          .map(({ code }) => code),
      ),
    ];
    const worse = codes.filter((code) => !(whole ? SPLIT : TORN).includes(code));
    if (worse.length > 0) throw new Error(`${when}: ${worse.join(' ')}`);
    if (!whole && codes.some((code) => !SPLIT.includes(code))) counts.torn += 1;
    else {
      counts.whole += 1;
      const found = filesOf(cut);
      if (whole && JSON.stringify([...new Set(found)]) !== JSON.stringify(expected))
        throw new Error(`${when}: other files`);
      const dirty = openNtfs(cut)
        .refusals()
        .some(({ code }) => code === 'ntfs.dirty');
      // Not before the mirror is as clean as the record: the next run would take it for damage.
      if (whole && dirty === index >= last) throw new Error(`${when}: dirty ${dirty}`);
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
  mount.unmount();
  const device = MemoryDevice.of(readFileSync(path));
  const counts = { whole: 0, torn: 0 };
  const take = (name: string, runs: readonly Run[]): void =>
    sweep(device, counts, (editor) => claim(editor, { name, runs, time: TIME, avoid: NOTHING }));
  take('first', highest(free(device), 150));
  take('second', scattered(free(device), 400));
  for (const name of ['a', 'b', 'c'])
    take(`${name.repeat(60)}`, [{ start: free(device)[0]!.start, length: 1 }]);
  for (const name of ['first', 'a'.repeat(60), 'second', 'b'.repeat(60), 'c'.repeat(60)])
    sweep(device, counts, (editor) => release(editor, { name, time: TIME }));
  t.true(counts.whole > 60, `${counts.whole}`);
  t.true(counts.torn < counts.whole / 2, `${counts.torn} of ${counts.whole}`);
  writeFileSync(path, device.read(0, device.size));
  t.deepEqual(new NtfsFileVolume(path).problems(), []);
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

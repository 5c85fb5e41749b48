import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { extentsOf, treeMustBe } from '../job/cycle.ts';
import { makeImage } from '../job/requests.ts';
import { fillStage, type Stage, stageMustBeClean } from '../job/stage.ts';
import { makeDisk } from '../support/disk.ts';
import { attachLoop, type Loop } from '../support/loop.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { wrecked } from './disks.ts';
import { jobsOn, runWith } from './unattended-run.ts';

/** The run without a person, on loop devices and with the real jobs; only the clock and the keys are the test's. */

interface Machine {
  readonly file: string;
  readonly loop: Loop;
  readonly stages: readonly Stage[];
}

const SIZE = 24 * MIB;

/** A disk with as many ext4 partitions, of which each holds an image; everything else is noise then. */
const wreckedDisk = async (t: ExecutionContext, partitions: number, seed: string) => {
  const file = join(temporaryFolder(t), 'disk');
  const places = makeDisk(t, file, {
    size: (partitions * 24 + 4) * MIB,
    table: 'gpt',
    partitions: Array.from({ length: partitions }, () => ({ size: SIZE })),
  });
  const stages = places.map(({ number, start, size }): Stage => ({ file, start, size, partition: number }));
  const trees = [];
  const made = [];
  for (const [index, stage] of stages.entries()) {
    makeVolume(file, { offset: stage.start, size: stage.size, label: `part${index + 1}` });
    trees.push(fillStage(t, stage, { size: MIB, entries: 40, seed: `${seed}${index}` }));
    made.push((await makeImage(file, { partition: stage.partition! })).image);
  }
  overwriteWithNoise(
    file,
    made.flatMap((each) => extentsOf(each.extents)),
    seed,
  );
  const loop = attachLoop(t, file);
  return { file, loop, stages, trees, made } satisfies Machine & { trees: unknown; made: unknown };
};

const everything = (file: string, size: number) => digestOf(file, [{ start: 0, length: size }]);

test('a disk of which nothing but the image is left comes back by itself', async (t) => {
  const { file, loop, stages, trees, made } = await wreckedDisk(t, 1, 'alone');
  const sealed = extentsOf(made[0]!.sealedExtents);
  const before = digestOf(file, sealed);
  const { outcome, said, shown } = await runWith({ jobs: jobsOn([loop]), options: 'holdfast.countdown=3' });
  const line = `holdfast: result=ok code=0 image=${made[0]!.id} target=${loop.device}`;
  t.deepEqual(outcome as unknown, { result: 'ok', code: 0, next: 'reboot', line }, said);
  t.regex(said, /the only image there is/);
  t.regex(said, /Press any key/);
  t.regex(shown, /3\n2\n1\n/);
  t.regex(said, /partition table was rebuilt/);
  loop.detach();
  stageMustBeClean(stages[0]!);
  treeMustBe(t, stages[0]!, trees[0]!, 'after an unattended restore');
  t.is(digestOf(file, sealed), before);
});

test('two disks with one image each: refused, and both are as they were; named by serial, label or path, one is restored', async (t) => {
  const one = await wreckedDisk(t, 1, 'one');
  const two = await wreckedDisk(t, 1, 'two');
  const size = 28 * MIB;
  const before = [everything(one.file, size), everything(two.file, size)];
  const jobs = jobsOn([one.loop, two.loop]);
  const { outcome, said } = await runWith({ jobs, options: 'holdfast.countdown=0' });
  t.like(outcome, { result: 'refused', code: 4, next: 'tui' });
  t.is(outcome.line, 'holdfast: result=refused code=4 image=none target=none');
  for (const { made } of [one, two]) t.true(said.includes(made[0]!.id.slice(0, 8)));
  t.deepEqual([everything(one.file, size), everything(two.file, size)], before);
  const named = await runWith({ jobs, options: `holdfast.countdown=0 holdfast.target=${two.loop.device}` });
  t.like(named.outcome, { result: 'ok' }, named.said);
  t.is(everything(one.file, size), before[0]!);
  two.loop.detach();
  stageMustBeClean(two.stages[0]!);
});

test('two partitions of one disk, each with an image, and no table: refused; a label says which', async (t) => {
  const { file, loop, stages, made, trees } = await wreckedDisk(t, 2, 'both');
  const size = 52 * MIB;
  const before = everything(file, size);
  const { outcome, said } = await runWith({ jobs: jobsOn([loop]), options: 'holdfast.countdown=0' });
  t.like(outcome, { result: 'refused', code: 4 }, said);
  for (const { id } of made)
    t.true(said.includes(id.slice(0, 8)), 'the search did not end at the first image');
  t.is(everything(file, size), before);
  const first = await runWith({
    jobs: jobsOn([loop]),
    options: 'holdfast.countdown=0 holdfast.target=LABEL=part1 holdfast.on_success=poweroff',
  });
  t.like(first.outcome, { result: 'ok', next: 'poweroff' }, first.said);
  loop.detach();
  stageMustBeClean(stages[0]!);
  treeMustBe(t, stages[0]!, trees[0]!, 'after the restore of one of two');
});

test('a key in the countdown leaves everything to the person; Ctrl-C in the work stops it, and it can be run again', async (t) => {
  const { file, loop, stages } = await wreckedDisk(t, 1, 'key');
  const size = 28 * MIB;
  const before = everything(file, size);
  const jobs = jobsOn([loop]);
  const left = await runWith({ jobs, options: '', press: (text) => (text === '7\n' ? 'x' : undefined) });
  t.deepEqual(left.outcome as unknown, { result: 'left', code: 130, next: 'tui', line: undefined });
  t.is(everything(file, size), before);
  const stopped = await runWith({
    jobs,
    options: 'holdfast.countdown=0 holdfast.on_fail=shell',
    press: (text) => (text.startsWith('Plan:') ? '\x03' : undefined),
  });
  t.like(stopped.outcome, { result: 'failed', code: 130, next: 'shell' }, stopped.said);
  const again = await runWith({ jobs, options: 'holdfast.countdown=0' });
  t.like(again.outcome, { result: 'ok' }, again.said);
  loop.detach();
  stageMustBeClean(stages[0]!);
});

test('verify and create without a person', async (t) => {
  const { file, loop, made } = await wreckedDisk(t, 2, 'others');
  const jobs = jobsOn([loop]);
  const whole = await runWith({ jobs, options: 'holdfast.countdown=0 holdfast.action=verify' });
  // The file system is gone: the images are none the worse for it.
  t.like(whole.outcome, { result: 'ok', code: 0 }, whole.said);
  t.regex(whole.said, /a restore brings it back/);
  // The file system is gone: the images are none the worse for it.
  t.like(whole.outcome, { result: 'ok', code: 0 }, whole.said);
  t.regex(whole.said, /a restore brings it back/);
  for (const { id } of made) t.true(whole.said.includes(`image ${id.slice(0, 8)}`), whole.said);
  t.regex(whole.outcome.line!, /image=all target=all$/);
  const restored = await runWith({ jobs, options: 'holdfast.countdown=0 holdfast.target=LABEL=part2' });
  t.like(restored.outcome, { result: 'ok' }, restored.said);
  const created = await runWith({
    jobs,
    options: 'holdfast.countdown=0 holdfast.action=create holdfast.target=LABEL=part2',
  });
  t.like(created.outcome, { result: 'ok' }, created.said);
  t.regex(created.said, /It replaces/);
  t.truthy(file);
});

test('no image, no disk, a disk that comes late', async (t) => {
  const file = join(temporaryFolder(t), 'disk');
  makeVolume(file, { size: 8 * MIB });
  const loop = attachLoop(t, file);
  const empty = await runWith({ jobs: jobsOn([loop]), options: '' });
  t.is(empty.outcome.line, 'holdfast: result=refused code=3 image=none target=none');
  const none = await runWith({ jobs: jobsOn([]), options: '' });
  t.like(none.outcome, { result: 'refused', code: 3 });
  t.regex(none.said, /Waiting for a disk/);
  let asked = 0;
  const late = await runWith({
    jobs: {
      ...jobsOn([loop]),
      disks: async () => {
        asked += 1;
        return { disks: asked < 4 ? [] : [wrecked({ path: loop.device, serial: 'LATE' })] };
      },
    },
    options: 'holdfast.target=SERIAL=LATE',
  });
  t.is(asked, 4);
  t.regex(late.said, /Waiting for disk LATE/);
  t.like(late.outcome, { code: 3 }, late.said);
  const missing = await runWith({ jobs: jobsOn([loop]), options: 'holdfast.target=/dev/nothing' });
  t.like(missing.outcome, { result: 'refused', code: 4 });
  t.regex(missing.said, /there is no disk \/dev\/nothing/);
});

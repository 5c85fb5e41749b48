import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { PROJECT } from '../../build/bundle.ts';
import type { CreateResult, ListResult, RestoreResult } from '../../rescue/job/results.ts';
import type { Extent } from '../../rescue/units.ts';
import { withCleanup } from '../support/cleanup.ts';
import { e2fsckClean, partitionTableSound } from '../support/judges.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { everythingSaid, mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { type BiosDisk, makeBiosDisk } from './bios-disk.ts';
import { makeSmallSystem, type SmallSystem } from './initramfs.ts';
import { bootMachine, NOTHING_TO_BOOT } from './machine.ts';

/**
 * The promise as the owner of a machine sees it: it booted, everything on its disk but the image was destroyed, and
 * after a restore it boots again.
 */

let files: SmallSystem | undefined;

test.before(async () => {
  files = await withCleanup((cleanup) => makeSmallSystem(cleanup));
});

/** Runs the program itself, as a person would, and gives what it says with `--json`. */
const holdfast = <Result>(...words: string[]): Result => {
  const program = join(PROJECT, 'rescue/main.ts');
  const result = run(process.execPath, [program, ...words, '--json', '--progress', 'none'], {
    timeout: 600_000,
  });
  if (result.exit !== 0) throw new Error(everythingSaid(result));
  return JSON.parse(result.stdout) as Result;
};

const extents = (pairs: readonly (readonly [number, number])[]): Extent[] =>
  pairs.map(([start, length]) => ({ start, length }));

/** Everything in front of the root partition: boot code, table, boot gap, BIOS boot partition. */
const inFront = ({ root }: BiosDisk): Extent[] => [{ start: 0, length: root.start }];

const literally = (text: string): RegExp =>
  new RegExp(`^${text.replaceAll(/[^\w ]/g, (each) => `\\${each}`)}$`, 'm');

const bootsAgain = async (t: ExecutionContext, table: 'gpt' | 'mbr'): Promise<void> => {
  t.timeout(30 * 60_000);
  const disk = join(temporaryFolder(t), 'disk');
  // New for each run: nothing that an earlier run left anywhere can say it.
  const line = `The machine has booted: ${randomUUID()}`;
  const boot = (until: RegExp) => bootMachine(t, { disk, until });
  const made = makeBiosDisk(t, disk, { table, line, ...files! });
  const size = statSync(disk).size;
  const tableBefore = mustRun('sfdisk', ['--dump', disk]).stdout;
  const inFrontBefore = digestOf(disk, inFront(made));
  const first = await boot(literally(line));
  t.true(first.reached, `before anything was done, it does not boot:\n${first.console}`);

  const created = holdfast<CreateResult>('create', disk, '--partition', String(made.root.number));
  t.true(created.written);
  const image = extents(created.image.extents);
  const sealed = extents(created.image.sealedExtents);
  const sealedBefore = digestOf(disk, sealed);
  const destroyed = overwriteWithNoise(disk, image);
  t.is(destroyed, size - image.reduce((sum, { length }) => sum + length, 0));
  t.false(partitionTableSound(disk).clean);
  const wrecked = await boot(NOTHING_TO_BOOT);
  t.true(wrecked.reached, `the firmware found something to boot in noise:\n${wrecked.console}`);
  t.notRegex(wrecked.console, literally(line));

  const found = holdfast<ListResult>('list', disk);
  t.deepEqual(
    found.images.map(({ id, state }) => ({ id, state })),
    [{ id: created.image.id, state: 'committed' }],
  );
  const restored = holdfast<RestoreResult>('restore', disk, '--yes');
  t.is(restored.partitionTable, 'rebuilt');
  t.is(mustRun('sfdisk', ['--dump', disk]).stdout, tableBefore);
  const sound = partitionTableSound(disk);
  t.true(sound.clean, sound.output);
  const checked = e2fsckClean(disk, { offset: made.root.start });
  t.true(checked.clean, checked.output);
  t.is(digestOf(disk, sealed), sealedBefore);
  t.is(digestOf(disk, inFront(made)), inFrontBefore, 'boot code, boot gap, BIOS boot partition');
  const last = await boot(literally(line));
  t.true(last.reached, `restored, but it does not boot:\n${last.console}`);
  t.log(`boots: ${first.seconds.toFixed(0)} s, restored: ${last.seconds.toFixed(0)} s`);
};

test.serial('GPT, GRUB in a BIOS boot partition: boots again from nothing but its image', bootsAgain, 'gpt');
test.serial(
  'MBR, GRUB in the gap before the first partition: boots again from nothing but its image',
  bootsAgain,
  'mbr',
);

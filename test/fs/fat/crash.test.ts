import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { claim } from '../../../rescue/fs/fat/claim.ts';
import { folderParts, rootFolder } from '../../../rescue/fs/fat/directory.ts';
import { release } from '../../../rescue/fs/fat/release.ts';
import { volumeStates } from '../../../rescue/fs/fat/state.ts';
import { patch } from '../../../rescue/fs/fat/transaction.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import type { Editor } from '../../../rescue/fs/patch.ts';
import { applyPatch, patchMayBeFinished } from '../../../rescue/job/apply.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { mustBeClean } from '../../support/judges.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { cuts, sectorBySector } from '../cuts.ts';
import { highest, NOTHING, scattered, TIME } from '../editing.ts';
import { populateFat } from './content.ts';
import { fsckFat } from './fsck.ts';
import { type Listed, mtools, treeByMtools, withoutContainers } from './mtools.ts';
import { patchBytes, setActiveTable } from './patching.ts';
import { type FatOptions, makeFat } from './volumes.ts';

/** What fsck.fat may say of a volume that was cut off; anything else is damage. */
const HARMLESS = [
  /^(\$|exit code|standard output|standard error|fsck\.fat )/,
  /^$/,
  /: \d+ files, \d+\/\d+ clusters$/,
  /^There are differences between boot sector and its backup/,
  /^This is mostly harmless/,
  // The dirty bit, and only that.
  /^ {2}65:01\/00$/,
  /Not automatically fixing this/,
  /^Dirty bit is set/,
  /Automatically removing dirty bit/,
  /^FATs differ but appear to be intact/,
  /Using first FAT/,
  /^Reclaimed \d+ unused clusters?/,
  /^Free cluster summary wrong/,
  /Auto-correcting/,
  /^Leaving filesystem unchanged/,
];

const complaints = (output: string): string[] =>
  output.split('\n').filter((line) => !HARMLESS.some((each) => each.test(line)));

interface Scene {
  readonly path: string;
  readonly tree: ReadonlyMap<string, Listed>;
  readonly device: MemoryDevice;
}

/** Makes a change, looks at every state that a cut can leave, and applies it. Gives how many states there were. */
const sweep = (cleanup: Cleanup, { path, tree, device }: Scene, edit: (editor: Editor) => void): number => {
  const made = patch(device, edit);
  const after = device.snapshot();
  applyPatch(after, made);
  let onDisk = device.snapshot();
  const save = (state: MemoryDevice): void => {
    for (const { start, length } of state.differences(onDisk))
      patchBytes(path, start, state.read(start, length));
    onDisk = state.snapshot();
  };
  let count = 0;
  for (const { when, device: cut } of cuts(device, made, sectorBySector)) {
    count += 1;
    save(cut);
    const { output } = fsckFat(cleanup, path);
    const worse = complaints(output);
    if (worse.length > 0) throw new Error(`${when}: ${worse.join('\n')}\n${output}`);
    const found = withoutContainers(treeByMtools(cleanup, path));
    if (JSON.stringify([...found]) !== JSON.stringify([...tree])) throw new Error(`${when}: other files`);
    const isHalf = [device, after].every((whole) => [...cut.differences(whole)].length > 0);
    if (isHalf && [...volumeStates(new FatVolume(cut))].length === 0)
      throw new Error(`${when}: the volume looks clean, so nobody would finish it`);
    if (!patchMayBeFinished(cut, made)) throw new Error(`${when}: it cannot be finished`);
    applyPatch(cut, made);
    if ([...cut.differences(after)].length > 0) throw new Error(`${when}: finished, it is something else`);
  }
  applyPatch(device, made);
  save(device);
  mustBeClean(fsckFat(cleanup, path));
  return count;
};

/** Clusters that are 512 bytes long: a folder has room for 16 slots in each. */
const volumes: Record<string, FatOptions> = {
  FAT12: { size: 1440 * KIB, bits: 12, aligned: false },
  'FAT12, one FAT': { size: 1440 * KIB, bits: 12, aligned: false, tables: 1 },
  FAT16: { size: 9 * MIB, bits: 16, sectorsPerCluster: 1 },
  FAT32: { size: 40 * MIB, bits: 32, sectorsPerCluster: 1 },
  'FAT32, one FAT': { size: 40 * MIB, bits: 32, sectorsPerCluster: 1, tables: 1 },
  'FAT32, mirroring off': { size: 40 * MIB, bits: 32, sectorsPerCluster: 1, active: 1 },
};

for (const [what, { active, ...options }] of Object.entries(volumes)) {
  test(`a claim and a release can be cut at any sector: ${what}`, (t) => {
    const folder = temporaryFolder(t);
    const path = makeFat(join(folder, 'volume'), options);
    const file = join(folder, 'file');
    writeFileSync(file, noiseSource('crash')(1700));
    mtools('mmd', path, ['::/etc', '::/a long name of a folder']);
    for (let index = 0; index < 12; index += 1) {
      const name = ['F', 'etc/G', 'a long name of a folder/another long name'][index % 3];
      mtools('mcopy', path, ['-m', file, `::/${name}${index}`]);
    }
    // The root's first cluster is full now, where the root is made of clusters.
    for (let index = 0; index < 7; index += 1) mtools('mcopy', path, ['-m', file, `::/R${index}`]);
    if (active !== undefined) setActiveTable(path, active);
    const device = MemoryDevice.of(readFileSync(path));
    const rootLength = (): number =>
      [...folderParts(new FatVolume(device), rootFolder(new FatVolume(device)))].length;
    const before = rootLength();
    const scene = { path, tree: treeByMtools(t, path), device };
    const free = [...new FatVolume(device).table.freeRuns()];
    const runs = highest(free, 150);
    let states = sweep(t, scene, (editor) =>
      claim(editor, { name: 'first', runs, time: TIME, avoid: NOTHING }),
    );
    t.is(rootLength() - before, options.bits === 32 ? 1 : 0);
    const parts = scattered([...new FatVolume(device).table.freeRuns()], 120);
    // In twelve files: the folder gets another cluster.
    const request = { name: 'second', runs: parts, time: TIME, avoid: NOTHING };
    states += sweep(t, scene, (editor) => claim(editor, request, { fileSize: 10 * 512 }));
    states += sweep(t, scene, (editor) => release(editor, { name: 'first', time: TIME }));
    states += sweep(t, scene, (editor) => release(editor, { name: 'second', time: TIME }));
    t.true(states >= 30, `${states}`);
    t.deepEqual(new Map(treeByMtools(t, path)), scene.tree);
  });
}

test('another order would be noticed: entries before chains', (t) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), volumes['FAT16']!);
  populateFat(t, path, { entries: 2, largest: KIB, fragments: false });
  const device = MemoryDevice.of(readFileSync(path));
  const runs = highest([...new FatVolume(device).table.freeRuns()], 20);
  const scene = { path, tree: treeByMtools(t, path), device };
  const error = t.throws(() =>
    sweep(t, scene, (editor) => {
      const made = patch(device, (inner) => claim(inner, { name: 'x', runs, time: TIME, avoid: NOTHING }));
      for (const step of made.phases.flat().toReversed()) {
        if (step.kind === undefined) editor.write(step.offset, step.after);
        editor.barrier();
      }
    }),
  );
  t.regex(error!.message, /phase \d+/);
});

import { hash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { HASH_HALF_MD4, hashName } from '../../../rescue/fs/ext/hash.ts';
import type { Patch, PatchWrite } from '../../../rescue/fs/patch.ts';
import { MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { e2fsckClean, e2fsckPreen, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { noiseSource } from '../../support/noise.ts';
import { mustRun, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { differences, snapshot, type Tree } from '../../support/tree.ts';
import { HASH_SEED, makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { highest, NOTHING, scattered, TIME } from '../editing.ts';
import { applyPatch, Volume } from './editing.ts';

/** A few files of every kind of map, so that each of them could be harmed. */
const furnish = (cleanup: Cleanup, path: string): Tree => {
  const mount = mountFile(cleanup, path);
  const random = noiseSource('crash');
  for (const folder of ['etc', 'srv', 'srv/deep']) mkdirSync(join(mount.path, folder));
  for (let index = 0; index < 24; index += 1) {
    const name = join(mount.path, ['.', 'etc', 'srv/deep'][index % 3]!, `file-${index}`);
    writeFileSync(name, random(index * 1500));
  }
  const tree = snapshot(mount.path);
  mount.unmount();
  return tree;
};

/** Names, content and what stat says; the full comparison follows at the end. */
const view = (cleanup: Cleanup, path: string): string[] => {
  const mount = mountFile(cleanup, path, { readOnly: true });
  const lines = readdirSync(mount.path, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/^(\.holdfast|lost\+found)/.test(name))
    .map((name) => {
      const { mode, uid, size, mtimeMs, nlink, ino, blocks } = lstatSync(join(mount.path, name));
      const content = (mode & 0o40000) === 0 ? hash('sha256', readFileSync(join(mount.path, name))) : '';
      return [name, mode, uid, size, mtimeMs, nlink, ino, blocks, content].join(' ');
    });
  mount.unmount();
  return lines.sort();
};

interface Cut {
  readonly writes: number;
  readonly device: MemoryDevice;
}

/** The disk after each number of whole writes, from none to all. */
function* cuts(base: MemoryDevice, patch: Patch<PatchWrite>): Generator<Cut> {
  const all = patch.phases.flat();
  for (let writes = 0; writes <= all.length; writes += 1) {
    const device = base.snapshot();
    for (const { offset, after } of all.slice(0, writes)) device.write(offset, after);
    yield { writes, device };
  }
}

interface Expectation {
  readonly path: string;
  readonly files: readonly string[];
  /** With a journal, the containers are as before the patch or as after it. */
  readonly whole?: readonly [before: string, after: string];
}

/** At every cut e2fsck mends the volume by itself, and all other files are what they were. Gives what became of it. */
const sweep = (
  cleanup: Cleanup,
  base: MemoryDevice,
  patch: Patch<PatchWrite>,
  expected: Expectation,
): Set<string> => {
  const seen = new Set<string>();
  for (const { writes, device } of cuts(base, patch)) {
    writeFileSync(expected.path, device.read(0, device.size));
    const mended = e2fsckPreen(expected.path);
    if (!mended.clean) throw new Error(`after ${writes} writes:\n${mended.output}`);
    const verdict = e2fsckClean(expected.path);
    if (!verdict.clean)
      throw new Error(`after ${writes} writes, mended:\n${mended.output}\n${verdict.output}`);
    const files = view(cleanup, expected.path);
    const changed = files.filter((line, index) => line !== expected.files[index]);
    if (changed.length > 0 || files.length !== expected.files.length)
      throw new Error(`after ${writes} writes:\n${changed.join('\n')}`);
    seen.add(containersOf(expected.path));
  }
  return seen;
};

const containersOf = (path: string): string => {
  const fs = extDriver.open(new Volume(path).device);
  return fs
    .containers()
    .map(({ name, runs }) => `${name}: ${JSON.stringify(runs)}`)
    .join('\n');
};

const sizes: Record<string, VolumeOptions> = {
  'ext4 with a journal': { size: 8 * MIB, blockSize: 1024 },
  'ext4 without a journal': { size: 4 * MIB, blockSize: 1024, features: ['^has_journal'] },
  'ext4 without checksums or journal': {
    size: 4 * MIB,
    features: ['^has_journal', '^metadata_csum', 'uninit_bg'],
  },
  ext2: { size: 4 * MIB, type: 'ext2', blockSize: 1024 },
};

for (const [what, options] of Object.entries(sizes)) {
  test(`a claim and a release can be cut at any write: ${what}`, (t) => {
    const folder = temporaryFolder(t);
    const path = makeVolume(join(folder, 'volume'), options);
    const tree = furnish(t, path);
    const files = view(t, path);
    const scratch = join(folder, 'cut');
    const journal = !options.type && !options.features?.includes('^has_journal');
    const { device } = new Volume(path);
    const free = new Volume(path).free();
    const steps = [
      { step: 'first claim', name: 'one', runs: scattered(free, 600) },
      { step: 'second claim', name: 'two', runs: [] },
      { step: 'release of one of two', name: 'one' },
      { step: 'release of the last', name: 'two' },
    ];
    for (const { step, name, runs } of steps) {
      const patch = extDriver.patch(device, (editor) => {
        if (runs === undefined) extDriver.release(editor, { name, time: TIME });
        else {
          writeFileSync(scratch, device.read(0, device.size));
          const chosen = runs.length > 0 ? runs : highest(new Volume(scratch).free(), 300);
          extDriver.claim(editor, { name, runs: chosen, time: TIME, avoid: NOTHING });
        }
      });
      const before = device.snapshot();
      applyPatch(device, patch);
      // A transaction is cut the same way whatever is in it.
      if (journal && !step.endsWith(' last') && !step.startsWith('first')) continue;
      const seen = sweep(t, before, patch, { path: scratch, files });
      t.true(seen.size >= 2, step);
      if (journal) t.is(seen.size, 2, `${step}: all or nothing`);
    }
    writeFileSync(path, device.read(0, device.size));
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
    const mount = mountFile(t, path);
    t.deepEqual(differences(tree, snapshot(mount.path)), []);
    mount.unmount();
  });
}

/** What the kernel finds by name, through the index if there is one. */
const contents = (cleanup: Cleanup, path: string, names: readonly string[]): string[] => {
  const mount = mountFile(cleanup, path, { readOnly: true });
  const found = names.map((name) => readFileSync(join(mount.path, name), 'utf8'));
  mount.unmount();
  return found;
};

test('a split index leaf without a journal: all files are found at every cut, and the rest of the patch ends it', (t) => {
  const folder = temporaryFolder(t);
  const features = ['^has_journal'];
  const path = makeVolume(join(folder, 'volume'), { size: 8 * MIB, blockSize: 1024, features });
  mustRun('debugfs', ['-w', '-R', 'ssv flags 1', path]);
  const names: string[] = [];
  const cut = join(folder, 'cut');
  for (const name of fullLeaf()) {
    names.push(name);
    const mount = mountFile(t, path);
    for (const each of names.length === 1 ? [...names, ...filler()] : [name])
      writeFileSync(join(mount.path, each), each);
    mount.unmount();
    if (names.length === 1) names.push(...filler());
    const volume = new Volume(path);
    const request = { name: 'one', runs: highest(volume.free(), 20), time: TIME, avoid: NOTHING };
    const patch = extDriver.patch(volume.device, (editor) => extDriver.claim(editor, request));
    const split = patch.phases.length > 7;
    if (!split) continue;
    for (const { device } of cuts(volume.device, patch)) {
      writeFileSync(cut, device.read(0, device.size));
      t.deepEqual(contents(t, cut, names), names);
      run('e2fsck', ['-fy', cut]);
      t.notThrows(() => mustBeClean(e2fsckClean(cut)));
      t.deepEqual(contents(t, cut, names), names);
    }
    applyPatch(volume.device, patch);
    volume.save();
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
    return;
  }
  t.fail('no leaf was split');
});

/** Names so long that four fill a block: some of any hash, and some that belong into the leaf of `.holdfast`. */
const filler = (): string[] => [...Array(100).keys()].map((index) => `${index}-`.padEnd(244, 'n'));
const fullLeaf = (): string[] => {
  const how = { version: HASH_HALF_MD4, seed: Buffer.from(HASH_SEED.replaceAll('-', ''), 'hex') };
  const distance = (name: string): number =>
    Math.abs(hashName(Buffer.from(name), how) - hashName(Buffer.from('.holdfast'), how));
  const names = [...Array(4000).keys()].map((index) => `near-${index}-`.padEnd(244, 'n'));
  return names.sort((a, b) => distance(a) - distance(b)).slice(0, 5);
};

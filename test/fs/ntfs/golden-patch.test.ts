import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { FILE_NAME, INDEX_ENTRY, INDEX_ENTRY_END, INDEX_HEADER } from '../../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import type { Editor } from '../../../rescue/fs/patch.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, freeRuns, NOTHING, TIME } from '../editing.ts';
import { Damaged } from './damage.ts';
import { restartPage, withLog } from './log-pages.ts';
import { listingOf } from './patch-listing.ts';
import { makeNtfs } from './volumes.ts';

const bare = (line: string): string => line.replace(/\s*(\|.*)?$/, '');

/**
 * Compares with `golden/NAME.txt`; what stands behind a bar there is for people. With `UPDATE_GOLDEN` the file is written, and keeps the
 * remarks on lines that are as they were: to be reviewed before it is committed.
 */
const mustBe = (t: ExecutionContext, name: string, lines: readonly string[]): void => {
  const path = join(import.meta.dirname, 'golden', `${name}.txt`);
  const old = readFileSync(path, { encoding: 'utf8', flag: 'a+' })
    .split('\n')
    .filter((line) => line !== '');
  if (process.env['UPDATE_GOLDEN'] === undefined) {
    t.deepEqual(lines, old.map(bare), name);
    return;
  }
  const kept = lines.map((line) => {
    const at = old.findIndex((each) => bare(each) === line);
    return at < 0 ? line : old.splice(0, at + 1)[at]!;
  });
  writeFileSync(path, `${kept.join('\n')}\n`);
  t.pass();
};

/** A new volume; its root repeats the times of the system files, which are those of the test: they are made zeros there. */
const freshVolume = (t: ExecutionContext, size: number, clusterSize = 4096): MemoryDevice => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size, clusterSize });
  const volume = new Damaged(MemoryDevice.of(readFileSync(path)));
  volume.indexBlock('/', (bytes, header) => {
    let entry = header + INDEX_HEADER.get(bytes, 'entries_offset', header);
    while ((INDEX_ENTRY.get(bytes, 'ie_flags', entry) & INDEX_ENTRY_END) === 0) {
      const times = entry + INDEX_ENTRY.size + FILE_NAME.offsetOf('creation_time');
      bytes.fill(0, times, times + 32);
      entry += INDEX_ENTRY.get(bytes, 'length', entry);
    }
  });
  return volume.device;
};

/** Makes a change, and gives the listing of its patch. */
const listed = (device: MemoryDevice, edit: (editor: Editor) => void): string[] => {
  const before = device.snapshot();
  return listingOf(before, edited(ntfsDriver, device, edit));
};

const claiming =
  (name: string, runs: readonly Run[]) =>
  (editor: Editor): void =>
    claim(editor, { name, runs, time: TIME, avoid: NOTHING });

test('the first claim on a fresh volume with a log, and its release', (t) => {
  const page = restartPage({ clean: true });
  const device = withLog(freshVolume(t, 6 * MIB), page, page);
  const runs = [
    { start: 1400, length: 100 },
    { start: 1520, length: 3 },
  ];
  mustBe(t, 'claim', listed(device, claiming('image', runs)));
  const patch = listed(device, (editor) => release(editor, { name: 'image', time: TIME }));
  mustBe(t, 'release', patch);
});

test('a file with an extension record, and its release', (t) => {
  const device = freshVolume(t, 40 * MIB, 512);
  claimOne(device, 'first', 0);
  const [free] = freeRuns(ntfsDriver, device).toSorted((a, b) => b.length - a.length);
  // Four bytes for each run: more than the record has room for.
  const runs = Array.from({ length: 160 }, (_, index) => ({ start: free!.start + 128 * index, length: 1 }));
  mustBe(t, 'claim-extension', listed(device, claiming('image', runs)));
  const patch = listed(device, (editor) => release(editor, { name: 'image', time: TIME }));
  mustBe(t, 'release-extension', patch);
});

const claimOne = (device: MemoryDevice, name: string, index: number): string[] =>
  listed(device, claiming(name, [{ start: 1300 + index, length: 1 }]));

test('names go from the record to a block, a changed block to a free one, a full block to two, and back', (t) => {
  const device = freshVolume(t, 6 * MIB);
  const names = Array.from({ length: 40 }, (_, index) => `${'abcdefghij'[index % 10]!.repeat(40)}${index}`);
  const patches = names.map((name, index) => claimOne(device, name, index));
  const blocksOf = (patch: readonly string[]): ReadonlySet<string> =>
    new Set(patch.filter((line) => /^block \d+ of \/\.holdfast$/.test(line)));
  const firstWith = (count: number, after = 0): string[] =>
    patches.find((patch, index) => index >= after && blocksOf(patch).size === count)!;
  mustBe(t, 'index-root-full', firstWith(1));
  mustBe(t, 'index-block-moves', firstWith(1, patches.indexOf(firstWith(1)) + 1));
  mustBe(t, 'index-block-full', firstWith(2));
  const releases = names.map((name) => listed(device, (editor) => release(editor, { name, time: TIME })));
  // All but the last leaf are gone.
  // The last one for which a block goes.
  const emptied = releases.findLast((patch) => patch.filter((line) => line === 'record 64').length > 1);
  mustBe(t, 'index-release', emptied!);
});

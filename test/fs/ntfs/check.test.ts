import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { NumberSet } from '../../../rescue/bytes/number-set.ts';
import { complement } from '../../../rescue/bytes/runs.ts';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { Problem } from '../../../rescue/fs/filesystem.ts';
import { clusterBitmap } from '../../../rescue/fs/ntfs/allocation.ts';
import { PagedBitmap } from '../../../rescue/fs/ntfs/bitmap.ts';
import { recordProblems } from '../../../rescue/fs/ntfs/check-records.ts';
import { requireContent } from '../../../rescue/fs/ntfs/content.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { AT_BITMAP, AT_DATA, FILE_BADCLUS, FILE_MFT } from '../../../rescue/fs/ntfs/layout.ts';
import { NameLedger } from '../../../rescue/fs/ntfs/name-ledger.ts';
import { PROBLEMS } from '../../../rescue/fs/ntfs/problems.ts';
import type { Run } from '../../../rescue/units.ts';
import { codeOf } from '../../support/code-of.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { Damaged, smallVolume } from './damage.ts';
import { DAMAGES, FREE_RECORD, firstCluster, moveFirstRun } from './damages.ts';
import { complaints } from './volumes.ts';

const problemsOf = (device: MemoryDevice): readonly Problem[] => openNtfs(device).check();

test('each damage is found, and nothing else', (t) => {
  const base = smallVolume(t);
  t.deepEqual(problemsOf(base), []);
  const path = join(temporaryFolder(t), 'damaged');
  for (const { name, make, expected, judged = false } of DAMAGES) {
    const damaged = new Damaged(base);
    make(damaged);
    const problems = problemsOf(damaged.device);
    t.deepEqual([...new Set(problems.map(({ code }) => code))].sort(), [...expected].sort(), name);
    if (expected.length === 1) t.is(problems.length, 1, name);
    t.true(problems.every(({ where, wayOut }) => where.includes('byte position') && wayOut !== undefined));
    if (!judged) continue;
    writeFileSync(path, damaged.device.read(0, damaged.device.size));
    t.true(complaints(path).length > 0, `ntfs-3g's programs do not see: ${name}`);
  }
});

test('every problem of the table is found by a test', (t) => {
  const found = new Set(DAMAGES.flatMap(({ expected }) => expected));
  t.deepEqual(
    Object.keys(PROBLEMS).filter((code) => !found.has(code)),
    [],
  );
});

test('leaked clusters and records are no problem', (t) => {
  const damaged = new Damaged(smallVolume(t));
  const free = [...openNtfs(damaged.device).allocation()].at(-1)!;
  damaged.bit('clusters', free.start + free.length + 3, true);
  damaged.bit('records', FREE_RECORD, true);
  t.deepEqual(problemsOf(damaged.device), []);
});

test('bad clusters: in use, listed as bad, and no problem', (t) => {
  const damaged = new Damaged(smallVolume(t));
  const { clusterCount } = damaged.volume;
  // One byte holds the number, as a positive one.
  const isFree = complement(openNtfs(damaged.device).allocation(), { start: 64, length: 63 });
  const [{ start: bad }] = [...isFree] as [Run, ...Run[]];
  const rest = clusterCount - bad - 1;
  const stream = damaged.attribute('/$BadClus', AT_DATA, '$Bad');
  if (stream.resident) throw new Error('$Bad is resident');
  const { from, to } = stream.pairs;
  t.is(to - from, 8);
  damaged.record(FILE_BADCLUS, (bytes) =>
    bytes.set([0x01, bad, 0x11, 0x01, bad, 0x02, rest & 0xff, rest >>> 8], from),
  );
  damaged.bit('clusters', bad, true);
  t.deepEqual([...openNtfs(damaged.device).bad()], [{ start: bad, length: 1 }]);
  t.deepEqual(problemsOf(damaged.device), []);
  // A bad cluster whose number is not its place in the stream.
  damaged.record(FILE_BADCLUS, (bytes) => bytes.fill(bad + 1, from + 4, from + 5));
  t.is(
    codeOf(() => [...openNtfs(damaged.device).bad()]),
    'corrupt:ntfs.bad-clusters',
  );
});

test('the limit is kept', (t) => {
  const damaged = new Damaged(smallVolume(t));
  for (const path of ['/a', '/b']) damaged.bit('clusters', firstCluster(damaged, path), false);
  t.is(openNtfs(damaged.device).check().length, 2);
  t.is(openNtfs(damaged.device).check(1).length, 1);
});

/** The check of records with windows of so many clusters. */
const windowed = (device: MemoryDevice, window: number, used: number): string[] => {
  const { volume } = new Damaged(device);
  const mft = volume.file(FILE_MFT);
  const marks = new PagedBitmap(
    requireContent(mft, AT_BITMAP, '', 'bitmap'),
    volume.recordCount,
    mft.record.place,
  );
  const check = {
    volume,
    clusters: clusterBitmap(volume),
    marks,
    upCase: undefined,
    ledger: new NameLedger(),
    damagedRecords: new NumberSet(),
    damagedFolders: new NumberSet(),
  };
  return [...recordProblems(check, used, window)].map(({ code }) => code);
};

test('owners are compared window by window, and damage reported once', (t) => {
  const base = smallVolume(t);
  const used = [...openNtfs(base).allocation()].reduce((sum, { length }) => sum + length, 0);
  t.deepEqual(windowed(base, 100, used), []);
  const damaged = new Damaged(base);
  moveFirstRun(damaged, '/a', firstCluster(damaged, '/b'));
  damaged.flip(damaged.volume.recordOffset(damaged.node('/few/two')) + 510);
  const expected = ['ntfs.multiply-claimed', 'ntfs.update-sequence'];
  // /a has three clusters: windows of 1000 hold them all, windows of 100 may cut them.
  for (const window of [1000, 2 ** 28])
    t.deepEqual(windowed(damaged.device, window, used + 1).sort(), expected);
});

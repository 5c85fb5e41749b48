import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../../rescue/bytes/runs.ts';
import { openFile } from '../../../rescue/device/file.ts';
import type { FileSystem } from '../../../rescue/fs/filesystem.ts';
import { isPlain } from '../../../rescue/fs/ntfs/attribute.ts';
import { openContent, readHead } from '../../../rescue/fs/ntfs/content.ts';
import { extentRuns } from '../../../rescue/fs/ntfs/file.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { AT_ATTRIBUTE_LIST, AT_DATA, FILE_MFT } from '../../../rescue/fs/ntfs/layout.ts';
import { ownAttributes } from '../../../rescue/fs/ntfs/record.ts';
import { clustersOf } from '../../../rescue/fs/ntfs/runlist.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import {
  complaints,
  fill,
  informationOf,
  makeNtfs,
  mountNtfs,
  runsByNtfscluster,
  scatterMft,
  VARIANTS,
  type Variant,
} from './volumes.ts';

interface Listed {
  readonly path: string;
  readonly type: string;
  /** Of files only: what a folder's or a link's size is, drivers see differently. */
  readonly size: number;
  readonly node: number;
  readonly modified: number;
}

const TYPES: Readonly<Record<string, string>> = { f: 'file', d: 'directory', l: 'symlink' };

/** What ntfs-3g lists below a mount point, system files included. */
const listedByMount = (mountpoint: string): Listed[] =>
  mustRun('find', ['.', '-printf', '%P\\0%y\\0%s\\0%i\\0%T@\\0\\0'], { cwd: mountpoint })
    .stdoutBytes.toString('utf8')
    .split('\0\0')
    .filter((record) => record !== '')
    .map((record) => {
      // The root's path is empty: its record begins with the separator.
      const [path, type, size, node, modified] = record.split('\0') as [
        string,
        string,
        string,
        string,
        string,
      ];
      return {
        path: `/${path}`,
        type: TYPES[type] ?? 'other',
        size: type === 'f' ? Number(size) : 0,
        node: Number(node),
        modified: Math.floor(Number(modified)),
      };
    })
    .sort(byPath);

const byPath = (a: Listed, b: Listed): number => (a.path < b.path ? -1 : 1);

const listedByHoldfast = (fileSystem: FileSystem): Listed[] =>
  [...fileSystem.walk()]
    .map(({ path, type, size, node, modified }) => ({
      path,
      type,
      size: type === 'file' ? size : 0,
      node,
      modified,
    }))
    .sort(byPath);

/** Clusters of all attributes of a file, its attribute list too, in the form of `runsByNtfscluster`. */
const runsOfRecord = (volume: NtfsVolume, number: number): string[] => {
  const file = volume.file(number);
  const lists = [...ownAttributes(file.record)].filter(({ type }) => type === AT_ATTRIBUTE_LIST);
  return [...file.attributes(), ...lists]
    .flatMap((attribute) => (attribute.resident ? [] : [...clustersOf(extentRuns(volume, attribute))]))
    .map(({ start, length }) => `${start} ${length}`);
};

/** Cluster numbers: ntfscluster may print runs apart where an attribute list cuts. */
const clusterSet = (runs: readonly string[]): string[] =>
  runs
    .flatMap((run) => {
      const [start, length] = run.split(' ').map(Number) as [number, number];
      return Array.from({ length }, (_, index) => String(start + index));
    })
    .sort();

/** Geometry, allocation and consistency against ntfsinfo, ntfsresize and ntfsfix. */
const judge = (t: ExecutionContext, path: string, variant: Variant): void => {
  t.deepEqual(complaints(path, variant), []);
  const device = openFile(path);
  t.teardown(() => device.close());
  const fileSystem = openNtfs(device);
  const { geometry } = fileSystem;
  const facts = informationOf(path);
  t.is(facts.get('Cluster Size'), String(geometry.clusterSize));
  t.is(facts.get('Volume Size in Clusters'), String(geometry.clusterCount));
  t.is(facts.get('MFT Record Size'), String(fileSystem.parameters()['recordSize']));
  t.is(fileSystem.label, 'holdfast test');
  const used = totalLength(fileSystem.allocation());
  t.is(facts.get('Free Clusters')?.split(' ')[0], String(geometry.clusterCount - used));
  t.is(geometry.size, Math.floor(variant.size / (variant.sectorSize ?? 512)) * (variant.sectorSize ?? 512));
  t.is(fileSystem.parameters()['backupBootSector'], 'same');
  t.deepEqual(geometry.recognition[1], {
    start: geometry.size - (variant.sectorSize ?? 512),
    length: variant.sectorSize ?? 512,
  });
  t.deepEqual(fileSystem.refusals(), []);
  t.deepEqual(fileSystem.check(), []);
  t.deepEqual(fileSystem.containers(), []);
  t.deepEqual(fileSystem.excludes(), []);
  t.deepEqual([...fileSystem.bad()], []);
  t.is(fileSystem.uuid, mustRun('blkid', ['-p', '-o', 'value', '-s', 'UUID', path]).stdout.trim());
};

/** Every plain file's content, by its runs, as the mount gives it. Gives how many were compared. */
const compareContent = (
  t: ExecutionContext,
  volume: NtfsVolume,
  fileSystem: FileSystem,
  mounted: string,
): number => {
  let compared = 0;
  for (const entry of fileSystem.walk()) {
    if (entry.type !== 'file' || entry.path.startsWith('/$') || entry.size > 24 * MIB) continue;
    const file = volume.file(entry.node);
    const data = file.find(AT_DATA, '');
    if (data === undefined || !isPlain(data)) continue;
    const content = Buffer.from(readHead(openContent(file, AT_DATA, '')!, entry.size));
    const expected = readFileSync(join(mounted, entry.path));
    if (Buffer.compare(content, expected) !== 0) t.fail(`${entry.path} differs`);
    const runs = [...entry.runs()];
    const whole = !data.resident && totalLength(runs) * volume.clusterSize >= entry.size;
    if (whole) {
      const joined = Buffer.concat(
        runs.map(({ start, length }) =>
          volume.device.read(volume.clusterOffset(start), length * volume.clusterSize),
        ),
      );
      if (Buffer.compare(joined.subarray(0, entry.size), expected) !== 0)
        t.fail(`runs of ${entry.path} differ`);
    }
    compared += 1;
  }
  return compared;
};

const variantTest = (t: ExecutionContext, variant: Variant): void => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), variant);
  judge(t, path, variant);
  const filling = mountNtfs(t, path, variant);
  fill(filling.path, variant);
  filling.unmount();
  judge(t, path, variant);
  const device = openFile(path);
  t.teardown(() => device.close());
  const fileSystem = openNtfs(device);
  const volume = new NtfsVolume(device);
  const mount = mountNtfs(t, path, { ...variant, readOnly: true, options: ['show_sys_files'] });
  // FUSE has no inode 0, which is $MFT's number.
  const lines = (all: readonly Listed[]): string[] =>
    all.filter(({ path: each }) => each !== '/$MFT').map((each) => JSON.stringify(each));
  const ours = lines(listedByHoldfast(fileSystem));
  const theirs = lines(listedByMount(mount.path));
  t.deepEqual(
    ours.filter((each) => !theirs.includes(each)),
    [],
  );
  t.deepEqual(
    theirs.filter((each) => !ours.includes(each)),
    [],
  );
  t.true(compareContent(t, volume, fileSystem, mount.path) > 30);
  const streams = [...fileSystem.walk()].find(({ path: each }) => each === '/streams/file')!;
  for (const name of ['small', 'large', 'stream with a longer name 7']) {
    const content = openContent(volume.file(streams.node), AT_DATA, name)!;
    const expected = readFileSync(join(mount.path, `streams/file:${name}`));
    t.deepEqual(Buffer.from(readHead(content, content.size)), expected, name);
  }
  mount.unmount();
  const looked = [
    '/$MFT',
    '/$Bitmap',
    '/sizes/sparse',
    '/sizes/huge',
    '/turns/left',
    '/links/first',
    '/many',
    '/streams/file',
  ];
  if ((variant.clusterSize ?? 4096) <= 4096) looked.push('/compressed/prose', '/compressed/noise');
  const nodes = new Map([...fileSystem.walk()].map((entry) => [entry.path, entry.node]));
  for (const each of looked) {
    const node = nodes.get(each)!;
    t.deepEqual(clusterSet(runsOfRecord(volume, node)), clusterSet(runsByNtfscluster(path, node)), each);
  }
  t.true(volume.file(nodes.get('/links/first')!).list !== undefined, 'no attribute list was made');
  // Records of 4 KiB hold some 500 runs, and larger clusters are few.
  if (volume.recordSize === 1024 && volume.clusterSize <= 4096)
    t.true(volume.file(nodes.get('/turns/striped')!).list !== undefined, 'no file in many pieces was made');
};

for (const variant of VARIANTS) test.serial(variant.name, variantTest, variant);

test.serial('a $MFT in pieces, with an attribute list of its own', (t) => {
  const variant = { name: 'scattered', size: 8 * MIB, clusterSize: 512 };
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), variant);
  const mount = mountNtfs(t, path);
  const files = scatterMft(mount.path, 700);
  mount.unmount();
  judge(t, path, variant);
  const device = openFile(path);
  t.teardown(() => device.close());
  const volume = new NtfsVolume(device);
  const mft = volume.file(FILE_MFT);
  t.true((mft.list?.length ?? 0) > 3, 'no attribute list was made');
  t.deepEqual(clusterSet(runsOfRecord(volume, FILE_MFT)), clusterSet(runsByNtfscluster(path, FILE_MFT)));
  t.is([...openNtfs(device).walk()].filter(({ path: each }) => each.startsWith('/many/')).length, files);
});

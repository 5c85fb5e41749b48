import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { SpanSet, totalLength } from '../../../rescue/bytes/runs.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { noiseSource } from '../../support/noise.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { differences, snapshot } from '../../support/tree.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { highest, scattered } from '../editing.ts';
import { debugfs, freeCounts, Volume } from './editing.ts';

interface Variant extends Omit<VolumeOptions, 'size'> {
  readonly size?: number;
  /** Mount options for the first mount, by which the kernel sets journal features. */
  readonly mount?: readonly string[];
}

const variants: Record<string, Variant> = {
  'ext2, 1 KiB blocks': { type: 'ext2', blockSize: 1024 },
  'ext2, 4 KiB blocks': { type: 'ext2', blockSize: 4096 },
  'ext2 without any feature': { type: 'ext2', blockSize: 1024, features: ['none'] },
  'ext3, 1 KiB blocks': { type: 'ext3', blockSize: 1024 },
  'ext3, 2 KiB blocks': { type: 'ext3', blockSize: 2048 },
  'ext3, indexed folders off': { type: 'ext3', blockSize: 4096, features: ['^dir_index', '^filetype'] },
  'ext4, 1 KiB blocks': { blockSize: 1024 },
  'ext4, 2 KiB blocks': { blockSize: 2048 },
  'ext4, 4 KiB blocks': { blockSize: 4096 },
  'ext4, no journal': { features: ['^has_journal'] },
  'ext4, journal checksum v1': { features: ['^metadata_csum'], mount: ['journal_checksum'] },
  'ext4, journal checksum v3': { features: ['64bit', 'metadata_csum'] },
  'ext4, uninit_bg': { features: ['^metadata_csum', 'uninit_bg'], blockSize: 1024 },
  'ext4, no group checksums': { features: ['^metadata_csum', '^uninit_bg'] },
  'ext4, bigalloc': { features: ['bigalloc'] },
  'ext4, bigalloc, 1 KiB blocks': { features: ['bigalloc'], blockSize: 1024, more: ['-C', '8192'] },
  'ext4, meta_bg': { features: ['meta_bg', '^resize_inode'], blockSize: 1024, more: ['-g', '1024'] },
  'ext4, no flex_bg': { features: ['^flex_bg'], blockSize: 1024 },
  'ext4, no 64bit': { features: ['^64bit'] },
  'ext4, metadata_csum_seed': { features: ['metadata_csum_seed'] },
  'ext4, orphan_file': { features: ['orphan_file'] },
  'ext4, inline_data': { features: ['inline_data'] },
  'ext4, inline_data, no journal': { features: ['inline_data', '^has_journal'], blockSize: 1024 },
  'ext4, ea_inode': { features: ['ea_inode'] },
  'ext4, sparse_super2': { features: ['sparse_super2'] },
  'ext4, fast_commit': { features: ['fast_commit'] },
  'ext4, small groups, 128-byte inodes': { blockSize: 1024, more: ['-g', '1024', '-I', '128'] },
  'ext4, large inodes': { blockSize: 4096, more: ['-I', '1024'] },
  'ext4 without extents': { features: ['^extent', '^64bit'] },
  'ext4, lazily initialised tables': {
    blockSize: 1024,
    extended: ['lazy_itable_init=1', 'lazy_journal_init=1'],
  },
};

/** Content that tells each cluster from every other. */
const fill = (volume: Volume, runs: readonly Run[], clusterSize: number): Buffer => {
  const random = noiseSource(`cluster ${runs[0]!.start}`);
  const content = random(totalLength(runs) * clusterSize);
  let at = 0;
  for (const { start, length } of runs) {
    volume.device.write(start * clusterSize, content.subarray(at, at + length * clusterSize));
    at += length * clusterSize;
  }
  return content;
};

for (const [what, options] of Object.entries(variants)) {
  test(`claim and release: ${what}`, (t) => {
    const folder = temporaryFolder(t);
    const path = makeVolume(join(folder, 'volume'), { size: 40 * MIB, ...options });
    const first = mountFile(t, path, { options: options.mount });
    mkdirSync(join(first.path, 'data'));
    for (let index = 0; index < 40; index += 1) {
      writeFileSync(
        join(first.path, index % 2 === 0 ? 'data' : '.', `file ${index}`),
        noiseSource(`${index}`)(index * 3000),
      );
    }
    for (let index = 0; index < 40; index += 4) rmSync(join(first.path, 'data', `file ${index}`));
    // Delayed allocation: until then files do not account for their indirect blocks.
    mustRun('sync', ['-f', first.path]);
    const tree = snapshot(first.path);
    first.unmount();

    const volume = new Volume(path);
    const counts = freeCounts(path);
    const { clusterSize } = extDriver.open(volume.device).geometry;
    const upper = highest(volume.free(), Math.floor((5 * MIB) / clusterSize));
    const upperContent = fill(volume, upper, clusterSize);
    volume.claim('upper', upper);
    t.notThrows(() => mustBeClean(e2fsckClean(path)), 'first claim');
    const rest = volume.free();
    const parts = scattered(rest, Math.min(1500, Math.floor(totalLength(rest) / 4)));
    const partsContent = fill(volume, parts, clusterSize);
    volume.claim('parts', parts);
    t.notThrows(() => mustBeClean(e2fsckClean(path)), 'second claim');

    const listed = extDriver.open(volume.device).containers();
    t.deepEqual(
      listed.map((each) => each.name),
      ['parts', 'upper'],
    );
    t.is(totalLength(listed[0]!.runs), totalLength(parts));
    const stat = debugfs(path, 'stat /.holdfast/upper.hfi');
    t.regex(stat, /Type: regular +Mode: +0400/);
    t.regex(stat, /Flags: 0x[0-9a-f]*50\b/, 'immutable and nodump');
    t.regex(stat, /Links: 1 /);

    const mount = mountFile(t, path);
    t.deepEqual(differences(tree, snapshot(mount.path)), []);
    t.true(
      upperContent.equals(readFileSync(join(mount.path, '.holdfast/upper.hfi'))),
      'content of the first',
    );
    t.true(
      partsContent.equals(readFileSync(join(mount.path, '.holdfast/parts.hfi'))),
      'content of the second',
    );
    t.throws(() => rmSync(join(mount.path, '.holdfast/upper.hfi')), { code: 'EPERM' });
    mount.unmount();
    // The kernel has written to the file meanwhile.
    const later = new Volume(path);
    const untouched = freeCounts(path);
    t.is(new Volume(path).free().length, later.free().length);

    later.release('upper');
    t.notThrows(() => mustBeClean(e2fsckClean(path)), 'first release');
    t.deepEqual(
      extDriver
        .open(later.device)
        .containers()
        .map((each) => each.name),
      ['parts'],
    );
    later.release('parts');
    t.notThrows(() => mustBeClean(e2fsckClean(path)), 'second release');
    if (!options.features?.includes('inline_data')) t.is(freeCounts(path), counts);
    t.not(untouched, counts);

    later.claim('again', highest(later.free(), 300));
    const last = mountFile(t, path);
    t.deepEqual(differences(tree, snapshot(last.path)), []);
    writeFileSync(join(last.path, 'new'), noiseSource('new')(3 * MIB));
    for (let index = 0; index < 200; index += 1) writeFileSync(join(last.path, `small ${index}`), 'x');
    rmSync(join(last.path, 'data'), { recursive: true });
    mustRun('chattr', ['-i', join(last.path, '.holdfast/again.hfi')]);
    rmSync(join(last.path, '.holdfast'), { recursive: true });
    last.unmount();
    t.notThrows(() => mustBeClean(e2fsckClean(path)), 'after the kernel removed the container');
  });
}

test('a claim leaves clusters alone that are to be avoided', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 16 * MIB,
    blockSize: 1024,
    type: 'ext3',
  });
  const volume = new Volume(path);
  const runs = highest(volume.free(), 2000);
  const free = new SpanSet(volume.free());
  // All but the twentieth part of what is free.
  const avoid = { has: (cluster: number) => cluster % 20 !== 7 };
  const before = volume.device.snapshot();
  volume.claim('avoiding', runs, avoid);
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  const claimed = new SpanSet(runs);
  for (let cluster = 1; cluster < volume.device.size / 1024; cluster += 1) {
    if (!free.has(cluster) || claimed.has(cluster) || !avoid.has(cluster)) continue;
    const same =
      Buffer.compare(before.read(cluster * 1024, 1024), volume.device.read(cluster * 1024, 1024)) === 0;
    if (!same) t.fail(`cluster ${cluster} was changed`);
  }
});

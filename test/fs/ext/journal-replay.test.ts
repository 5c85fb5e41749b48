import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { openJournal } from '../../../rescue/fs/ext/journal.ts';
import { LOG_HEADER, setJournalSuperblockChecksum } from '../../../rescue/fs/ext/journal-log.ts';
import {
  JOURNAL_COMPAT_CHECKSUM,
  JOURNAL_INCOMPAT_64BIT,
  JOURNAL_INCOMPAT_CSUM_V2,
  JOURNAL_INCOMPAT_CSUM_V3,
  JOURNAL_MAGIC,
  JOURNAL_SUPERBLOCK,
} from '../../../rescue/fs/ext/layout.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import type { Patch, PatchWrite } from '../../../rescue/fs/patch.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { e2fsckClean, e2fsckPreen, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { noiseSource } from '../../support/noise.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { highest, NOTHING, TIME } from '../editing.ts';
import { Volume } from './editing.ts';

const content = (volume: Volume, runs: readonly Run[]): Buffer =>
  Buffer.concat(runs.map(({ start, length }) => volume.device.read(start * 1024, length * 1024)));

const claimPatch = (volume: Volume, runs: readonly Run[]): Patch<PatchWrite> =>
  extDriver.patch(volume.device, (editor) =>
    extDriver.claim(editor, { name: 'one', runs, time: TIME, avoid: NOTHING }),
  );

/** Applies phases up to `count`, exclusive: with 3, the transaction counts but nothing of it is in place. */
const applyPhases = (volume: Volume, patch: Patch<PatchWrite>, count: number): void => {
  for (const phase of patch.phases.slice(0, count))
    for (const { offset, after } of phase) volume.device.write(offset, after);
};

interface JournalFeatures {
  readonly compat: number;
  readonly incompat: number;
}

/** Gives the journal these features, as a kernel would at a mount. */
const setFeatures = (volume: Volume, { compat, incompat }: JournalFeatures): void => {
  const { offset, superblock } = openJournal(new ExtVolume(volume.device))!;
  JOURNAL_SUPERBLOCK.set(superblock, 's_feature_compat', compat);
  JOURNAL_SUPERBLOCK.set(superblock, 's_feature_incompat', incompat);
  JOURNAL_SUPERBLOCK.set(superblock, 's_checksum_type', incompat & ~JOURNAL_INCOMPAT_64BIT ? 4 : 0);
  setJournalSuperblockChecksum(superblock);
  volume.device.write(offset, superblock);
};

/** The replay by e2fsck and the one by the kernel both give the container. */
const replays = (t: ExecutionContext, volume: Volume, patch: Patch<PatchWrite>, expected: Buffer): void => {
  applyPhases(volume, patch, 3);
  volume.save();
  const copy = `${volume.path}-e2fsck`;
  volume.save(copy);
  const mended = e2fsckPreen(copy);
  t.true(mended.clean, mended.output);
  t.regex(mended.output, /recovering journal/);
  for (const path of [copy, volume.path]) {
    const mount = mountFile(t, path);
    t.true(expected.equals(readFileSync(join(mount.path, '.holdfast/one.hfi'))), 'content');
    writeFileSync(join(mount.path, 'new'), 'new');
    mount.unmount();
    t.notThrows(() => mustBeClean(e2fsckClean(path)));
  }
};

const prepare = (t: ExecutionContext, options: Partial<VolumeOptions> = {}): Volume =>
  new Volume(makeVolume(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, blockSize: 1024, ...options }));

const withNoise = (volume: Volume, runs: readonly Run[]): Buffer => {
  for (const { start, length } of runs)
    volume.device.write(start * 1024, noiseSource(`${start}`)(length * 1024));
  return content(volume, runs);
};

const CHECKSUMS = {
  'no checksums': { compat: 0, incompat: 0 },
  'checksums v1': { compat: JOURNAL_COMPAT_CHECKSUM, incompat: 0 },
  'checksums v2': { compat: 0, incompat: JOURNAL_INCOMPAT_CSUM_V2 },
  'checksums v3': { compat: 0, incompat: JOURNAL_INCOMPAT_CSUM_V3 },
};
for (const [what, features] of Object.entries(CHECKSUMS)) {
  for (const wide of [0, JOURNAL_INCOMPAT_64BIT]) {
    const label = `${what}${wide ? ', 64bit' : ''}`;
    test(`the transaction is replayed by others: ${label}`, (t) => {
      const volume = prepare(t);
      setFeatures(volume, { ...features, incompat: features.incompat | wide });
      const runs = highest(volume.free(), 900);
      const expected = withNoise(volume, runs);
      replays(t, volume, claimPatch(volume, runs), expected);
    });
  }
  if (what === 'no checksums') continue;
  test(`a transaction with a changed byte is not replayed: ${what}`, (t) => {
    const volume = prepare(t);
    setFeatures(volume, features);
    const patch = claimPatch(volume, highest(volume.free(), 900));
    applyPhases(volume, patch, 3);
    // In the middle of the second logged block.
    const at = patch.phases[1]![0]!.offset + 2 * 1024 + 512;
    volume.device.write(
      at,
      volume.device.read(at, 1).map((byte) => byte ^ 1),
    );
    volume.save();
    t.regex(e2fsckPreen(volume.path).output, /[Cc]hecksum|corrupt/);
    // Version 1 covers the transaction as a whole, the others each block.
    if (features.compat === 0) return;
    mustRun('sh', ['-c', 'e2fsck -fy "$0" >/dev/null || test $? -lt 4', volume.path]);
    t.deepEqual(extDriver.open(new Volume(volume.path).device).containers(), []);
  });
}

test('a logged block that begins like one of the log is escaped', (t) => {
  const volume = prepare(t, { size: 40 * MIB });
  // These clusters, taken from the start of an empty group, make its bitmap begin with the journal's magic.
  const magic = LOG_HEADER.encode({ h_magic: JOURNAL_MAGIC }).subarray(0, 4);
  const start = 1 + 4 * 8192;
  t.true(volume.free().some((run) => run.start <= start && run.start + run.length > start + 64));
  const bits = [...Array(32).keys()].filter((bit) => (magic[bit >> 3]! >> (bit & 7)) & 1);
  const runs = bits.map((bit) => ({ start: start + bit, length: 1 }));
  const expected = withNoise(volume, runs);
  const patch = claimPatch(volume, runs);
  const inPlace = patch.phases[3]!.filter(({ after }) => Buffer.compare(after.subarray(0, 4), magic) === 0);
  t.is(inPlace.length, 1);
  const logged = patch.phases[1]!.flatMap(({ after }) =>
    [...Array(after.length / 1024).keys()].map((block) => after.subarray(block * 1024, block * 1024 + 4)),
  );
  // All that begin so in the log are a descriptor and the commit block.
  t.is(logged.filter((start) => Buffer.compare(start, magic) === 0).length, 2);
  replays(t, volume, patch, expected);
});

test('a journal in many pieces', (t) => {
  const volume = prepare(t, { features: ['^has_journal'] });
  const mount = mountFile(t, volume.path);
  for (let index = 0; index < 1300; index += 1)
    writeFileSync(join(mount.path, `f${index}`), noiseSource(`${index}`)(5 * 1024));
  for (let index = 0; index < 1300; index += 2) rmSync(join(mount.path, `f${index}`));
  mount.unmount();
  mustRun('tune2fs', ['-j', '-J', 'size=1', volume.path]);
  const fragmented = new Volume(volume.path);
  const runs = highest(fragmented.free(), 900);
  const expected = withNoise(fragmented, runs);
  const patch = claimPatch(fragmented, runs);
  t.true(patch.phases[1]!.length > 1, 'the log is in several places');
  replays(t, fragmented, patch, expected);
});

test('a journal with fast commits', (t) => {
  const volume = prepare(t, {
    size: 24 * MIB,
    features: ['fast_commit'],
    more: ['-J', 'size=4,fast_commit_size=1'],
  });
  const mount = mountFile(t, volume.path);
  writeFileSync(join(mount.path, 'file'), 'content');
  mount.unmount();
  const used = new Volume(volume.path);
  const runs = highest(used.free(), 900);
  const expected = withNoise(used, runs);
  replays(t, used, claimPatch(used, runs), expected);
});

for (const phases of [1, 2]) {
  test(`the kernel goes on with a journal that was cut off in phase ${phases + 1}`, (t) => {
    const volume = prepare(t);
    const patch = claimPatch(volume, highest(volume.free(), 900));
    applyPhases(volume, patch, phases);
    volume.save();
    for (let round = 0; round < 3; round += 1) {
      const mount = mountFile(t, volume.path);
      for (let index = 0; index < 20; index += 1) {
        writeFileSync(join(mount.path, `${round}-${index}`), noiseSource(`${index}`)(5000));
        mustRun('sync', ['-f', mount.path]);
      }
      mount.unmount();
      t.notThrows(() => mustBeClean(e2fsckClean(volume.path)));
    }
    t.deepEqual(extDriver.open(new Volume(volume.path).device).containers(), []);
  });
}

test('without room in the journal the volume is marked instead', (t) => {
  const volume = prepare(t);
  const { offset, superblock } = openJournal(new ExtVolume(volume.device))!;
  const narrow = Uint8Array.from(superblock);
  JOURNAL_SUPERBLOCK.set(narrow, 's_first', JOURNAL_SUPERBLOCK.get(superblock, 's_maxlen') - 6);
  volume.device.write(offset, narrow);
  const patch = claimPatch(volume, highest(volume.free(), 900));
  t.false(patch.phases.flat().some((write) => write.scratch === true));
  applyPhases(volume, patch, 1);
  volume.device.write(offset, superblock);
  volume.save();
  t.regex(mustRun('dumpe2fs', ['-h', volume.path]).stdout, /Filesystem state: +not clean/);
  applyPhases(volume, patch, patch.phases.length);
  volume.save();
  t.notThrows(() => mustBeClean(e2fsckClean(volume.path)));
  t.regex(mustRun('dumpe2fs', ['-h', volume.path]).stdout, /Filesystem state: +clean/);
});

import { closeSync, copyFileSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { openExt } from '../../../rescue/fs/ext/filesystem.ts';
import { MIB } from '../../../rescue/units.ts';
import { e2fsckPreen } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';

const SIZE = 16 * MIB;

const refusals = (path: string) => {
  const device = openFile(path);
  try {
    return openExt(device).refusals();
  } finally {
    device.close();
  }
};
const codes = (path: string): string[] => refusals(path).map((problem) => problem.code);

const make = (t: ExecutionContext, options: Partial<VolumeOptions> = {}): string =>
  makeVolume(join(temporaryFolder(t), 'volume'), { size: SIZE, ...options });

/** A copy of the volume as it is while something is written to it, mounted: what a power cut leaves. */
const cutWhileMounted = (t: ExecutionContext, options: Partial<VolumeOptions>): string => {
  const path = make(t, options);
  const mount = mountFile(t, path);
  writeFileSync(join(mount.path, 'some file'), 'content');
  // An open file without a name is an orphan.
  const orphan = join(mount.path, 'orphan');
  const handle = openSync(orphan, 'w');
  writeSync(handle, 'content');
  rmSync(orphan);
  mustRun('sync', ['--file-system', mount.path]);
  mustRun('blockdev', ['--flushbufs', mount.device]);
  const copy = `${path}.cut`;
  copyFileSync(path, copy);
  closeLater(t, handle);
  return copy;
};

/** Closes before the volume is unmounted, which needs it closed: teardowns run last first. */
const closeLater = (t: ExecutionContext, handle: number): void => t.teardown(() => closeSync(handle));

const MOUNTED: readonly [string, Partial<VolumeOptions>, readonly string[]][] = [
  ['ext4', {}, ['ext.journal-replay']],
  ['ext3', { type: 'ext3' }, ['ext.journal-replay']],
  ['ext2', { type: 'ext2' }, ['ext.not-clean']],
  ['no journal', { features: ['^has_journal'] }, ['ext.not-clean']],
  ['orphan file', { features: ['orphan_file'] }, ['ext.journal-replay', 'ext.orphans']],
  ['multiple mount protection', { features: ['mmp'] }, ['ext.journal-replay', 'ext.mmp-in-use']],
];

for (const [name, options, expected] of MOUNTED) {
  test(`a mounted volume is refused: ${name}`, (t) => {
    const path = cutWhileMounted(t, options);
    for (const problem of refusals(path)) t.truthy(problem.wayOut);
    t.deepEqual(
      codes(path).filter((code) => expected.includes(code)),
      expected,
    );
  });
}

test('after e2fsck a cut volume is not refused any more', (t) => {
  for (const options of [{}, { type: 'ext2' }, { features: ['orphan_file'] }] as const) {
    const path = cutWhileMounted(t, options);
    t.true(codes(path).length > 0);
    const verdict = e2fsckPreen(path);
    t.true(verdict.clean, verdict.output);
    t.deepEqual(codes(path), []);
  }
});

const SUPERBLOCK_STATES: readonly [string, string, string][] = [
  ['state', '0', 'ext.not-clean'],
  ['state', '3', 'ext.errors'],
  ['state', '5', 'ext.orphan-recovery'],
  ['error_count', '1', 'ext.errors'],
  ['last_orphan', '12', 'ext.orphans'],
];

for (const [field, value, code] of SUPERBLOCK_STATES) {
  test(`refused: ${field} ${value} in the superblock`, (t) => {
    const path = make(t);
    t.deepEqual(codes(path), []);
    mustRun('debugfs', ['-w', '-R', `ssv ${field} ${value}`, path]);
    t.deepEqual(codes(path), [code]);
  });
}

test('refused: a journal that is not empty, aborted, or of an unknown kind', (t) => {
  const path = make(t, { type: 'ext3', blockSize: 1024 });
  const block = Number(mustRun('debugfs', ['-R', 'bmap <8> 0', path]).stdout.trim());
  const put = (position: number, value: number): void => {
    const handle = openSync(path, 'r+');
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    writeSync(handle, bytes, 0, 4, block * 1024 + position);
    closeSync(handle);
  };
  // journal.rst: s_start, s_errno, s_feature_incompat.
  put(0x1c, 1);
  t.deepEqual(codes(path), ['ext.journal-replay']);
  put(0x1c, 0);
  put(0x20, 5);
  t.deepEqual(codes(path), ['ext.journal-error']);
  put(0x20, 0);
  put(0x28, 0x4000);
  t.deepEqual(codes(path), ['ext.journal-feature']);
  put(0x28, 0);
  put(0x0, 1);
  t.deepEqual(codes(path), ['ext.journal-magic']);
});

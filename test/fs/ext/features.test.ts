import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { HoldfastError } from '../../../rescue/errors.ts';
import { setSuperblockChecksum } from '../../../rescue/fs/ext/checksum.ts';
import { FEATURES, type FeatureName, type FeatureWord } from '../../../rescue/fs/ext/features.ts';
import { SUPERBLOCK, SUPERBLOCK_OFFSET } from '../../../rescue/fs/ext/layout.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeFile, makeVolume } from '../../support/volume.ts';

const SIZE = 8 * MIB;

const openError = (t: ExecutionContext, open: () => unknown): HoldfastError =>
  t.throws(open, { instanceOf: HoldfastError })!;

const volumeBytes = (t: ExecutionContext, features: readonly string[] = []): Uint8Array =>
  Uint8Array.from(readFileSync(makeVolume(join(temporaryFolder(t), 'volume'), { size: SIZE, features })));

/** Sets bits of a feature word and makes the checksum right again. */
const setBits = (bytes: Uint8Array, word: FeatureWord, bits: number): MemoryDevice => {
  const device = MemoryDevice.of(bytes);
  const { parameters } = new ExtVolume(device);
  const { superblock } = new ExtVolume(device);
  const field = `s_feature_${word}` as const;
  SUPERBLOCK.set(superblock, field, (SUPERBLOCK.get(superblock, field) | bits) >>> 0);
  setSuperblockChecksum(parameters, superblock);
  device.write(SUPERBLOCK_OFFSET, superblock);
  return device;
};

test('every refused feature is refused by its name', (t) => {
  const bytes = volumeBytes(t);
  const refused = (Object.keys(FEATURES) as FeatureName[]).filter(
    (name) => FEATURES[name].support === 'refused',
  );
  t.true(refused.length > 5);
  for (const name of refused) {
    const device = setBits(bytes, FEATURES[name].word, FEATURES[name].bit);
    const error = openError(t, () => new ExtVolume(device));
    t.is(error.kind, 'unsupported');
    t.is(error.detail.code, 'ext.feature');
    t.is(error.detail.found, name);
  }
});

test('every bit that is not in the table is refused', (t) => {
  const bytes = volumeBytes(t);
  for (const word of ['compat', 'incompat', 'ro_compat'] as const) {
    const known = Object.values(FEATURES).filter((each) => each.word === word);
    for (let bit = 0; bit < 32; bit += 1) {
      if (known.some((each) => each.bit === 2 ** bit)) continue;
      const device = setBits(bytes, word, 2 ** bit);
      const error = openError(t, () => new ExtVolume(device));
      t.is(error.kind, 'unsupported');
      t.is(error.detail.found, `FEATURE_${{ compat: 'C', incompat: 'I', ro_compat: 'R' }[word]}${bit}`);
    }
  }
});

test('what mke2fs makes with refused features is refused', (t) => {
  const folder = temporaryFolder(t);
  for (const feature of ['quota', 'project']) {
    const path = makeVolume(join(folder, feature), { size: SIZE, features: [feature] });
    const device = openFile(path);
    t.teardown(() => device.close());
    const error = openError(t, () => new ExtVolume(device));
    t.is(error.kind, 'unsupported');
    t.true(String(error.detail.found).split(' ').includes(feature));
  }
});

test('a journal device and a volume with its journal elsewhere are refused', (t) => {
  const folder = temporaryFolder(t);
  const journal = makeFile(join(folder, 'journal'), SIZE);
  mustRun('mke2fs', ['-q', '-F', '-b', '1024', '-O', 'journal_dev', journal]);
  const journalDevice = openFile(journal);
  t.teardown(() => journalDevice.close());
  t.is(openError(t, () => new ExtVolume(journalDevice)).detail.found, 'journal_dev');
  // As `mke2fs -J device=` leaves it, which needs a block device: no inode, but a device number.
  const path = makeVolume(join(folder, 'volume'), { size: SIZE, features: ['^metadata_csum'] });
  mustRun('debugfs', ['-w', '-R', 'ssv journal_inum 0', path]);
  mustRun('debugfs', ['-w', '-R', 'ssv journal_dev 0x700', path]);
  const device = openFile(path);
  t.teardown(() => device.close());
  const error = openError(t, () => new ExtVolume(device));
  t.is(error.detail.code, 'ext.external-journal');
  t.truthy(error.detail.wayOut);
});

test('a volume marked as a test of development code is refused', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), { size: SIZE, extended: ['test_fs'] });
  const device = openFile(path);
  t.teardown(() => device.close());
  t.is(openError(t, () => new ExtVolume(device)).detail.code, 'ext.test-filesystem');
});

test('the README lists every feature as the code has it', (t) => {
  const readme = readFileSync(new URL('../../../rescue/fs/ext/README.md', import.meta.url), 'utf8');
  const rows = [...readme.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)].map((match) =>
    match.slice(1).map((cell) => cell.trim()),
  );
  const words = { compat: 'compatible', incompat: 'incompatible', ro_compat: 'read-only compatible' };
  const support = { supported: 'supported', refused: 'refused', state: 'refused while set' };
  const expected = Object.entries(FEATURES).map(([name, each]) => [
    name,
    words[each.word],
    support[each.support],
    each.why,
  ]);
  t.deepEqual(rows, expected);
});

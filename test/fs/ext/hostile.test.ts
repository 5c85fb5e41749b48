import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ReadableDevice } from '../../../rescue/device/device.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { openExt } from '../../../rescue/fs/ext/filesystem.ts';
import { SUPERBLOCK_OFFSET } from '../../../rescue/fs/ext/layout.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import {
  changedBytesAreSurvived,
  eachByteIsSurvived,
  readAll,
  untypedErrorsAreSeen,
  withByte,
} from '../hostile.ts';

const smallVolume = (t: ExecutionContext, options: Partial<VolumeOptions>): MemoryDevice => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 4 * MIB,
    blockSize: 1024,
    more: ['-N', '128'],
    ...options,
  });
  const mount = mountFile(t, path);
  const many = join(mount.path, 'many');
  mkdirSync(many);
  for (let index = 0; index < 60; index += 1)
    symlinkSync('target', join(many, `a name that takes some room in the folder ${index}`));
  writeFileSync(join(mount.path, 'large'), new Uint8Array(300_000).fill(7));
  for (let index = 0; index < 12; index += 1)
    mustRun('dd', [
      'if=/dev/zero',
      `of=${join(mount.path, 'holes')}`,
      'bs=1024',
      'count=1',
      `seek=${index * 2}`,
      'conv=notrunc',
    ]);
  writeFileSync(join(mount.path, 'small'), 'inline');
  mkdirSync(join(mount.path, '.holdfast'));
  writeFileSync(join(mount.path, '.holdfast', 'a.hfi'), new Uint8Array(100_000));
  mount.unmount();
  return MemoryDevice.of(Uint8Array.from(readFileSync(path)));
};

test('any changed byte of a superblock with a checksum is noticed', (t) => {
  const device = smallVolume(t, {});
  t.is(readAll(extDriver, device), 0);
  for (let index = 0; index < 1024; index += 1)
    for (const change of [0x01, 0x80, 0xff])
      t.throws(
        () => new ExtVolume(withByte(device, SUPERBLOCK_OFFSET + index, change)),
        undefined,
        `byte ${index}`,
      );
});

test('any changed byte of a superblock without a checksum is survived', (t) => {
  const positions = Array.from({ length: 1024 }, (_, index) => SUPERBLOCK_OFFSET + index);
  eachByteIsSurvived(t, extDriver, smallVolume(t, { type: 'ext2' }), {
    positions,
    masks: [0x01, 0x80, 0xff],
  });
});

/** Bytes of the blocks that hold structures: all but content of files. */
const metadataPositions = (device: ReadableDevice): number[] => {
  const volume = new ExtVolume(device);
  const content = new Set<number>();
  for (const entry of openExt(device).walk())
    if (entry.type === 'file')
      for (const { start, length } of entry.runs())
        for (let at = 0; at < length; at += 1) content.add(start + at);
  const blocks = [...openExt(device).allocation()]
    .flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index))
    .filter((block) => !content.has(block));
  // What was never written (most of the journal, of inode tables) teaches little.
  return blocks.flatMap((block) => {
    const bytes = volume.device.read(block * volume.blockSize, volume.blockSize);
    return [...bytes.keys()].filter((at) => bytes[at] !== 0).map((at) => block * volume.blockSize + at);
  });
};

const VARIANTS: readonly [string, Partial<VolumeOptions>][] = [
  ['ext4', {}],
  ['ext4 without checksums', { features: ['^metadata_csum', '^uninit_bg'] }],
  ['ext2', { type: 'ext2' }],
  ['inline data', { features: ['inline_data', '^metadata_csum'] }],
  ['bigalloc', { features: ['bigalloc', '^metadata_csum'] }],
];

for (const [name, options] of VARIANTS) {
  test(`changed bytes of metadata end in an error or a success: ${name}`, (t) => {
    const device = smallVolume(t, options);
    changedBytesAreSurvived(t, extDriver, device, { positions: metadataPositions(device), runs: 400 });
  });
}

test('the harness can fail: an untyped error is no success', (t) => {
  untypedErrorsAreSeen(t, extDriver, smallVolume(t, { type: 'ext2' }));
});

test('a truncated device is an error', (t) => {
  const device = smallVolume(t, {});
  for (const size of [0, 512, 1024, 1500, 2048, 64 * 1024, MIB]) {
    const cut = MemoryDevice.of(device.read(0, size));
    t.throws(() => new ExtVolume(cut), { name: 'HoldfastError' }, `${size} bytes`);
  }
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { readInode } from '../../../rescue/fs/ext/inode.ts';
import { INODE } from '../../../rescue/fs/ext/layout.ts';
import { readMapping } from '../../../rescue/fs/ext/mapping.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import type { Editor } from '../../../rescue/fs/patch.ts';
import { MIB } from '../../../rescue/units.ts';
import { mountFile } from '../../support/loop.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import { highest, NOTHING, scattered, TIME } from '../editing.ts';
import { applyPatch, Volume } from './editing.ts';

/** Bytes that claim and release read: without checksums to catch a change, each field has to stand for itself. */
const structures = (device: MemoryDevice): number[] => {
  const volume = new ExtVolume(device);
  const places: { start: number; length: number }[] = [{ start: 1024, length: 1024 }];
  const block = (number: number): void => void places.push({ start: number * 1024, length: 1024 });
  for (let group = 0; group < volume.groupCount; group += 1) {
    const { offset, bytes, blockBitmap, inodeBitmap } = volume.group(group);
    places.push({ start: offset, length: bytes.length });
    block(blockBitmap);
    block(inodeBitmap);
  }
  for (const number of [2, 8, 12, 13, 14, 15]) {
    const { offset, flags } = readInode(volume, number);
    places.push({ start: offset, length: INODE.size });
    const isFolder = number !== 8 && (flags & 0x10) === 0;
    let taken = 0;
    for (const item of readMapping(volume, readInode(volume, number))) {
      if (item.kind === 'node' || (isFolder && taken < 8) || (number === 8 && taken === 0)) block(item.start);
      taken += 1;
    }
  }
  return places.flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index));
};

const volumes: Record<string, VolumeOptions> = {
  'ext4, indexed root': { size: 8 * MIB, blockSize: 1024, features: ['^metadata_csum', '^uninit_bg'] },
  ext2: { size: 4 * MIB, blockSize: 1024, type: 'ext2' },
};

for (const [what, options] of Object.entries(volumes)) {
  test(`any changed byte gives a typed error or a patch, in bounded time: ${what}`, (t) => {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), options);
    const mount = mountFile(t, path);
    mkdirSync(join(mount.path, '.holdfast'));
    for (let index = 0; index < 150; index += 1)
      writeFileSync(join(mount.path, `${index}`.padEnd(40, 'n')), '');
    mount.unmount();
    const sound = new Volume(path);
    sound.claim('old', scattered(sound.free(), 400));
    const places = structures(sound.device);
    const runs = highest(sound.free(), 300);
    const edits: ((editor: Editor) => void)[] = [
      (editor) => extDriver.claim(editor, { name: 'new', runs, time: TIME, avoid: NOTHING }),
      (editor) => extDriver.release(editor, { name: 'old', time: TIME }),
    ];
    let patched = 0;
    let refused = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...places),
        fc.integer({ min: 1, max: 255 }),
        fc.constantFrom(...edits),
        (at, mask, edit) => {
          const device = sound.device.snapshot();
          device.write(
            at,
            device.read(at, 1).map((byte) => byte ^ mask),
          );
          try {
            applyPatch(device, extDriver.patch(device, edit));
            patched += 1;
          } catch (error) {
            if (!isHoldfastError(error)) throw error;
            refused += 1;
          }
        },
      ),
      { numRuns: 2500, seed: 20240301 },
    );
    t.true(patched > 100 && refused > 20, `${patched} patched, ${refused} refused`);
  });
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { claim } from '../../../rescue/fs/fat/claim.ts';
import { folderOf, lookup, rootFolder } from '../../../rescue/fs/fat/directory.ts';
import { fatDriver } from '../../../rescue/fs/fat/fat.ts';
import { DIRECTORY_ENTRY } from '../../../rescue/fs/fat/layout.ts';
import { release } from '../../../rescue/fs/fat/release.ts';
import { patch } from '../../../rescue/fs/fat/transaction.ts';
import { FatVolume } from '../../../rescue/fs/fat/volume.ts';
import { PatchBuilder } from '../../../rescue/fs/patch.ts';
import { decodePatch, encodePatch } from '../../../rescue/image/patch-coding.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { outcomeOf } from '../../image/outcome.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, highest, NOTHING, TIME } from '../editing.ts';
import { placesOf } from './patching.ts';
import { type FatOptions, makeFat } from './volumes.ts';

const VOLUMES: Record<string, FatOptions> = {
  FAT12: { size: 1440 * KIB, bits: 12, aligned: false },
  FAT16: { size: 9 * MIB, bits: 16, sectorsPerCluster: 1 },
  FAT32: { size: 40 * MIB, bits: 32, sectorsPerCluster: 1 },
};

/** A volume with one container in three files, and where its structures lie. */
const prepared = (t: Parameters<typeof temporaryFolder>[0], options: FatOptions) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), options);
  const device = MemoryDevice.of(readFileSync(path));
  const free = [...new FatVolume(device).table.freeRuns()];
  const runs = highest(free, 25);
  edited(fatDriver, device, (editor) =>
    claim(editor, { name: 'a', runs, time: TIME, avoid: NOTHING }, { fileSize: 10 * 512 }),
  );
  return { device, places: placesOf(path) };
};

for (const [what, options] of Object.entries(VOLUMES)) {
  test(`bytes changed anywhere in the structures: a patch that can be read back, or a typed error: ${what}`, (t) => {
    const { device, places } = prepared(t, options);
    const more = highest([...new FatVolume(device).table.freeRuns()], 9);
    const near = (from: number, length: number) => fc.integer({ min: from, max: from + length - 1 });
    const position = fc.oneof(
      near(0, 512),
      ...places.tables.flatMap((at) => [
        near(at, 64),
        near(at + Math.floor(places.tableLength / 2), 64),
        near(at, places.tableLength),
      ]),
      near(places.root, 512),
      near(places.data, 4 * 512),
    );
    const change = fc.tuple(position, fc.integer({ min: 0, max: 255 }));
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const damaged = device.snapshot();
        for (const [at, byte] of changes) damaged.write(at, Uint8Array.of(byte));
        for (const edit of [
          () => patch(damaged, (editor) => release(editor, { name: 'a', time: TIME })),
          () =>
            patch(damaged, (editor) => claim(editor, { name: 'b', runs: more, time: TIME, avoid: NOTHING })),
        ]) {
          seen.add(outcomeOf(() => decodePatch(encodePatch(edit()), damaged.size)));
        }
      }),
      { numRuns: 400 },
    );
    t.true(seen.has('ok') && seen.size > 3, [...seen].join());
    t.false(
      [...seen].some((code) => code.startsWith('patch.')),
      [...seen].join(),
    );
  });
}

test('two files that share clusters, and a chain longer than its file, are not released', (t) => {
  const { device } = prepared(t, VOLUMES['FAT32']!);
  const volume = new FatVolume(device);
  const root = rootFolder(volume);
  const folder = folderOf(volume, lookup(volume, root, '.holdfast')!, root);
  const first = lookup(volume, folder, 'a.hfi')!;
  const second = lookup(volume, folder, 'a.001')!;
  const outcome = (change: (bytes: Uint8Array) => void): string => {
    const damaged = device.snapshot();
    const bytes = damaged.read(second.position, DIRECTORY_ENTRY.size);
    change(bytes);
    damaged.write(second.position, bytes);
    return outcomeOf(() => release(new PatchBuilder(damaged), { name: 'a', time: TIME }));
  };
  t.is(
    outcome(() => {}),
    'ok',
  );
  t.is(
    outcome((bytes) => {
      DIRECTORY_ENTRY.set(bytes, 'DIR_FstClusHI', first.firstEntry >>> 16);
      DIRECTORY_ENTRY.set(bytes, 'DIR_FstClusLO', first.firstEntry & 0xffff);
    }),
    'fat.cross-linked',
  );
  t.is(
    outcome((bytes) => DIRECTORY_ENTRY.set(bytes, 'DIR_FileSize', 9 * 512)),
    'fat.chain-length',
  );
});

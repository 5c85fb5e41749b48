import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { complement } from '../../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { allocatedRuns } from '../../../rescue/fs/ntfs/allocation.ts';
import type { NonResidentAttribute } from '../../../rescue/fs/ntfs/attribute.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { requireContent } from '../../../rescue/fs/ntfs/content.ts';
import {
  AT_BITMAP,
  AT_INDEX_ALLOCATION,
  AT_INDEX_ROOT,
  FILE_BITMAP,
  FILE_MFT,
  FILE_MFTMIRR,
  FILE_ROOT,
  FILE_VOLUME,
  NAME_INDEX,
  NON_RESIDENT_ATTRIBUTE,
} from '../../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { findInRoot } from '../../../rescue/fs/ntfs/root-files.ts';
import { patch } from '../../../rescue/fs/ntfs/transaction.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { applyPatch } from '../../../rescue/job/apply.ts';
import { MIB } from '../../../rescue/units.ts';
import { noiseSource } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, NOTHING, TIME } from '../editing.ts';
import { Damaged, smallVolume } from './damage.ts';
import { makeNtfs, mountNtfs } from './volumes.ts';

/** A copy of the volume in which one byte of a record is another, by chance. */
const withDamage = (
  base: MemoryDevice,
  volume: NtfsVolume,
  record: number,
  number: () => number,
): MemoryDevice => {
  const device = base.snapshot();
  const within = number() % 2 === 0 ? number() % 0x200 : 0x38 + (number() % 0x1a0);
  const values = [0, 0xff, 1, 0x80, number() % 256];
  device.write(volume.recordOffset(record) + within, Uint8Array.of(values[number() % values.length]!));
  return device;
};

test('claims and releases on damaged records end with an error that says what is wrong, or with a patch', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 6 * MIB, clusterSize: 1024 });
  const base = MemoryDevice.of(readFileSync(path));
  const clean = new NtfsVolume(base);
  const free = [...complement(allocatedRuns(clean), { start: 0, length: clean.clusterCount })].find(
    ({ length }) => length > 20,
  )!;
  const { start } = free;
  const request = { name: 'image', runs: [{ start: start + 10, length: 3 }], time: TIME, avoid: NOTHING };
  edited(ntfsDriver, base, (editor) => claim(editor, request));
  const volume = new NtfsVolume(base);
  // The system's records, and those of the folder and the file.
  const records = [FILE_MFT, FILE_MFTMIRR, FILE_VOLUME, FILE_ROOT, FILE_BITMAP, 64, 65];
  const random = noiseSource('where');
  const number = (): number => random(4).readUInt32LE();
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 700; round += 1) {
    const device = withDamage(base, volume, records[round % records.length]!, number);
    const name = round % 2 === 0 ? 'image' : 'other';
    try {
      const made = patch(device, (editor) => {
        if (name === 'image') release(editor, { name, time: TIME });
        else claim(editor, { ...request, name, runs: [{ start: start + 15, length: 3 }] });
      });
      applyPatch(device, made);
      outcomes.set('done', (outcomes.get('done') ?? 0) + 1);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      outcomes.set(error.detail.code, (outcomes.get(error.detail.code) ?? 0) + 1);
    }
  }
  t.true(outcomes.size > 6, [...outcomes.keys()].join(' '));
});

test('likewise where $MFT has an attribute list, and the folder blocks', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, clusterSize: 512 });
  const base = MemoryDevice.of(readFileSync(path));
  const avoid = { has: (cluster: number): boolean => cluster % 2 === 0 };
  const requestFor = (device: MemoryDevice, name: string) => {
    const volume = new NtfsVolume(device);
    const free = [...complement(allocatedRuns(volume), { start: 0, length: volume.clusterCount })].at(-1)!;
    return { name, runs: [{ start: free.start + free.length - 1, length: 1 }], time: TIME, avoid };
  };
  for (let index = 0; index < 24; index += 1) {
    const request = requestFor(base, `${index}`.padEnd(64, 'x'));
    edited(ntfsDriver, base, (editor) => claim(editor, request));
    if (index % 5 < 4) continue;
    // All records are marked: the next claim needs more of them.
    const opened = new NtfsVolume(base);
    const marks = requireContent(opened.file(FILE_MFT), AT_BITMAP, '', 'bitmap');
    for (let byte = 8; byte < opened.recordCount / 8; byte += 1)
      base.write(marks.position(byte), Uint8Array.of(0xff));
  }
  const volume = new NtfsVolume(base);
  const [folder] = findInRoot(volume, ['.holdfast']);
  const listed = (volume.file(FILE_MFT).list ?? []).map(({ reference }) => reference.number);
  const records = [...new Set([FILE_MFT, ...listed, FILE_ROOT, folder!.file.record.number])];
  t.true((volume.file(FILE_MFT).list ?? []).length > 4);
  const random = noiseSource('where else');
  const number = (): number => random(4).readUInt32LE();
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 600; round += 1) {
    const device = withDamage(base, volume, records[round % records.length]!, number);
    const name = '3'.padEnd(64, 'x');
    try {
      const made = patch(device, (editor) => {
        if (round % 3 === 0) release(editor, { name, time: TIME });
        else claim(editor, { ...requestFor(base, 'other'), avoid });
      });
      applyPatch(device, made);
      outcomes.set('done', (outcomes.get('done') ?? 0) + 1);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      outcomes.set(error.detail.code, (outcomes.get(error.detail.code) ?? 0) + 1);
    }
  }
  t.true(outcomes.size > 6, [...outcomes.keys()].join(' '));
});

test('a name that the order of the index hides is not left behind', (t) => {
  const damaged = new Damaged(smallVolume(t));
  const runs = [{ start: damaged.volume.clusterCount - 2, length: 1 }];
  edited(ntfsDriver, damaged.device, (editor) =>
    claim(editor, { name: 'c', runs, time: TIME, avoid: NOTHING }),
  );
  const { at } = damaged.attribute('/.holdfast', AT_INDEX_ROOT, NAME_INDEX);
  // `a.hfi` before `c.hfi` becomes `z.hfi`: `c.hfi` is not where it would be looked for.
  damaged.record(damaged.node('/.holdfast'), (bytes) => {
    const name = Buffer.from(bytes).indexOf(Buffer.from('a.hfi', 'utf16le'), at);
    bytes[name] = 'z'.charCodeAt(0);
  });
  const { message } = t.throws(() =>
    edited(ntfsDriver, damaged.device, (editor) => release(editor, { name: 'c', time: TIME })),
  );
  t.regex(message, /not where the order of the index has it/);
});

test('an index with a hole, whose blocks would be counted without it, is not changed', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 8 * MIB });
  const mount = mountNtfs(t, path);
  for (let index = 0; index < 8; index += 1)
    writeFileSync(join(mount.path, `${'long'.repeat(30)}${index}`), '');
  mount.unmount();
  const damaged = new Damaged(MemoryDevice.of(readFileSync(path)));
  const blocks = damaged.volume.file(FILE_ROOT).find(AT_INDEX_ALLOCATION, NAME_INDEX) as NonResidentAttribute;
  const { from, to, highestVcn } = blocks.pairs;
  damaged.record(FILE_ROOT, (bytes) => {
    let end = from;
    while (bytes[end] !== 0) end += 1 + (bytes[end]! & 0xf) + (bytes[end]! >>> 4);
    t.true(end + 3 <= to, `${end - from} of ${to - from} bytes`);
    bytes.set([0x01, 1, 0], end);
    NON_RESIDENT_ATTRIBUTE.set(bytes, 'highest_vcn_low', highestVcn + 1, blocks.at);
  });
  const runs = [{ start: damaged.volume.clusterCount - 2, length: 1 }];
  const { message } = t.throws(() =>
    edited(ntfsDriver, damaged.device, (editor) =>
      claim(editor, { name: 'c', runs, time: TIME, avoid: NOTHING }),
    ),
  );
  t.regex(message, /has a hole/);
});

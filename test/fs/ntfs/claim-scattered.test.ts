import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Device } from '../../../rescue/device/device.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { requireContent } from '../../../rescue/fs/ntfs/content.ts';
import { AT_ATTRIBUTE_LIST, AT_BITMAP, AT_DATA, FILE_MFT } from '../../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { ownAttributes } from '../../../rescue/fs/ntfs/record.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { PatchBuilder } from '../../../rescue/fs/patch.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, NOTHING, TIME } from '../editing.ts';
import { NtfsFileVolume } from './editing.ts';
import { makeNtfs, mountNtfs, scatterMft } from './volumes.ts';

/** A volume whose $MFT lies in gaps between other files, none of its records free. `more`: see `scatterMft`. */
const scatteredVolume = (t: ExecutionContext, size: number, more: number): NtfsFileVolume => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size, clusterSize: 512 });
  const mount = mountNtfs(t, path);
  const count = scatterMft(mount.path, more);
  // Room for what the test needs; the records stay in use.
  for (let index = 1; index < Math.min(count, 900); index += 2)
    truncateSync(join(mount.path, 'many', `file number ${index}`), 0);
  mount.unmount();
  return new NtfsFileVolume(path);
};

/** Records of the extents of $MFT's content in order, and how its list and its bitmap are kept. */
const mftOf = (volume: NtfsFileVolume) =>
  volume.open((device) => {
    const opened = new NtfsVolume(device);
    const file = opened.file(FILE_MFT);
    const list = [...ownAttributes(file.record)].find(({ type }) => type === AT_ATTRIBUTE_LIST);
    const bitmap = file.find(AT_BITMAP, '');
    return {
      records: opened.recordCount,
      extents: [...file.extents(AT_DATA, '')].map(({ place }) => place.structure.replace('MFT record ', '')),
      list: list === undefined ? 'none' : list.resident ? 'in the record' : 'in clusters',
      bitmapClusters: bitmap?.resident === false ? bitmap.pairs.highestVcn + 1 : 0,
    };
  });

/** The last free clusters, one by one: no two of them in one run. */
const single = (free: readonly Run[], count: number): Run[] => {
  const runs: Run[] = [];
  for (const { start, length } of free.toReversed())
    for (let at = length - 1; at >= 0 && runs.length < count; at -= 2)
      runs.push({ start: start + at, length: 1 });
  return runs;
};

/** Marks all records from `first` on, a multiple of 8, as if they were in use. */
const mark = (device: Device, first: number): void => {
  const opened = new NtfsVolume(device);
  const marks = requireContent(opened.file(FILE_MFT), AT_BITMAP, '', 'bitmap');
  for (let byte = first / 8; byte < Math.ceil(opened.recordCount / 8); byte += 1)
    device.write(marks.position(byte), Uint8Array.of(0xff));
};

test('$MFT in one record full of runs: it gets a list, then extension after extension', (t) => {
  const volume = scatteredVolume(t, 8 * MIB, 560);
  t.like(mftOf(volume), { extents: ['0'], list: 'none' });
  const seen: string[] = [];
  for (let index = 0; index < 12 && !seen.at(-1)?.endsWith('17'); index += 1) {
    const runs = single(volume.free(), 20);
    const content = volume.fill(runs);
    volume.claim(`${index}`, runs);
    const { extents, list } = mftOf(volume);
    seen.push(`${list}: ${extents.join(' ')}`);
    t.deepEqual(volume.problems(), []);
    const mount = mountNtfs(t, volume.path, { readOnly: true });
    t.true(readFileSync(join(mount.path, '.holdfast', `${index}.hfi`)).equals(content));
    mount.unmount();
    if (index > 0) volume.release(`${index - 1}`);
    // The records that came with it, so that the next claim needs more.
    volume.open((device) => mark(device, 64));
  }
  const mount = mountNtfs(t, volume.path);
  for (let index = 0; index < 200; index += 1) writeFileSync(join(mount.path, 'many', `more ${index}`), '');
  mount.unmount();
  t.deepEqual(volume.problems(), []);
  // How many pieces ntfs-3g has made is not the same each time.
  const order = ['none: 0', 'in the record: 0 15', 'in the record: 0 15 16', 'in the record: 0 15 17'];
  t.deepEqual(
    order.filter((each) => seen.includes(each)),
    order.slice(seen.includes(order[0]!) ? 0 : 1),
  );
});

test('the bitmap of $MFT gets another cluster', (t) => {
  const volume = scatteredVolume(t, 10 * MIB, 400);
  const mount = mountNtfs(t, volume.path);
  mkdirSync(join(mount.path, 'others'));
  const { records } = mftOf(volume);
  // 4096 records have a bit in a cluster of 512 bytes.
  for (let index = records + 1; index < 4096; index += 1)
    writeFileSync(join(mount.path, 'others', `${index}`), '');
  mount.unmount();
  t.like(mftOf(volume), { records: 4096, bitmapClusters: 1 });
  volume.claim('image', single(volume.free(), 20));
  t.like(mftOf(volume), { records: 4160, bitmapClusters: 2 });
  t.deepEqual(volume.problems(), []);
  const again = mountNtfs(t, volume.path);
  for (let index = 0; index < 70; index += 1) writeFileSync(join(again.path, 'others', `more ${index}`), '');
  again.unmount();
  t.deepEqual(volume.problems(), []);
});

test('where no record is left for an extension, the claim is refused and nothing is planned', (t) => {
  const { path } = scatteredVolume(t, 8 * MIB, 560);
  const device = MemoryDevice.of(readFileSync(path));
  const runs = [{ start: device.size / 512 - 2, length: 1 }];
  for (let index = 0; new NtfsVolume(device).file(FILE_MFT).list === undefined; index += 1) {
    mark(device, 64);
    edited(ntfsDriver, device, (editor) => {
      claim(editor, { name: 'grow', runs, time: TIME, avoid: NOTHING });
      release(editor, { name: 'grow', time: TIME });
    });
    t.true(index < 8);
  }
  const attempt = (): string => {
    const builder = new PatchBuilder(device);
    try {
      claim(builder, { name: 'image', runs, time: TIME, avoid: NOTHING });
    } catch (error) {
      if (!isHoldfastError(error, 'refused')) throw error;
      t.deepEqual(builder.build().phases, []);
      return error.detail.code;
    }
    return 'claimed';
  };
  mark(device, 64);
  t.is(attempt(), 'claimed');
  mark(device, 16);
  t.is(attempt(), 'claim.mft-scattered');
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { NonResidentAttribute } from '../../../rescue/fs/ntfs/attribute.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import {
  AT_DATA,
  AT_INDEX_ROOT,
  ATTRIBUTE,
  FILE_MFT,
  FILE_ROOT,
  NAME_INDEX,
  NON_RESIDENT_ATTRIBUTE,
} from '../../../rescue/fs/ntfs/layout.ts';
import { ntfsDriver } from '../../../rescue/fs/ntfs/ntfs.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { edited, NOTHING, TIME } from '../editing.ts';
import { Damaged, smallVolume } from './damage.ts';
import { makeNtfs } from './volumes.ts';

/** One free cluster near the end claimed as a container. */
const claimed = ({ device, volume }: Damaged, name = 'image', fromEnd = 2): void => {
  const runs = [{ start: volume.clusterCount - fromEnd, length: 1 }];
  edited(ntfsDriver, device, (editor) => claim(editor, { name, runs, time: TIME, avoid: NOTHING }));
};

const COMPRESS_NEW_FILES = 1;

test('the root of a compressed volume goes on saying that new files are to be compressed', (t) => {
  const damaged = new Damaged(smallVolume(t));
  const root = () => damaged.volume.file(FILE_ROOT).find(AT_INDEX_ROOT, NAME_INDEX)!;
  const folder = () => damaged.attribute('/.holdfast', AT_INDEX_ROOT, NAME_INDEX);
  for (const [number, { at }] of [
    [FILE_ROOT, root()],
    [damaged.node('/.holdfast'), folder()],
  ] as const)
    damaged.record(number, (bytes) => ATTRIBUTE.set(bytes, 'flags', COMPRESS_NEW_FILES, at));
  claimed(damaged);
  t.is(root().flags, COMPRESS_NEW_FILES);
  t.is(folder().flags, COMPRESS_NEW_FILES);
  t.deepEqual(openNtfs(damaged.device).check(), []);
});

test('$MFT that is initialised in part only does not become shorter when it grows', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 8 * MIB });
  const damaged = new Damaged(MemoryDevice.of(readFileSync(path)));
  const data = () => damaged.volume.file(FILE_MFT).find(AT_DATA, '') as NonResidentAttribute;
  const markAll = (from: number, to: number): void => {
    for (let record = from; record < to; record += 1) damaged.bit('records', record, true);
  };
  claimed(damaged, 'first', 2);
  markAll(66, 128);
  claimed(damaged, 'second', 3);
  const { dataSize } = data();
  t.is(dataSize, 192 * KIB);
  const { at } = data();
  damaged.record(FILE_MFT, (bytes) => NON_RESIDENT_ATTRIBUTE.set(bytes, 'initialized_size', 100 * KIB, at));
  claimed(damaged, 'third', 4);
  t.is(data().initializedSize, 128 * KIB);
  t.is(data().dataSize, dataSize);
});

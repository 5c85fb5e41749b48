import { join } from 'node:path';
import test from 'ava';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { PatchBuilder } from '../../../rescue/fs/patch.ts';
import { MIB } from '../../../rescue/units.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { NOTHING, TIME } from '../editing.ts';
import { NtfsFileVolume } from './editing.ts';
import { makeNtfs, mountNtfs, scatterMft } from './volumes.ts';

test('$MFT in pieces with a list: its free records are taken; when there are none, the claim is refused', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 8 * MIB, clusterSize: 512 });
  const mount = mountNtfs(t, path);
  scatterMft(mount.path, 700);
  mount.unmount();
  const volume = new NtfsFileVolume(path);
  t.not(
    volume.open((device) => new NtfsVolume(device).file(0).list),
    undefined,
    '$MFT has a list',
  );
  t.deepEqual(volume.problems(), []);
  let claimed = 0;
  for (; claimed < 200; claimed += 1) {
    const [free] = volume.free();
    const name = `image${claimed}`;
    const runs = [{ start: free!.start, length: 1 }];
    try {
      volume.claim(name, runs);
    } catch (error) {
      if (!isHoldfastError(error, 'refused')) throw error;
      t.is(error.detail.code, 'claim.mft-scattered');
      volume.open((device) => {
        const builder = new PatchBuilder(device);
        t.throws(() => claim(builder, { name, runs, time: TIME, avoid: NOTHING }));
        t.deepEqual(builder.build().phases, [], 'nothing is planned');
      });
      break;
    }
  }
  t.true(claimed < 200, 'refused in the end');
  t.deepEqual(volume.problems(), []);
  for (let index = 0; index < claimed; index += 1) volume.release(`image${index}`);
  t.deepEqual(volume.problems(), []);
});

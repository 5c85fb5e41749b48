import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { intersect, normalise, totalLength } from '../../rescue/bytes/runs.ts';
import { ntfsDriver } from '../../rescue/fs/ntfs/ntfs.ts';
import { NtfsVolume } from '../../rescue/fs/ntfs/volume.ts';
import type { CreateRequest } from '../../rescue/job/results.ts';
import { MIB, type Run } from '../../rescue/units.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { makeNtfs, mountNtfs } from '../fs/ntfs/volumes.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeImage } from './requests.ts';

/** An image on a volume with so many bytes of noise. */
const imaged = async (
  t: ExecutionContext,
  size: number,
  bytes: number,
  request: Partial<CreateRequest> = {},
) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size });
  const mount = mountNtfs(t, path);
  writeFileSync(join(mount.path, 'noise'), noiseSource('content')(bytes));
  mount.unmount();
  const volume = new NtfsFileVolume(path);
  const zone = volume.open((device) => [...ntfsDriver.open(device).reserved()]);
  const freeBefore = volume.free();
  await makeImage(path, request);
  t.deepEqual(volume.problems(), []);
  const container: Run[] = volume.open((device) =>
    normalise(
      ntfsDriver
        .open(device)
        .containers()
        .flatMap(({ runs }) => runs),
    ),
  );
  const mft = volume.open((device) =>
    [...new NtfsVolume(device).mft.runs()].map(({ start, length }) => ({ start: start!, length })),
  );
  return { zone, freeBefore, container, mft };
};

test('a container keeps out of the zone in which $MFT is to grow, and $MFT grows there', async (t) => {
  const { zone, container, mft } = await imaged(t, 48 * MIB, 4 * MIB);
  t.is(totalLength(zone), Math.floor(((48 * MIB) / 4096 - 1) / 8));
  t.is(totalLength(intersect(zone, container)), 0);
  t.is(mft.length, 1, 'still in one piece');
  t.true(totalLength(intersect(zone, mft)) > 0, 'it grew');
});

test('on a full volume the zone is used, but the rest of the volume before it', async (t) => {
  const { zone, container, freeBefore } = await imaged(t, 48 * MIB, 20 * MIB);
  const inZone = totalLength(intersect(zone, container));
  t.true(inZone > 0);
  // What is left outside fills no slot, or is what lists the container.
  const outside = totalLength(freeBefore) - totalLength(intersect(zone, freeBefore));
  t.true(
    outside - (totalLength(container) - inZone) < 48,
    `${outside}, ${totalLength(container)}, ${inZone}`,
  );
});

test('with nothing to be kept free, the low end of the zone is left to $MFT all the same', async (t) => {
  const { zone, container, mft } = await imaged(t, 24 * MIB, 9.4 * MIB, { minFree: 0 });
  t.true(totalLength(intersect(zone, container)) > 0);
  t.is(mft.length, 1, 'in one piece');
  t.true(totalLength(intersect(zone, mft)) > 0, 'it grew');
});

import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeFile, makeVolume } from '../support/volume.ts';
import { makeImage, restoreImage } from './requests.ts';

test.serial(
  'runs of zeros are not read in a file that was made for the restore, and are in one that was there',
  async (t) => {
    const folder = temporaryFolder(t);
    const size = 4096 * MIB;
    // Inode tables that nothing uses: 128 MiB of zeros, and little else.
    const source = makeVolume(join(folder, 'source'), {
      size,
      blockSize: 4096,
      more: ['-N', '524288', '-J', 'size=4'],
    });
    const { image } = await makeImage(source);
    t.true(image.usedBytes > 128 * MIB, `${image.usedBytes} bytes in use`);
    const made = join(folder, 'made');
    const existing = makeFile(join(folder, 'existing'), size);
    const toNew = await restoreImage(source, { to: made });
    t.true(toNew.stats.bytesRead < 64 * MIB, `${toNew.stats.bytesRead} bytes read`);
    // Nobody knows what a file holds that was there before.
    const toExisting = await restoreImage(source, { to: existing });
    t.true(toExisting.stats.bytesRead > 128 * MIB, `${toExisting.stats.bytesRead} bytes read`);
    for (const path of [made, existing]) t.is(run('e2fsck', ['-f', '-n', path]).exit, 0);
    t.is(run('cmp', [made, existing]).exit, 0);
  },
);

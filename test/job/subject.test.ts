import test from 'ava';
import { openDisk } from '../../rescue/device/disk.ts';
import { openSubject } from '../../rescue/job/subject.ts';
import { makeDisk } from '../support/disk.ts';
import { attachLoop } from '../support/loop.ts';
import { temporaryFolder } from '../support/temporary.ts';

test('what was written through a partition node is seen through the disk', (t) => {
  const path = `${temporaryFolder(t)}/disk`;
  const [place] = makeDisk(t, path, {
    size: 32 * 2 ** 20,
    table: 'gpt',
    partitions: [{ size: 16 * 2 ** 20 }],
  });
  const loop = attachLoop(t, path, { partitions: true });
  const offset = place!.start + 4096;
  // The last close would drop the cache by itself.
  const holder = openDisk(loop.device).device;
  t.teardown(() => holder.close());
  const read = (): number => {
    const subject = openSubject(loop.device, false);
    try {
      return subject.device.read(offset, 1)[0]!;
    } finally {
      subject.close();
    }
  };
  t.is(read(), 0);
  const { device } = openDisk(loop.partition(1), { write: true });
  device.write(4096, Uint8Array.of(0xa5));
  device.flush();
  device.close();
  t.is(read(), 0xa5);
});

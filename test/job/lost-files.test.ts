import { mkdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { SpanSet } from '../../rescue/bytes/runs.ts';
import { openFile } from '../../rescue/device/file.ts';
import { nameLosses } from '../../rescue/job/lost-files.ts';
import { LostView } from '../../rescue/job/lost-view.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { dataByNtfscluster, makeNtfs, mountNtfs } from '../fs/ntfs/volumes.ts';
import { temporaryFolder } from '../support/temporary.ts';

test('files are named though the end of the partition is lost: the backup boot sector, and where other formats have their marks', (t) => {
  const path = join(temporaryFolder(t), 'volume');
  const clusterSize = 64 * KIB;
  makeNtfs(path, { size: 16 * MIB, clusterSize });
  const mount = mountNtfs(t, path);
  mkdirSync(join(mount.path, 'folder'));
  writeFileSync(join(mount.path, 'folder', 'kelp'), Buffer.alloc(100 * KIB, 1));
  const record = statSync(join(mount.path, 'folder', 'kelp')).ino;
  mount.unmount();
  const [first] = dataByNtfscluster(path, record);
  // A partition that is larger than its volume may have another copy of the boot sector in its last sector.
  truncateSync(path, 17 * MIB);
  const device = openFile(path);
  t.teardown(() => device.close());
  const lost = new SpanSet([
    { start: first!.start * clusterSize, length: clusterSize },
    { start: 15 * MIB, length: 2 * MIB },
  ]);
  const names = nameLosses('ntfs', new LostView(device, lost), lost);
  t.is(names.unreadable, undefined);
  t.deepEqual(
    names.files.map(({ path: name, ranges }) => ({ name, ranges })),
    [{ name: '/folder/kelp', ranges: [{ start: 0, length: clusterSize }] }],
  );
});

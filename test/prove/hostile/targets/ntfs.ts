import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryDevice } from '../../../../rescue/device/memory.ts';
import { ntfsDriver } from '../../../../rescue/fs/ntfs/ntfs.ts';
import { NtfsVolume } from '../../../../rescue/fs/ntfs/volume.ts';
import { KIB } from '../../../../rescue/units.ts';
import { edited, freeRuns, NOTHING, scattered, TIME } from '../../../fs/editing.ts';
import { restartPage, withLog } from '../../../fs/ntfs/log-pages.ts';
import { makeNtfs, mountNtfs } from '../../../fs/ntfs/volumes.ts';
import type { Cleanup } from '../../../support/cleanup.ts';
import { temporaryFolder } from '../../../support/temporary.ts';
import type { DiskSeed } from '../disk-parser.ts';
import type { Target } from '../target.ts';
import { ntfsPlaces } from './ntfs-places.ts';
import { volumeParser } from './volume-reading.ts';

/** mkntfs makes none below 1 MiB. */
const SIZE = 1536 * KIB;

const seedOf = (cleanup: Cleanup, clusterSize: number): DiskSeed => {
  const path = makeNtfs(join(temporaryFolder(cleanup), 'volume'), { size: SIZE, clusterSize });
  const mount = mountNtfs(cleanup, path);
  const at = (...parts: string[]): string => join(mount.path, ...parts);
  mkdirSync(at('many'));
  for (let index = 0; index < 8; index += 1) writeFileSync(at('many', `${index}`.padEnd(120, 'n')), '');
  writeFileSync(at('linked'), 'x'.repeat(5000));
  // Long names do not fit the record: the file gets an attribute list.
  for (let index = 0; index < 5; index += 1) linkSync(at('linked'), at(`${index} ${'long'.repeat(40)}`));
  writeFileSync(at('linked:stream'), 'y'.repeat(3000));
  mount.unmount();
  // As Windows leaves it: ntfs-3g fills the log with ones.
  const page = restartPage({ clean: true });
  const device = withLog(MemoryDevice.of(readFileSync(path)), page, page);
  const runs = scattered(freeRuns(ntfsDriver, device), 20);
  edited(ntfsDriver, device, (editor) =>
    ntfsDriver.claim(editor, { name: 'a', runs, time: TIME, avoid: NOTHING }),
  );
  const { clusterCount, recordCount } = new NtfsVolume(device);
  return {
    name: `NTFS, clusters of ${clusterSize} bytes`,
    bytes: device.read(0, device.size),
    places: ntfsPlaces(device),
    numbers: [clusterCount, recordCount, clusterCount - 1, recordCount - 1, clusterSize, 1024, 5],
  };
};

export const NTFS_TARGET: Target = {
  name: 'ntfs',
  covers:
    'NTFS: boot sector, records, attributes, runlists, attribute lists, indexes, $LogFile; claim and release',
  open: (cleanup) => volumeParser(ntfsDriver, [seedOf(cleanup, 512), seedOf(cleanup, 4096)]),
};

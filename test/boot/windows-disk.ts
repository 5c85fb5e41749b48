import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import { complaints, fill, mountNtfs, treeThroughMount } from '../fs/ntfs/volumes.ts';
import { extentsOf } from '../job/cycle.ts';
import { ESP_TYPE, espFiles, espMustBeClean, makeEsp } from '../job/esp.ts';
import { listImages, makeImage, verifyImage } from '../job/requests.ts';
import { tableOf } from '../job/stage.ts';
import { makeDisk, type PartitionPlace, type PartitionRequest } from '../support/disk.ts';
import { attachLoop } from '../support/loop.ts';
import { digestOf, noiseSource, overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** The disk of a Windows machine, as its setup lays it out, of which nothing but the image in the NTFS of Windows is left. */

const SIZE = 240 * MIB;
const WINDOWS_SIZE = 128 * MIB;
const PAGE_FILE = 12 * MIB;

/** Microsoft, "UEFI/GPT-based hard drive partitions" and "PARTITION_INFORMATION_GPT": types, and attributes of the last. */
const GPT: readonly PartitionRequest[] = [
  // A FAT32 has 65525 clusters and more.
  { size: 36 * MIB, type: ESP_TYPE.gpt, name: 'EFI system partition' },
  { size: 16 * MIB, type: 'E3C9E316-0B5C-4DB8-817D-F92DF00215AE', name: 'Microsoft reserved partition' },
  { size: WINDOWS_SIZE, type: 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7', name: 'Basic data partition' },
  { type: 'DE94BBA4-06D1-4D40-A16A-BFD50179D6AC', attributes: 'RequiredPartition GUID:63' },
];
/** Microsoft, "BIOS/MBR-based hard drive partitions". */
const MBR: readonly PartitionRequest[] = [
  { size: 50 * MIB, type: '7', bootable: true },
  { size: WINDOWS_SIZE, type: '7' },
  { type: '27' },
];
const WINDOWS_NUMBER = { gpt: 3, mbr: 2 } as const;
const LABEL = 'Windows';

export interface WreckedWindows {
  readonly path: string;
  readonly image: ImageSummary;
  /** Judges table, EFI system partition, NTFS, files and image. Fails unless all is back. */
  mustBeBack(): Promise<void>;
}

const onLoop = <Result>(
  t: ExecutionContext,
  path: string,
  { start, size }: PartitionPlace,
  body: (device: string) => Result,
): Result => {
  const loop = attachLoop(t, path, { offset: start, size });
  const result = body(loop.device);
  loop.detach();
  return result;
};

/** An NTFS of the partition's size that knows where it begins, with the geometry that Windows gives to all disks. */
const makeNtfsIn = (t: ExecutionContext, path: string, place: PartitionPlace, label: string): void =>
  onLoop(t, path, place, (device) => {
    const geometry = ['-s', '512', '-c', '4096', '-p', String(place.start / 512), '-H', '255', '-S', '63'];
    mustRun('mkntfs', ['-q', '-F', '-f', ...geometry, '-L', label, device]);
  });

/** What is not worth imaging: its content does not come back, and need not. */
const PAGING = ['/pagefile.sys', '/hiberfil.sys'];

/** The tree through ntfs-3g, with names and sizes alone of files for paging. */
const treeOf = (t: ExecutionContext, path: string, { start, size }: PartitionPlace): Map<string, string> => {
  const mount = mountNtfs(t, path, { readOnly: true, offset: start, size });
  const tree = treeThroughMount(mount.path);
  mount.unmount();
  for (const name of PAGING) tree.set(name, tree.get(name)!.replace(/ \w+$/, ''));
  return tree;
};

/** Fails unless the programs of ntfs-3g find nothing wrong. */
const mustBeClean = (t: ExecutionContext, path: string, place: PartitionPlace, when: string): void => {
  t.deepEqual(onLoop(t, path, place, complaints), [], when);
};

export const wreckedWindows = async (t: ExecutionContext, table: 'gpt' | 'mbr'): Promise<WreckedWindows> => {
  const path = join(temporaryFolder(t), 'disk');
  const partitions = table === 'gpt' ? GPT : MBR;
  const places = makeDisk(t, path, { size: SIZE, table, partitions });
  const [first] = places as [PartitionPlace];
  const windows = places.find(({ number }) => number === WINDOWS_NUMBER[table])!;
  if (table === 'gpt') makeEsp(t, path, first, { bits: 32, seed: 'windows' });
  else makeNtfsIn(t, path, first, 'System Reserved');
  makeNtfsIn(t, path, places.at(-1)!, 'Recovery');
  makeNtfsIn(t, path, windows, LABEL);
  const mount = mountNtfs(t, path, { offset: windows.start, size: windows.size });
  fill(mount.path, { name: `windows ${table}`, size: windows.size, many: 200 });
  writeFileSync(join(mount.path, 'pagefile.sys'), noiseSource('pages')(PAGE_FILE));
  // Of a Windows that was resumed and shut down: nothing to come back to.
  writeFileSync(
    join(mount.path, 'hiberfil.sys'),
    Buffer.concat([Buffer.from('WAKE'), noiseSource('hibernation')(4 * MIB)]),
  );
  mount.unmount();
  mustBeClean(t, path, windows, 'before');
  const stage = { file: path, start: windows.start, size: windows.size, partition: windows.number };
  const tableBefore = tableOf(t, stage);
  const treeBefore = treeOf(t, path, windows);
  const espBefore = table === 'gpt' ? espFiles(t, path, first) : undefined;

  const { image } = await makeImage(path, { partition: windows.number, name: 'before' });
  t.is(image.filesystem, 'ntfs');
  const sealed = extentsOf(image.sealedExtents);
  const digest = digestOf(path, sealed);
  overwriteWithNoise(path, extentsOf(image.extents), `windows ${table}`);
  t.is(tableOf(t, stage), '', 'the table is gone');
  t.not(onLoop(t, path, windows, complaints).length, 0, 'the NTFS is gone');
  return {
    path,
    image,
    mustBeBack: async () => {
      t.is(tableOf(t, stage), tableBefore);
      if (espBefore !== undefined) {
        t.notThrows(() => espMustBeClean(t, path, first));
        t.deepEqual(espFiles(t, path, first), espBefore);
      }
      mustBeClean(t, path, windows, 'restored');
      t.deepEqual(treeOf(t, path, windows), treeBefore);
      t.is(digestOf(path, sealed), digest, 'the sealed part of the image');
      const { images } = await listImages(path);
      t.like(images[0], { id: image.id, state: 'committed', foundBy: 'filesystem' });
      t.deepEqual((await verifyImage(path, { image: image.id })).problems, []);
    },
  };
};

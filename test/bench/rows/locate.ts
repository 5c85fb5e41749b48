import { join } from 'node:path';
import type { ListResult } from '../../../rescue/job/results.ts';
import { GIB } from '../../../rescue/units.ts';
import { bringTo } from '../cache.ts';
import { alone, holdfastOn } from '../jobs.ts';
import type { Program } from '../program.ts';
import { imageAtEnd, noiseFile, packedContainer, type SparseDisk } from '../sparse-disk.ts';
import type { Contestant, Row } from './row.ts';

const TIB = 1024 * GIB;
const SCAN_ALONE = join(import.meta.dirname, '..', 'scan-alone.ts');

/**
 * `holdfast list` on a disk of which only its partition table and an image are left; that image must be found, by the scan.
 * The partition is named, as for a restore of it: a search of the whole disk samples all of it, a sixteenth (`rescue/locate/README.md`, Depth).
 */
const listOn = (program: Program, label: string, nextDisk: () => Promise<SparseDisk>): Contestant => ({
  label,
  // All but a small part of the disk is no data at all.
  only: 'cold',
  run: async (cache) => {
    const { file, image, remove } = await nextDisk();
    const measured = await holdfastOn(program, file, cache, ['list', '--partition', '1']);
    const { images } = JSON.parse(measured.stdout) as ListResult;
    const [found, ...others] = images;
    if (found?.id !== image.id || found.state !== 'committed' || others.length > 0)
      throw new Error(`${label}: found ${JSON.stringify(images)} instead of ${image.id}`);
    if (found.foundBy !== 'scan') throw new Error(`${label}: found by ${found.foundBy}, not by the scan`);
    remove();
    return measured;
  },
});

/** Full depth where nothing is found: everything is read. */
const fullDepth = (program: Program, file: string, size: number): Contestant => ({
  label: 'holdfast list --depth full',
  only: 'warm',
  run: async () => {
    bringTo('warm', noiseFile(file, size));
    const words = [...program.words('list'), 'list', file, '--depth', 'full', '--json', '--progress', 'none'];
    // Exit code 3: no image found.
    const measured = await alone('"$@"', words, { exits: [3] });
    const { bytesCovered, images } = JSON.parse(measured.stdout) as ListResult;
    if (images.length > 0 || bytesCovered !== size || measured.transferred.read < size)
      throw new Error(`covered ${bytesCovered} of ${size} bytes, read ${measured.transferred.read}`);
    return measured;
  },
});

/** The scan without the program around it, which takes as long to start whatever the scan does. */
const scanAlone = (label: string, threads: 'one' | 'two', file: string, size: number): Contestant => ({
  label,
  only: 'warm',
  run: async () => {
    bringTo('warm', noiseFile(file, size));
    const measured = await alone('"$@"', [process.execPath, SCAN_ALONE, file, threads]);
    const { seconds, bytesRead } = JSON.parse(measured.stdout) as { seconds: number; bytesRead: number };
    if (bytesRead !== size || measured.transferred.read < size)
      throw new Error(
        `read ${bytesRead} of ${size} bytes, ${measured.transferred.read} by the kernel's count`,
      );
    return { ...measured, seconds };
  },
});

/** `small`: for a try of the bench itself; the same rows on disks that are made quickly. */
export const locateRows = (program: Program, folder: string, warmBytes: number, small: boolean): Row[] => {
  const endSize = small ? 64 * GIB : TIB;
  const anywhereSize = small ? 64 * GIB : 2 * TIB;
  let place = 0;
  const warm = join(folder, 'noise');
  return [
    {
      id: 'locate-end',
      bytes: endSize,
      contestants: {
        ours: listOn(program, 'holdfast list, at the end', imageAtEnd(program, folder, endSize)),
      },
    },
    {
      id: 'locate-anywhere',
      bytes: anywhereSize,
      contestants: {
        ours: listOn(program, 'holdfast list, anywhere', async () => {
          place += 1;
          return await packedContainer(program, folder, anywhereSize, small ? GIB / 16 : GIB, place);
        }),
      },
    },
    {
      id: 'locate-full',
      bytes: warmBytes,
      contestants: {
        ours: fullDepth(program, warm, warmBytes),
        dd: {
          label: 'dd to /dev/null',
          only: 'warm',
          run: () => {
            bringTo('warm', noiseFile(warm, warmBytes));
            return alone('dd if="$1" of=/dev/null bs=1M status=none', [warm]);
          },
        },
      },
    },
    {
      id: 'locate-threads',
      bytes: warmBytes,
      contestants: {
        ours: scanAlone('two threads', 'two', warm, warmBytes),
        one: scanAlone('one thread', 'one', warm, warmBytes),
      },
    },
  ];
};

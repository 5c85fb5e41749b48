import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BIOS_BOOT_TYPE } from '../../rescue/partition/companion.ts';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { makeDisk, type PartitionPlace } from '../support/disk.ts';
import { attachLoop, mountDevice } from '../support/loop.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { fillRoot, makeRootVolume, type SystemFiles } from './system-root.ts';

export interface BiosDiskOptions extends SystemFiles {
  /** `gpt`: GRUB's core in a BIOS boot partition. `mbr`: in the gap before the first partition. */
  readonly table: 'gpt' | 'mbr';
}

export interface BiosDisk {
  readonly partitions: readonly PartitionPlace[];
  /** The partition with the root file system. */
  readonly root: PartitionPlace;
}

const SIZE = 160 * MIB;

/**
 * What grub-install asks udev for: the path of a partition in sysfs, in which it finds the partition's start. Without an
 * answer it takes no loop device for a disk. udev is not everywhere, and sysfs knows as well.
 */
const UDEVADM = `#!/bin/sh
for last; do :; done
path=$(readlink -f "/sys/class/block/\${last#/dev/}") && echo "\${path#/sys}"
`;

const installGrub = (cleanup: Cleanup, device: string, folder: string): void => {
  const programs = temporaryFolder(cleanup);
  writeFileSync(join(programs, 'udevadm'), UDEVADM, { mode: 0o755 });
  const modules = 'normal search search_fs_uuid serial terminal linux echo boot';
  mustRun(
    'grub-install',
    [
      '--target=i386-pc',
      `--boot-directory=${folder}`,
      '--no-floppy',
      // Fewer files to copy. What its core needs to find them, it knows itself.
      `--install-modules=${modules}`,
      device,
    ],
    { env: { PATH: `${programs}:/usr/sbin:/usr/bin:/sbin:/bin` } },
  );
};

/**
 * The disk of a BIOS machine in a file, as an installer would make it: partition table, ext4 root with kernel and
 * initramfs, GRUB installed by its own program. Needs root for the loop device.
 */
export const makeBiosDisk = (cleanup: Cleanup, path: string, options: BiosDiskOptions): BiosDisk => {
  const isGpt = options.table === 'gpt';
  const partitions = makeDisk(cleanup, path, {
    size: SIZE,
    table: options.table,
    partitions: isGpt
      ? [{ start: MIB, size: MIB, type: BIOS_BOOT_TYPE.toUpperCase(), name: 'GRUB' }, { name: 'root' }]
      : [{ start: MIB, bootable: true }],
  });
  const root = partitions.at(-1)!;
  makeRootVolume(path, root);
  const loop = attachLoop(cleanup, path, { partitions: true });
  const { path: mounted, unmount } = mountDevice(cleanup, loop.partition(root.number));
  fillRoot(mounted, options);
  installGrub(cleanup, loop.device, join(mounted, 'boot'));
  unmount();
  loop.detach();
  return { partitions, root };
};

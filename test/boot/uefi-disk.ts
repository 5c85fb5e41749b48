import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchPackage, unpackPackage } from '../../iso/debian.ts';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { makeDisk, type PartitionPlace } from '../support/disk.ts';
import { mountFile } from '../support/loop.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { fillRoot, makeRootVolume, ROOT_UUID, type SystemFiles } from './system-root.ts';

export interface UefiDisk {
  readonly esp: PartitionPlace;
  /** The partition with the root file system. */
  readonly root: PartitionPlace;
}

const SIZE = 192 * MIB;
/** FAT32 has 65525 clusters and more (Microsoft, "FAT: General Overview of On-Disk Format"). */
const ESP_SIZE = 40 * MIB;
/** UEFI specification, section 5.3.3. */
const ESP_TYPE = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B';

/** What Debian's grub-install writes beside the signed GRUB: that one knows its own folder, and nothing of the root. */
const EFI_CONFIGURATION = `search.fs_uuid ${ROOT_UUID} root
set prefix=($root)'/boot/grub'
configfile $prefix/grub.cfg
`;

/** The EFI system partition: FAT32 with Debian's shim and signed GRUB, where firmware without a boot entry looks. */
const fillEsp = (cleanup: Cleanup, disk: string, { start, size }: PartitionPlace): void => {
  const folder = temporaryFolder(cleanup);
  unpackPackage(fetchPackage('shim-signed'), folder, ['./usr/lib/shim/shimx64.efi.signed']);
  const grub = 'usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed';
  unpackPackage(fetchPackage('grub-efi-amd64-signed'), folder, [`./${grub}`]);
  writeFileSync(join(folder, 'grub.cfg'), EFI_CONFIGURATION);
  const format = ['-F', '32', '-s', '1', '-i', '5EAF00D5', '-n', 'ESP', '--offset', String(start / 512)];
  mustRun('mkfs.fat', [...format, disk, String(size / 1024)]);
  const mtools = (...words: string[]): void => {
    mustRun(words[0]!, ['-i', `${disk}@@${start}`, ...words.slice(1)]);
  };
  mtools('mmd', '::/EFI', '::/EFI/BOOT', '::/EFI/debian');
  mtools('mcopy', join(folder, 'usr/lib/shim/shimx64.efi.signed'), '::/EFI/BOOT/BOOTX64.EFI');
  // The name that shim starts.
  mtools('mcopy', join(folder, grub), '::/EFI/BOOT/grubx64.efi');
  mtools('mcopy', join(folder, 'grub.cfg'), '::/EFI/debian/grub.cfg');
};

/**
 * The disk of a UEFI machine in a file, as an installer would make it: GPT, EFI system partition, ext4 root with kernel and
 * initramfs. Every part of the way is signed: it starts under Secure Boot. Needs root for the loop device.
 */
export const makeUefiDisk = (cleanup: Cleanup, path: string, files: SystemFiles): UefiDisk => {
  const [esp, root] = makeDisk(cleanup, path, {
    size: SIZE,
    table: 'gpt',
    partitions: [{ size: ESP_SIZE, type: ESP_TYPE, name: 'EFI system partition' }, { name: 'root' }],
  }) as [PartitionPlace, PartitionPlace];
  fillEsp(cleanup, path, esp);
  makeRootVolume(path, root);
  const { path: mounted, unmount } = mountFile(cleanup, path, { offset: root.start, size: root.size });
  fillRoot(mounted, files);
  unmount();
  return { esp, root };
};

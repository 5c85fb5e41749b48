import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PartitionPlace } from '../support/disk.ts';
import { makeVolume } from '../support/volume.ts';
import { PROOF_FILE } from './initramfs.ts';

/** The root file system of a machine that boots by itself: what BIOS and UEFI machines have in common. */

export const ROOT_UUID = '7c0ffee7-2b7e-4151-a8ab-f7158809cf4f';

export interface SystemFiles {
  /** The files that the boot loader loads. */
  readonly kernel: Uint8Array;
  readonly initramfs: Uint8Array;
  /** What the small system says when it has found its root. */
  readonly line: string;
}

/** By UUID, not by device: the loader and the small system find their root as those of real machines do. */
const GRUB_CONFIGURATION = `
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
search --no-floppy --fs-uuid --set=root ${ROOT_UUID}
echo 'GRUB has found its root'
linux /boot/vmlinuz console=ttyS0 quiet panic=-1 holdfast-root=${ROOT_UUID}
initrd /boot/initrd
boot
`;

export const writeFile = (path: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
};

/** An empty ext4 in a partition of the disk, of the kind that GRUB can read. */
export const makeRootVolume = (disk: string, { start, size }: PartitionPlace): void => {
  makeVolume(disk, {
    offset: start,
    size: size - (size % (4 * 1024)),
    uuid: ROOT_UUID,
    label: 'root',
    // What GRUB 2.06 cannot read, and newer versions of mke2fs may turn on.
    features: ['^metadata_csum_seed', '^orphan_file'],
  });
};

/** Kernel, initramfs, GRUB's configuration and the line, below a folder where the root is mounted. */
export const fillRoot = (mounted: string, { kernel, initramfs, line }: SystemFiles): void => {
  writeFile(join(mounted, 'boot/vmlinuz'), kernel);
  writeFile(join(mounted, 'boot/initrd'), initramfs);
  writeFile(join(mounted, 'boot/grub/grub.cfg'), GRUB_CONFIGURATION);
  writeFile(join(mounted, PROOF_FILE), `${line}\n`);
};

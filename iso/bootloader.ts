import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../build/program.ts';
import { MIB } from '../rescue/units.ts';
import { type DebianPackage, unpackPackage } from './debian.ts';

/** GRUB for BIOS and UEFI, and what makes one file a CD and a USB stick. */

/** Programs and modules for BIOS, from the package grub-pc-bin. */
const BIOS = '/usr/lib/grub/i386-pc';

/** All that `grub.cfg` uses: the core carries them, so that no folder of modules is needed on the medium. */
const BIOS_MODULES = [
  ...['biosdisk', 'iso9660', 'part_msdos', 'search', 'search_fs_file', 'normal', 'configfile'],
  ...[
    'serial',
    'terminal',
    'linux',
    'boot',
    'chain',
    'drivemap',
    'echo',
    'test',
    'regexp',
    'ls',
    'cat',
    'minicmd',
  ],
  ...['reboot', 'halt'],
];

/**
 * The first words of both loaders: this medium is the one with that file. (Not by volume id: another version of the
 * medium, in the same machine, would be as good.)
 */
const findMedium = (mark: string): string =>
  `search --no-floppy --file --set=root /${mark}\nset prefix=($root)/boot/grub\n`;

/**
 * GRUB's core for BIOS, as El Torito boot image. The boot code in the first sector of a stick loads the same file,
 * without the 2 KiB in front that are for CDs.
 */
export const biosImage = (folder: string, mark: string): Buffer => {
  const configuration = join(folder, 'early.cfg');
  const core = join(folder, 'core.img');
  writeFileSync(configuration, findMedium(mark));
  const words = ['-O', 'i386-pc', '-d', BIOS, '-p', '/boot/grub', '-c', configuration, '-o', core];
  runProgram('grub-mkimage', [...words, ...BIOS_MODULES]);
  return Buffer.concat([readFileSync(join(BIOS, 'cdboot.img')), readFileSync(core)]);
};

export interface EfiPackages {
  /** shim-signed: signed by Microsoft; holds Debian's key, with which it checks what it starts. */
  readonly shim: DebianPackage;
  /** grub-efi-amd64-signed: signed by Debian; checks the kernel. */
  readonly grub: DebianPackage;
}

/** Room for two boot loaders of some 5 MiB, and for logs that are saved to the stick itself. */
const EFI_SIZE = 6.5 * MIB;
const SECTOR = 512;

/** The EFI system partition, a FAT image, into `output`. `time`: seconds since 1970, for all files in it. */
export const makeEfiImage = (
  output: string,
  packages: EfiPackages,
  options: { readonly folder: string; readonly mark: string; readonly time: number },
): void => {
  const { folder, mark, time } = options;
  const unpacked = join(folder, 'efi');
  mkdirSync(unpacked, { recursive: true });
  unpackPackage(packages.shim, unpacked, ['./usr/lib/shim/shimx64.efi.signed']);
  unpackPackage(packages.grub, unpacked, ['./usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed']);
  writeFileSync(join(unpacked, 'grub.cfg'), `${findMedium(mark)}configfile $prefix/grub.cfg\n`);
  writeFileSync(output, '');
  // Times and serial number are fixed, or two images would differ.
  const environment = { SOURCE_DATE_EPOCH: String(time), MTOOLS_SKIP_CHECK: '1', TZ: 'UTC' };
  const mtools = (...words: string[]): void => {
    runProgram(words[0]!, ['-i', output, ...words.slice(1)], { env: environment });
  };
  const sectors = EFI_SIZE / SECTOR;
  mtools(
    'mformat',
    '-C',
    '-T',
    String(sectors),
    '-h',
    '16',
    '-s',
    '32',
    '-N',
    '484f4c44',
    '-v',
    'HOLDFAST',
    '::',
  );
  mtools('mmd', '::/EFI', '::/EFI/BOOT', '::/boot', '::/boot/grub');
  const files: [string, string][] = [
    ['usr/lib/shim/shimx64.efi.signed', 'EFI/BOOT/BOOTX64.EFI'],
    // The name that shim starts. Of Debian's three signed GRUBs the one for media, which looks for grub.cfg beside itself.
    ['usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed', 'EFI/BOOT/grubx64.efi'],
    ['grub.cfg', 'boot/grub/grub.cfg'],
  ];
  for (const [from, to] of files) mtools('mcopy', join(unpacked, from), `::/${to}`);
};

export interface HybridOptions {
  /** The folder whose content becomes the ISO 9660 file system. It holds the El Torito image as `boot/grub/bios.img`. */
  readonly tree: string;
  /** FAT image, appended as a partition; El Torito for UEFI points there too. */
  readonly efi: string;
  readonly output: string;
  /** Seconds since 1970, for everything. */
  readonly time: number;
}

/** Puts it all into one file that is a CD image and, written with dd, a USB stick with an MBR. */
export const makeHybridIso = ({ tree, efi, output, time }: HybridOptions): void => {
  const words = [
    ...['-as', 'mkisofs', '-quiet', '-V', 'HOLDFAST', '-r', '-o', output],
    ...['--set_all_file_dates', `=${time}`],
    // BIOS, from CD and from a stick.
    ...['-b', 'boot/grub/bios.img', '-c', 'boot/boot.cat', '-no-emul-boot', '-boot-load-size', '4'],
    ...['-boot-info-table', '--grub2-boot-info', '--grub2-mbr', join(BIOS, 'boot_hybrid.img')],
    // A first partition that begins within the file system lets Linux mount the stick by partition, too.
    ...['-partition_offset', '16', '-append_partition', '2', '0xef', efi],
    // UEFI from CD; from a stick it finds the partition.
    ...['-eltorito-alt-boot', '-e', '--interval:appended_partition_2:all::', '-no-emul-boot'],
    tree,
  ];
  // Fixes the volume's times and, derived from them, its identifiers.
  runProgram('xorriso', words, { env: { SOURCE_DATE_EPOCH: String(time), TZ: 'UTC' } });
};

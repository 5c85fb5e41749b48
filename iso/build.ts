import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { buildBinary } from '../build/binary.ts';
import { PROJECT } from '../build/bundle.ts';
import { licences } from '../build/licences.ts';
import { formatBytes, MIB } from '../rescue/units.ts';
import { biosImage, makeEfiImage, makeHybridIso } from './bootloader.ts';
import { fetchPackage, unpackPackage } from './debian.ts';
import { compressedArchive, initramfsParts } from './initramfs.ts';
import { unpackKernel } from './kernel.ts';
import { keymaps } from './keymaps.ts';
import { writeLicences } from './licences.ts';

/** A medium larger than this is refused: it would no longer fit old sticks and slow networks. */
export const LARGEST = 64 * MIB;

/** 2026-01-01: the time of all files on the medium, where SOURCE_DATE_EPOCH does not say otherwise. */
const DEFAULT_TIME = 1_767_225_600;

/** Seconds since 1970 from SOURCE_DATE_EPOCH. Throws if it is something else. */
export const buildTime = (environment: NodeJS.ProcessEnv = process.env): number => {
  const text = environment['SOURCE_DATE_EPOCH'];
  if (text === undefined || text === '') return DEFAULT_TIME;
  const time = Number(text);
  // FAT knows no year before 1980; cpio has room for 32 bits.
  if (!/^\d+$/.test(text) || time < 315_532_800 || time > 0xffff_ffff)
    throw new Error(`SOURCE_DATE_EPOCH is '${text}', expected seconds since 1970, from 1980 to 2106`);
  return time;
};

export interface Medium {
  /** Files, in the folder given. */
  readonly iso: string;
  readonly vmlinuz: string;
  readonly initrd: string;
  /** What is in them: name and size in bytes. */
  readonly sizes: readonly (readonly [string, number])[];
}

/**
 * Makes holdfast.iso, vmlinuz and initrd in a folder. Same sources and same Debian packages, same bytes. Throws if a
 * package cannot be had, a module is missing, or the medium is larger than `LARGEST`.
 */
export const buildMedium = async (output: string): Promise<Medium> => {
  const time = buildTime();
  mkdirSync(output, { recursive: true });
  const folder = mkdtempSync(join(output, '.iso-'));
  const inside = (...names: string[]): string => {
    const path = join(folder, ...names);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  };
  try {
    const root = inside('unpacked');
    mkdirSync(root);
    const kernel = unpackKernel(root);
    const packages = {
      kernel: kernel.package,
      busybox: fetchPackage('busybox-static'),
      shim: fetchPackage('shim-signed'),
      grub: fetchPackage('grub-efi-amd64-signed'),
    };
    unpackPackage(packages.busybox, root);
    const npmPackages = await buildBinary(inside('holdfast'));

    // What the kernel starts from.
    const modulesFolder = inside('modules');
    mkdirSync(modulesFolder);
    const layouts = keymaps(inside('keymaps'));
    const parts = initramfsParts({
      kernel,
      keymaps: layouts.entries,
      busybox: join(root, 'bin/busybox'),
      holdfast: inside('holdfast'),
      folder: modulesFolder,
    });
    copyFileSync(kernel.image, inside('tree/boot/vmlinuz'));
    const initrd = compressedArchive(
      parts.flatMap(({ entries }) => entries),
      time,
    );
    writeFileSync(inside('tree/boot/initrd'), initrd);

    // What the firmware starts from. The mark ties boot loaders and medium together.
    const mark = `.disk/holdfast-${createHash('sha256').update(initrd).digest('hex').slice(0, 32)}`;
    writeFileSync(inside('tree', mark), '');
    copyFileSync(join(import.meta.dirname, 'grub.cfg'), inside('tree/boot/grub/grub.cfg'));
    writeFileSync(inside('tree/boot/grub/bios.img'), biosImage(folder, mark));
    makeEfiImage(inside('efi.img'), packages, { folder, mark, time });
    const ours = licences(npmPackages);
    const downloaded = [...Object.values(packages), ...layouts.packages];
    writeLicences(inside('tree/licences/holdfast.txt'), ours, downloaded, inside('holdfast'));
    makeHybridIso({ tree: inside('tree'), efi: inside('efi.img'), output: inside('holdfast.iso'), time });

    const { size } = statSync(inside('holdfast.iso'));
    if (size > LARGEST)
      throw new Error(
        `the medium has ${formatBytes(size)}, more than the ${formatBytes(LARGEST)} that it may have`,
      );
    const moved = (from: string, name: string): string => {
      renameSync(from, join(output, name));
      return join(output, name);
    };
    const sizeOf = (...names: string[]): number => statSync(inside(...names)).size;
    const sizes: [string, number][] = [
      ...parts.map(({ name, entries }): [string, number] => [
        `  initrd, unpacked: ${name}`,
        entries.reduce((sum, each) => sum + (each.kind === 'file' ? each.content.length : 0), 0),
      ]),
      ['initrd', initrd.length],
      ['vmlinuz', sizeOf('tree/boot/vmlinuz')],
      ['GRUB for BIOS', sizeOf('tree/boot/grub/bios.img')],
      ['shim and GRUB for UEFI (FAT image)', sizeOf('efi.img')],
      ['holdfast.iso', size],
    ];
    return {
      iso: moved(inside('holdfast.iso'), 'holdfast.iso'),
      vmlinuz: moved(inside('tree/boot/vmlinuz'), 'vmlinuz'),
      initrd: moved(inside('tree/boot/initrd'), 'initrd'),
      sizes,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

if (import.meta.main) {
  const { iso, sizes } = await buildMedium(resolve(PROJECT, 'dist'));
  for (const [name, size] of sizes) console.log(`${name.padEnd(40)} ${formatBytes(size).padStart(12)}`);
  console.log(iso);
}

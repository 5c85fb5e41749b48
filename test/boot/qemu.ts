import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** What a machine is made of, and how QEMU is told so. */

/** Where a disk is plugged in. `sd` wants a file whose size is a power of two. */
export type Bus = 'virtio' | 'ahci' | 'nvme' | 'usb' | 'uas' | 'sd' | 'megasas' | 'pvscsi';

export interface DiskOptions {
  /** File with the disk's bytes. */
  readonly path: string;
  /** Default virtio. */
  readonly bus?: Bus | undefined;
  /** Whether the machine's writes go into the file. Without it they are forgotten when the machine goes. */
  readonly writable?: boolean | undefined;
}

export interface MachineOptions {
  /** `secure-boot`: UEFI with Microsoft's keys enrolled, as machines are delivered. Default bios. */
  readonly firmware?: 'bios' | 'uefi' | 'secure-boot' | undefined;
  /** MiB. Default 512. */
  readonly memory?: number | undefined;
  /** The rescue medium, tried before all disks. */
  readonly medium?: { readonly path: string; readonly as: 'cd' | 'usb' } | undefined;
  /** In this order, also for the firmware. */
  readonly disks?: readonly DiskOptions[] | undefined;
  /** Starts this and asks neither firmware nor boot loader. */
  readonly kernel?:
    | { readonly image: string; readonly initrd: string; readonly commandLine: string }
    | undefined;
  /** Whether there is a screen (VGA) beside the serial console. Default: none. */
  readonly screen?: boolean | undefined;
}

/** From the package ovmf. Of the variables, each machine has a copy of its own. */
const OVMF = '/usr/share/OVMF';
const UEFI = {
  uefi: { code: 'OVMF_CODE_4M.fd', variables: 'OVMF_VARS_4M.fd' },
  'secure-boot': { code: 'OVMF_CODE_4M.ms.fd', variables: 'OVMF_VARS_4M.ms.fd' },
} as const;

const firmware = (cleanup: Cleanup, options: MachineOptions): string[] => {
  const kind = options.firmware ?? 'bios';
  // Without a screen, SeaBIOS speaks on the serial console.
  if (kind === 'bios') return ['-machine', options.screen === true ? 'pc' : 'pc,graphics=off'];
  const { code, variables } = UEFI[kind];
  const copy = join(temporaryFolder(cleanup), 'variables');
  copyFileSync(join(OVMF, variables), copy);
  const flash = (unit: number, more: string): string[] => [
    '-drive',
    `if=pflash,format=raw,unit=${unit},${more}`,
  ];
  const chips = [...flash(0, `readonly=on,file=${join(OVMF, code)}`), ...flash(1, `file=${copy}`)];
  if (kind === 'uefi') return ['-machine', 'q35', ...chips];
  // The firmware's variables can be changed in system management mode only: what Secure Boot relies on.
  const guarded = ['-global', 'driver=cfi.pflash01,property=secure,value=on'];
  return ['-machine', 'q35,smm=on', ...guarded, ...chips];
};

/** The controllers that are there once for all disks on them. */
const CONTROLLERS: Readonly<Partial<Record<Bus, string>>> = {
  ahci: 'ahci,id=ahci',
  usb: 'qemu-xhci,id=xhci',
  megasas: 'megasas,id=megasas',
  pvscsi: 'pvscsi,id=pvscsi',
};

const deviceOn = (bus: Bus, drive: string, index: number): string[] => {
  const disk = `drive=${drive},bootindex=${index + 1}`;
  switch (bus) {
    case 'virtio':
      return [`virtio-blk-pci,${disk},serial=${drive}`];
    case 'ahci':
      return [`ide-hd,${disk},bus=ahci.${index % 6},serial=${drive}`];
    case 'nvme':
      return [`nvme,${disk},serial=${drive}`];
    case 'usb':
      return [`usb-storage,${disk},bus=xhci.0,serial=${drive}`];
    case 'uas':
      return [`usb-uas,id=uas-${drive},bus=xhci.0`, `scsi-hd,${disk},bus=uas-${drive}.0,serial=${drive}`];
    case 'sd':
      return ['sdhci-pci', `sd-card,drive=${drive},bus=sd-bus`];
    default:
      return [`scsi-hd,${disk},bus=${bus}.0,serial=${drive}`];
  }
};

/** QEMU's arguments, after those that are the same for all machines. Throws if a file is missing. */
export const qemuArguments = (cleanup: Cleanup, options: MachineOptions): string[] => {
  const words = firmware(cleanup, options);
  words.push('-m', String(options.memory ?? 512), '-vga', options.screen === true ? 'std' : 'none');
  const { medium, kernel, disks = [] } = options;
  const controllers = new Set(disks.map(({ bus = 'virtio' }) => CONTROLLERS[bus === 'uas' ? 'usb' : bus]));
  if (medium?.as === 'usb') controllers.add(CONTROLLERS.usb);
  for (const each of controllers) if (each !== undefined) words.push('-device', each);
  const drive = (id: string, file: string, more: string): void => {
    words.push('-drive', `if=none,id=${id},format=raw,file=${file.replaceAll(',', ',,')},${more}`);
  };
  if (medium !== undefined) {
    drive('medium', medium.path, medium.as === 'cd' ? 'media=cdrom,readonly=on' : 'snapshot=on');
    const device = medium.as === 'cd' ? 'ide-cd' : 'usb-storage,bus=xhci.0';
    words.push('-device', `${device},drive=medium,bootindex=0`);
  }
  for (const [index, { path, bus = 'virtio', writable }] of disks.entries()) {
    const id = `disk${index}`;
    // `unsafe`: a flush does not reach this machine's own disk, only its memory, which outlives QEMU.
    drive(id, path, writable === true ? 'cache=unsafe' : 'snapshot=on');
    for (const device of deviceOn(bus, id, index)) words.push('-device', device);
  }
  if (kernel !== undefined) {
    for (const path of [kernel.image, kernel.initrd])
      if (!existsSync(path)) throw new Error(`there is no ${path} to start`);
    words.push('-kernel', kernel.image, '-initrd', kernel.initrd, '-append', kernel.commandLine);
  }
  return words;
};

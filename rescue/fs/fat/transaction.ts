import type { ReadableDevice } from '../../device/device.ts';
import { type Editor, type Patch, PatchBuilder } from '../patch.ts';
import { extendedFields } from './boot.ts';
import {
  BOOT_SECTOR_SIZE,
  BOOT_SIG_LABEL,
  BOOT_SIG_SERIAL,
  BOOT_STATE_DIRTY,
  CLEAN_SHUTDOWN,
  EXTENDED_16,
  EXTENDED_32,
} from './layout.ts';
import { liveTables } from './table-editor.ts';
import { FatVolume } from './volume.ts';

/**
 * Runs `edit` on an overlay and gives what it changed as a patch that survives a power cut between any two writes: the volume is marked as
 * not cleanly unmounted by the first phase, and as before by the last. Throws what `edit` throws. Writes nothing.
 */
export const patch = (device: ReadableDevice, edit: (editor: Editor) => void): Patch => {
  const recorded = new PatchBuilder(device);
  edit(recorded);
  const plain = recorded.build();
  if (plain.phases.length === 0) return plain;
  const volume = new FatVolume(device);
  const [first, ...others] = marksOf(volume);
  const builder = new PatchBuilder(device);
  const markFirst = (): void => {
    if (first !== undefined) set(builder, first, first.dirty);
  };
  const markOthers = (): void => {
    for (const each of others) set(builder, each, each.dirty);
  };
  // Nobody looks at all of the marks: while any of them is set, so is the one by which the volume is known to be in use.
  markFirst();
  builder.barrier();
  markOthers();
  builder.barrier();
  for (const phase of plain.phases) {
    for (const step of phase) builder.take(step);
    // A sector that holds a mark was recorded without it.
    markFirst();
    markOthers();
    builder.barrier();
  }
  for (const each of others) set(builder, each, each.before);
  builder.barrier();
  if (first !== undefined) set(builder, first, first.before);
  return builder.build();
};

/** A byte in which some bits say that the volume is in use. */
interface Mark {
  readonly offset: number;
  readonly bits: number;
  /** What these bits are while the volume is in use, and as they were found. */
  readonly dirty: number;
  readonly before: number;
}

const set = (builder: PatchBuilder, { offset, bits }: Mark, value: number): void => {
  const byte = builder.read(offset, 1)[0]!;
  builder.write(offset, Uint8Array.of((byte & ~bits) | value));
};

/**
 * The boot sector's bit, which Linux and Windows NT keep, and on FAT16 and FAT32 that of FAT[1] (fatgen103), in every FAT that counts. The copy
 * of the boot sector is left alone, as they leave it. A boot sector without BS_BootSig has other things where its bit would be: a FAT12 volume
 * with such a one cannot be marked. The marks that `state.ts` goes by come first.
 */
function* marksOf(volume: FatVolume): Generator<Mark> {
  const { device, parameters, bits } = volume;
  const boot = extendedFields(device.read(0, BOOT_SECTOR_SIZE), bits);
  if (bits === 32 || boot.BS_BootSig === BOOT_SIG_LABEL || boot.BS_BootSig === BOOT_SIG_SERIAL) {
    yield {
      offset: (bits === 32 ? EXTENDED_32 : EXTENDED_16).offsetOf('BS_Reserved1'),
      bits: BOOT_STATE_DIRTY,
      dirty: BOOT_STATE_DIRTY,
      before: boot.BS_Reserved1 & BOOT_STATE_DIRTY,
    };
  }
  if (bits === 12) return;
  // The bit lies in the upper byte of the entry.
  const width = bits / 8;
  const bit = CLEAN_SHUTDOWN[bits] >>> (bits - 8);
  const isActive = (table: number): boolean => table === parameters.activeTable;
  const tables = liveTables(parameters).toSorted((a, b) => Number(isActive(b)) - Number(isActive(a)));
  for (const table of tables) {
    const offset = parameters.tables[table]! + 2 * width - 1;
    yield { offset, bits: bit, dirty: 0, before: device.read(offset, 1)[0]! & bit };
  }
}

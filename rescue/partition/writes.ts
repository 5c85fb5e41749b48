import type { ReadableDevice } from '../device/device.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import { copyFits, encodeCopy, type GptContent } from './gpt-write.ts';
import type { EbrContent } from './mbr-write.ts';
import type { TableWrite } from './model.ts';

/** What whole sectors are to hold. */
export interface SectorChange {
  readonly offset: ByteOffset;
  readonly data: Uint8Array;
}

/** Phases of changes in a safe order: what a phase writes is on the medium before the next one starts. */
export type Phases = readonly (readonly SectorChange[])[];

/** The sectors of one GPT copy, entries before the header that vouches for them. */
const copyChanges = (content: GptContent, which: 'primary' | 'backup'): SectorChange[] => {
  const copy = encodeCopy(content, which);
  return [
    { offset: copy.entriesLba * content.sectorSize, data: copy.entries },
    { offset: copy.headerLba * content.sectorSize, data: copy.header },
  ];
};

/**
 * Both copies and the boot record. The copy that is whole now (the primary, if both are or none is) is written second,
 * so that at every instant one copy is whole; LBA 0 comes last, since it makes the disk recognisable. A copy that has no
 * room (`copyFits`) is left alone.
 */
export const gptPhases = (content: GptContent, bootSector: Uint8Array, primaryIsDamaged: boolean): Phases => {
  const [primary, backup] = (['primary', 'backup'] as const).map((which) =>
    copyFits(content, which) ? copyChanges(content, which) : [],
  ) as [SectorChange[], SectorChange[]];
  const copies = primaryIsDamaged ? [primary, backup] : [backup, primary];
  return [...copies, [{ offset: 0, data: bootSector }]];
};

/** The sector that holds `ebr`, the bytes behind the first 512 as they are on the device. */
export const ebrChange = (device: ReadableDevice, ebr: EbrContent): SectorChange => {
  const offset = ebr.lba * device.sectorSize;
  const data = device.read(offset, device.sectorSize);
  data.set(ebr.bytes);
  return { offset, data };
};

/** Only the sectors that change, with their before-images; neighbours joined, phases without a change left out. */
export const toWrites = (device: ReadableDevice, phases: Phases): TableWrite[][] => {
  const unit = device.sectorSize;
  const result = phases.map((changes) => {
    const writes: TableWrite[] = [];
    for (const { offset, data } of changes) {
      const before = device.read(offset, data.length);
      const differs = (at: number): boolean =>
        Buffer.compare(before.subarray(at, at + unit), data.subarray(at, at + unit)) !== 0;
      for (let from = 0; from < data.length; ) {
        if (!differs(from)) {
          from += unit;
          continue;
        }
        let to = from + unit;
        while (to < data.length && differs(to)) to += unit;
        writes.push({ offset: offset + from, before: before.slice(from, to), after: data.slice(from, to) });
        from = to;
      }
    }
    return writes;
  });
  return result.filter((writes) => writes.length > 0);
};

/** The device as it will be once `phases` are written. Holds the changed sectors in memory. */
export const preview = (
  device: ReadableDevice,
  phases: readonly (readonly TableWrite[])[],
): ReadableDevice => {
  const readInto = (offset: ByteOffset, target: Uint8Array): void => {
    device.readInto(offset, target);
    for (const write of phases.flat()) {
      const from = Math.max(offset, write.offset);
      const to = Math.min(offset + target.length, write.offset + write.after.length);
      if (from < to) target.set(write.after.subarray(from - write.offset, to - write.offset), from - offset);
    }
  };
  return {
    name: `${device.name} (planned)`,
    size: device.size,
    sectorSize: device.sectorSize,
    uncachedReads: false,
    readInto,
    readUncachedInto: readInto,
    read: (offset: ByteOffset, length: ByteLength) => {
      const bytes = new Uint8Array(length);
      readInto(offset, bytes);
      return bytes;
    },
  };
};

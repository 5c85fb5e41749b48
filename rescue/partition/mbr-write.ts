import type { Lba } from '../units.ts';
import { MIB } from '../units.ts';
import { chsBytes, MBR, MBR_RECORD, MBR_SIGNATURE, recordOffset } from './boot-record.ts';

/** What one partition record says. `raw`, if given, supplies CHS bytes that fit already. */
export interface RecordContent {
  readonly bootable: boolean;
  readonly type: number;
  /** As stored: relative to whatever the record counts from. */
  readonly start: Lba;
  readonly sectors: number;
  /** First absolute sector, for the CHS fields. */
  readonly absolute: Lba;
  readonly raw: Uint8Array | null;
}

/** The 16 bytes of a record. CHS bytes are kept from `raw` when place and size are the same there, else computed. */
export const encodeRecord = (content: RecordContent): Uint8Array => {
  const { raw, start, sectors, absolute } = content;
  const same =
    raw !== null &&
    MBR_RECORD.get(raw, 'StartingLBA') === start &&
    MBR_RECORD.get(raw, 'SizeInLBA') === sectors;
  return MBR_RECORD.encode({
    BootIndicator: content.bootable ? 0x80 : 0,
    StartingCHS: same ? MBR_RECORD.get(raw, 'StartingCHS') : chsBytes(absolute),
    OSType: content.type,
    EndingCHS: same ? MBR_RECORD.get(raw, 'EndingCHS') : chsBytes(absolute + sectors - 1),
    StartingLBA: start,
    SizeInLBA: sectors,
  });
};

export interface LogicalContent {
  /** Absolute. */
  readonly start: Lba;
  readonly sectors: number;
  readonly type: number;
  readonly bootable: boolean;
  readonly raw: Uint8Array | null;
  /** Where its EBR was, and that sector's first 512 bytes, if known. */
  readonly ebr: { readonly lba: Lba; readonly bytes: Uint8Array } | null;
}

export interface SectorSpan {
  readonly start: Lba;
  readonly sectors: number;
}

const inside = (lba: Lba, span: SectorSpan): boolean => lba >= span.start && lba < span.start + span.sectors;

/**
 * A free sector for the EBR of a logical partition at `start`: in the gap right before it, 1 MiB ahead if there is room, as
 * partitioning programs do. Null when the partition before ends where this one starts.
 */
export const freeEbr = (
  start: Lba,
  floor: Lba,
  taken: readonly SectorSpan[],
  used: ReadonlySet<Lba>,
  sectorSize: number,
): Lba | null => {
  let gap = floor;
  for (const span of taken) {
    const end = span.start + span.sectors;
    if (end <= start) gap = Math.max(gap, end);
  }
  for (let lba = Math.max(gap, start - MIB / sectorSize); lba < start; lba += 1)
    if (!used.has(lba)) return lba;
  return null;
};

/** An EBR that is to be written: 512 bytes at the start of sector `lba`. */
export interface EbrContent {
  readonly lba: Lba;
  readonly bytes: Uint8Array;
}

/**
 * A whole extended chain: the first EBR at the container's start, the others where they were or in free sectors.
 * `logicals` in chain order. Returns null when some EBR finds no place.
 */
export const layoutChain = (
  container: SectorSpan,
  logicals: readonly LogicalContent[],
  taken: readonly SectorSpan[],
  sectorSize: number,
): EbrContent[] | null => {
  const used = new Set<Lba>([container.start]);
  const places: Lba[] = [];
  for (const [index, logical] of logicals.entries()) {
    const old = logical.ebr?.lba ?? null;
    const fits =
      old !== null &&
      old < logical.start &&
      inside(old, container) &&
      !used.has(old) &&
      !taken.some((span) => inside(old, span));
    const lba =
      index === 0
        ? container.start
        : fits
          ? old
          : freeEbr(logical.start, container.start + 1, taken, used, sectorSize);
    if (lba === null || lba >= logical.start || taken.some((span) => inside(lba, span))) return null;
    used.add(lba);
    places.push(lba);
  }
  if (logicals.length === 0) return [{ lba: container.start, bytes: emptyEbr() }];
  return logicals.map((logical, index) => {
    const lba = places[index]!;
    const bytes = logical.ebr?.lba === lba ? Uint8Array.from(logical.ebr.bytes) : emptyEbr();
    const { type, bootable, sectors, start: absolute } = logical;
    // Chain programs differ in which records they use; one data record and one link is what all of them read.
    bytes.fill(0, recordOffset(0), recordOffset(0) + MBR.widthOf('PartitionRecord'));
    const data = { type, bootable, sectors, absolute, start: absolute - lba, raw: logical.raw };
    bytes.set(encodeRecord(data), recordOffset(0));
    const next = logicals[index + 1];
    if (next !== undefined) bytes.set(linkRecord(container.start, places[index + 1]!, next), recordOffset(1));
    return { lba, bytes };
  });
};

/** 512 zero bytes that end in 55 aa. */
export const emptyEbr = (): Uint8Array => MBR.encode({ Signature: MBR_SIGNATURE });

/** The record that links to the EBR at `lba`; it spans that EBR and its logical partition. */
export const linkRecord = (containerStart: Lba, lba: Lba, logical: SectorSpan): Uint8Array =>
  encodeRecord({
    bootable: false,
    type: 0x05,
    start: lba - containerStart,
    sectors: logical.start + logical.sectors - lba,
    absolute: lba,
    raw: null,
  });

import { crc32 } from 'node:zlib';
import type { Device, ReadableDevice } from '../device/device.ts';
import { isHoldfastError } from '../errors.ts';
import { type MutableHomes, writeInSector } from './commit.ts';
import {
  AUDIT,
  AUDIT_ACTION,
  AUDIT_ENTRIES,
  AUDIT_ENTRY,
  AUDIT_MAGIC,
  AUDIT_POSITION,
  MAX_COUNTER,
  MAX_TIME,
} from './layout.ts';

/** What happened with an image since it was made: kept in its mutable area, in one sector. */
export interface AuditEntry {
  readonly action: keyof typeof AUDIT_ACTION;
  /** Seconds since 1970. */
  readonly time: number;
  /** Restored with parts lost. */
  readonly salvaged: boolean;
}

export interface Audit {
  /** Entries ever written; older ones than the latest are dropped, but for the first. */
  readonly total: number;
  readonly first: AuditEntry;
  /** Oldest first. */
  readonly latest: readonly AuditEntry[];
}

const encodeEntry = ({ action, time, salvaged }: AuditEntry): Uint8Array =>
  AUDIT_ENTRY.encode({ time, action: AUDIT_ACTION[action], salvaged: salvaged ? 1 : 0 });

const decodeEntry = (bytes: Uint8Array): AuditEntry | undefined => {
  const { time, action, salvaged } = AUDIT_ENTRY.decode(bytes);
  const name = Object.entries(AUDIT_ACTION).find(([, code]) => code === action)?.[0];
  return name === undefined || time > MAX_TIME
    ? undefined
    : { action: name as AuditEntry['action'], time, salvaged: salvaged !== 0 };
};

/** Undefined when there is none, or none that is whole: a lost history harms nothing. */
export const readAudit = (
  partition: ReadableDevice,
  homes: MutableHomes,
  imageId: Uint8Array,
): Audit | undefined => {
  try {
    const bytes = partition.read(homes[0] + AUDIT_POSITION, AUDIT.size);
    if (crc32(bytes.subarray(0, AUDIT.offsetOf('crc'))) !== AUDIT.get(bytes, 'crc')) return undefined;
    const field = AUDIT.decode(bytes);
    if (Buffer.from(field.magic).toString('latin1') !== AUDIT_MAGIC) return undefined;
    if (
      Buffer.compare(field.image_id, imageId) !== 0 ||
      field.count > AUDIT_ENTRIES ||
      field.total > MAX_COUNTER
    )
      return undefined;
    const latest = Array.from({ length: field.count }, (_, index) =>
      decodeEntry(field.latest.subarray(index * AUDIT_ENTRY.size, (index + 1) * AUDIT_ENTRY.size)),
    ).filter((entry) => entry !== undefined);
    const first = decodeEntry(field.first);
    return first === undefined ? undefined : { total: field.total, first, latest };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

/** Adds an entry and flushes. The oldest of the latest is dropped when there is no room. */
export const appendAudit = (
  partition: Device,
  homes: MutableHomes,
  imageId: Uint8Array,
  entry: AuditEntry,
): void => continueAudit(partition, homes, imageId, readAudit(partition, homes, imageId), entry);

/** The same after a history that stands elsewhere, such as that of the generation before. */
export const continueAudit = (
  partition: Device,
  homes: MutableHomes,
  imageId: Uint8Array,
  before: Audit | undefined,
  entry: AuditEntry,
): void => {
  const latest = [...(before?.latest ?? []), entry].slice(-AUDIT_ENTRIES);
  const entries = new Uint8Array(AUDIT_ENTRIES * AUDIT_ENTRY.size);
  latest.forEach((each, index) => {
    entries.set(encodeEntry(each), index * AUDIT_ENTRY.size);
  });
  const bytes = AUDIT.encode({
    magic: Buffer.from(AUDIT_MAGIC),
    image_id: imageId,
    total: Math.min((before?.total ?? 0) + 1, MAX_COUNTER),
    first: encodeEntry(before?.first ?? entry),
    latest: entries,
    count: latest.length,
  });
  AUDIT.set(bytes, 'crc', crc32(bytes.subarray(0, AUDIT.offsetOf('crc'))));
  writeInSector(partition, homes[0] + AUDIT_POSITION, bytes);
  partition.flush();
};

import { crc32 } from 'node:zlib';
import { corrupt, unsupported } from '../errors.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import {
  KNOWN_INCOMPAT,
  KNOWN_RO_COMPAT,
  MAX_SLOT_SIZE,
  MIN_SLOT_SIZE,
  NO_RECORD,
  SLOT_HEADER,
  SLOT_HEADER_SIZE,
  SLOT_KIND,
  SLOT_MAGIC,
  type SlotKind,
} from './layout.ts';

/** What all slots of one generation of an image have in common: enough to find the partition from one of them. */
export interface SlotIdentity {
  /** 16 bytes. */
  readonly imageId: Uint8Array;
  readonly generation: number;
  readonly slotSize: ByteLength;
  /** Code of `FILE_SYSTEM_CODE`. */
  readonly fileSystem: number;
  /** Code of `DEVICE_KIND`. */
  readonly deviceKind: number;
  /** 16 bytes. */
  readonly fileSystemUuid: Uint8Array;
  readonly clusterSize: ByteLength;
  readonly clusterBase: ByteOffset;
  readonly sectorSize: ByteLength;
  readonly partitionOffset: ByteOffset;
  readonly partitionSize: ByteLength;
  /** 0: unknown. */
  readonly diskSize: ByteLength;
  /** Code of `PARTITION_SCHEME`. */
  readonly partitionScheme: number;
  /** 0: unknown. */
  readonly partitionNumber: number;
  /** 16 bytes. */
  readonly partitionUuid: Uint8Array;
  /** 16 bytes. */
  readonly partitionType: Uint8Array;
}

export interface SlotHeader extends SlotIdentity {
  readonly kind: SlotKind;
  readonly index: number;
  readonly home: ByteOffset;
  readonly nextHome: ByteOffset;
  readonly anchorHome: ByteOffset;
  readonly logOffset: number;
  /** Offset in the payload; undefined when no record starts in this slot. */
  readonly firstRecord: number | undefined;
  readonly payloadLength: ByteLength;
  readonly payloadCrc: number;
  readonly incompat: number;
  readonly roCompat: number;
}

export interface SlotPlace {
  readonly kind: SlotKind;
  readonly index: number;
  readonly home: ByteOffset;
  readonly nextHome: ByteOffset;
  readonly anchorHome: ByteOffset;
  readonly logOffset: number;
  readonly firstRecord?: number | undefined;
}

const KIND_NAMES = new Map<number, SlotKind>(
  Object.entries(SLOT_KIND).map(([name, code]) => [code, name as SlotKind]),
);

export const payloadCapacity = (slotSize: ByteLength): ByteLength => slotSize - SLOT_HEADER_SIZE;

/** The header bytes that are the same in every slot of a generation. */
export const headerTemplate = (identity: SlotIdentity): Uint8Array =>
  SLOT_HEADER.encode({
    magic: SLOT_MAGIC,
    slot_size_log2: Math.log2(identity.slotSize),
    file_system: identity.fileSystem,
    device_kind: identity.deviceKind,
    image_id: identity.imageId,
    generation: identity.generation,
    cluster_size_log2: Math.log2(identity.clusterSize),
    sector_size_log2: Math.log2(identity.sectorSize),
    partition_scheme: identity.partitionScheme,
    partition_number: identity.partitionNumber,
    partition_offset: identity.partitionOffset,
    partition_size: identity.partitionSize,
    disk_size: identity.diskSize,
    file_system_uuid: identity.fileSystemUuid,
    partition_uuid: identity.partitionUuid,
    partition_type: identity.partitionType,
    cluster_base: identity.clusterBase,
  });

/**
 * Completes a slot whose payload already stands in `slot` behind the header: writes the header, checksums included.
 * `slot` is exactly one slot long; bytes behind the payload must be zero.
 */
export const sealSlot = (
  slot: Uint8Array,
  template: Uint8Array,
  place: SlotPlace,
  payloadLength: ByteLength,
): void => {
  slot.set(template);
  SLOT_HEADER.set(slot, 'kind', SLOT_KIND[place.kind]);
  SLOT_HEADER.set(slot, 'slot_index', place.index);
  SLOT_HEADER.set(slot, 'home', place.home);
  SLOT_HEADER.set(slot, 'next_home', place.nextHome);
  SLOT_HEADER.set(slot, 'anchor_home', place.anchorHome);
  SLOT_HEADER.set(slot, 'log_offset', place.logOffset);
  SLOT_HEADER.set(slot, 'first_record', place.firstRecord ?? NO_RECORD);
  SLOT_HEADER.set(slot, 'payload_length', payloadLength);
  SLOT_HEADER.set(
    slot,
    'payload_crc',
    crc32(slot.subarray(SLOT_HEADER_SIZE, SLOT_HEADER_SIZE + payloadLength)),
  );
  const crcAt = SLOT_HEADER.offsetOf('header_crc');
  SLOT_HEADER.set(slot, 'header_crc', crc32(slot.subarray(0, crcAt)));
};

const MAGIC_BUFFER = Buffer.from(SLOT_MAGIC);

/** Whether a slot's magic stands at `at`. */
export const hasSlotMagic = (bytes: Uint8Array, at = 0): boolean =>
  bytes.length >= at + SLOT_MAGIC.length && MAGIC_BUFFER.equals(bytes.subarray(at, at + SLOT_MAGIC.length));

/** Whether the header at `at` has the checksum of its bytes; what they say is another question. */
export const headerIntact = (bytes: Uint8Array, at = 0): boolean => {
  const crcAt = SLOT_HEADER.offsetOf('header_crc');
  return SLOT_HEADER.get(bytes, 'header_crc', at) === crc32(bytes.subarray(at, at + crcAt));
};

/**
 * Reads a slot header and checks everything that can be checked without knowing the rest of the container.
 * `position` is where it was read, for messages. Throws `corrupt` (`slot.magic`, `slot.header-crc`, `slot.field`)
 * and `unsupported` (`slot.incompat`).
 */
export const parseSlotHeader = (bytes: Uint8Array, position: ByteOffset, at = 0): SlotHeader => {
  const fail = (code: string, message: string, found?: string | number) =>
    corrupt(message, {
      code: `slot.${code}`,
      structure: 'slot header',
      offset: position,
      ...(found === undefined ? {} : { found }),
    });
  if (bytes.length < at + SLOT_HEADER_SIZE) throw fail('cut-short', 'cut short');
  if (!hasSlotMagic(bytes, at)) throw fail('magic', 'no slot magic');
  if (!headerIntact(bytes, at)) throw fail('header-crc', 'wrong checksum');
  // Before any other field: a newer version may have given it another meaning.
  const incompat = SLOT_HEADER.get(bytes, 'features_incompat', at);
  if ((incompat & ~KNOWN_INCOMPAT) !== 0) {
    throw unsupported('the container was written by a newer version', {
      code: 'slot.incompat',
      structure: 'slot header',
      offset: position,
      found: `feature bits 0x${incompat.toString(16)}`,
      wayOut: 'Use a newer Holdfast.',
    });
  }
  const field = SLOT_HEADER.decode(bytes, at);
  const slotSize = 2 ** field.slot_size_log2;
  if (slotSize < MIN_SLOT_SIZE || slotSize > MAX_SLOT_SIZE)
    throw fail('field', 'impossible slot size', slotSize);
  const kind = KIND_NAMES.get(field.kind);
  if (kind === undefined) throw fail('field', 'unknown slot kind', field.kind);
  if (field.payload_length > payloadCapacity(slotSize)) {
    throw fail('field', 'payload longer than the slot', field.payload_length);
  }
  if (field.cluster_size_log2 < 9 || field.cluster_size_log2 > 31) {
    throw fail('field', 'impossible cluster size', `2^${field.cluster_size_log2}`);
  }
  if (field.sector_size_log2 !== 9 && field.sector_size_log2 !== 12) {
    throw fail('field', 'impossible sector size', `2^${field.sector_size_log2}`);
  }
  for (const name of ['home', 'next_home', 'anchor_home'] as const) {
    if (field[name] + slotSize > field.partition_size || field[name] % 512 !== 0) {
      throw fail('field', `${name} outside the partition or not on a sector`, field[name]);
    }
  }
  if (field.first_record !== NO_RECORD && field.first_record >= payloadCapacity(slotSize)) {
    throw fail('field', 'first_record outside the payload', field.first_record);
  }
  return {
    imageId: field.image_id,
    generation: field.generation,
    slotSize,
    fileSystem: field.file_system,
    deviceKind: field.device_kind,
    fileSystemUuid: field.file_system_uuid,
    clusterSize: 2 ** field.cluster_size_log2,
    clusterBase: field.cluster_base,
    sectorSize: 2 ** field.sector_size_log2,
    partitionOffset: field.partition_offset,
    partitionSize: field.partition_size,
    diskSize: field.disk_size,
    partitionScheme: field.partition_scheme,
    partitionNumber: field.partition_number,
    partitionUuid: field.partition_uuid,
    partitionType: field.partition_type,
    kind,
    index: field.slot_index,
    home: field.home,
    nextHome: field.next_home,
    anchorHome: field.anchor_home,
    logOffset: field.log_offset,
    firstRecord: field.first_record === NO_RECORD ? undefined : field.first_record,
    payloadLength: field.payload_length,
    payloadCrc: field.payload_crc,
    incompat,
    roCompat: field.features_ro_compat,
  };
};

/** Read-only compatible feature bits of a header that this version does not know; as an unsigned number. */
export const unknownRoCompat = ({ roCompat }: Pick<SlotHeader, 'roCompat'>): number =>
  (roCompat & ~KNOWN_RO_COMPAT) >>> 0;

/** Whether the payload of a whole slot matches its header. */
export const payloadIntact = (slot: Uint8Array, header: SlotHeader): boolean =>
  crc32(slot.subarray(SLOT_HEADER_SIZE, SLOT_HEADER_SIZE + header.payloadLength)) === header.payloadCrc;

/** A file system's UUID or serial as the header keeps it: its bytes in reading order, at most 16, zeros behind. */
export const fileSystemUuidBytes = (text: string): Uint8Array => {
  const field = new Uint8Array(16);
  field.set(Buffer.from(text.replaceAll('-', ''), 'hex').subarray(0, 16));
  return field;
};

/** 32 hexadecimal digits, as ids are shown and typed. */
export const formatImageId = (id: Uint8Array): string => Buffer.from(id).toString('hex');

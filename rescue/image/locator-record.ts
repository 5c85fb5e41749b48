import { crc32 } from 'node:zlib';
import { isHoldfastError } from '../errors.ts';
import { BOOT_AREA } from '../fs/filesystem.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import {
  KNOWN_INCOMPAT,
  KNOWN_RO_COMPAT,
  LOCATED_IMAGE,
  LOCATED_KIND,
  LOCATED_STATE,
  LOCATOR_MAGIC,
  LOCATOR_RECORD,
  MAX_COUNTER,
  MAX_LOCATED,
  MIN_SLOT_SIZE,
} from './layout.ts';

/**
 * The locator record: one sector in the boot area that says where the anchors of a partition's images lie. It only saves the
 * search: each image that it names is opened through its anchors and judged like any other.
 */
export interface LocatedImage {
  /** 16 bytes. */
  readonly imageId: Uint8Array;
  readonly generation: number;
  readonly sequence: number;
  readonly firstAnchorHome: ByteOffset;
  readonly lastAnchorHome: ByteOffset;
  readonly extentsDigest: Uint8Array;
  readonly kind: keyof typeof LOCATED_KIND;
  readonly state: keyof typeof LOCATED_STATE;
}

export interface LocatorRecord {
  /** Code of `FILE_SYSTEM_CODE`. */
  readonly fileSystem: number;
  /** 16 bytes. */
  readonly fileSystemUuid: Uint8Array;
  readonly serial: number;
  /** Where the record lies in its partition. */
  readonly home: ByteOffset;
  readonly partitionOffset: ByteOffset;
  readonly partitionSize: ByteLength;
  /** At most `MAX_LOCATED`. */
  readonly images: readonly LocatedImage[];
  /** Above `images.length`: there are containers that the record does not name. */
  readonly imageTotal: number;
}

const nameOf = <Names extends Record<string, number>>(
  names: Names,
  code: number,
): keyof Names | undefined => {
  const found = Object.entries(names).find(([, each]) => each === code);
  return found?.[0];
};

/** 512 bytes. */
export const encodeLocatorRecord = (record: LocatorRecord): Uint8Array => {
  const listed = record.images.slice(0, MAX_LOCATED);
  const images = new Uint8Array(MAX_LOCATED * LOCATED_IMAGE.size);
  listed.forEach((image, index) => {
    images.set(
      LOCATED_IMAGE.encode({
        image_id: image.imageId,
        generation: image.generation,
        sequence: image.sequence,
        first_anchor_home: image.firstAnchorHome,
        last_anchor_home: image.lastAnchorHome,
        extents_digest: image.extentsDigest,
        kind: LOCATED_KIND[image.kind],
        state: LOCATED_STATE[image.state],
      }),
      index * LOCATED_IMAGE.size,
    );
  });
  const bytes = LOCATOR_RECORD.encode({
    magic: LOCATOR_MAGIC,
    file_system: record.fileSystem,
    image_count: listed.length,
    image_total: Math.min(0xffff, Math.max(record.imageTotal, listed.length)),
    serial: record.serial,
    home: record.home,
    partition_offset: record.partitionOffset,
    partition_size: record.partitionSize,
    file_system_uuid: record.fileSystemUuid,
    images,
  });
  LOCATOR_RECORD.set(bytes, 'crc', crc32(bytes.subarray(0, LOCATOR_RECORD.offsetOf('crc'))));
  return bytes;
};

const MAGIC = Buffer.from(LOCATOR_MAGIC);

/** Whether the magic of a locator record stands at `at`. */
export const hasLocatorMagic = (bytes: Uint8Array, at = 0): boolean =>
  bytes.length >= at + LOCATOR_RECORD.size && MAGIC.equals(bytes.subarray(at, at + LOCATOR_MAGIC.length));

/**
 * Undefined for anything that is not a whole, valid record of a version that this program knows. One with an unknown
 * read-only compatible bit is none either: nothing is lost by not using it, and it must not be written over.
 */
export const parseLocatorRecord = (bytes: Uint8Array, at = 0): LocatorRecord | undefined => {
  if (!hasLocatorMagic(bytes, at)) return undefined;
  const crcAt = LOCATOR_RECORD.offsetOf('crc');
  if (crc32(bytes.subarray(at, at + crcAt)) !== LOCATOR_RECORD.get(bytes, 'crc', at)) return undefined;
  // Before any number: those of another version may mean anything.
  const unknown =
    (LOCATOR_RECORD.get(bytes, 'features_incompat', at) & ~KNOWN_INCOMPAT) |
    (LOCATOR_RECORD.get(bytes, 'features_ro_compat', at) & ~KNOWN_RO_COMPAT);
  if (unknown !== 0) return undefined;
  try {
    return checked(bytes, at);
  } catch (error) {
    // Only a forged record has numbers that no field of ours holds.
    if (!isHoldfastError(error, 'corrupt')) throw error;
    return undefined;
  }
};

const checked = (bytes: Uint8Array, at: number): LocatorRecord | undefined => {
  const field = LOCATOR_RECORD.decode(bytes, at);
  const inPartition = (home: number, length: number): boolean =>
    home % 512 === 0 && home + length <= field.partition_size;
  if (field.image_count > MAX_LOCATED || field.serial > MAX_COUNTER) return undefined;
  if (!inPartition(field.home, 512) || field.home + 512 > BOOT_AREA) return undefined;
  const images: LocatedImage[] = [];
  for (let index = 0; index < field.image_count; index += 1) {
    const each = LOCATED_IMAGE.decode(field.images, index * LOCATED_IMAGE.size);
    const kind = nameOf(LOCATED_KIND, each.kind);
    const state = nameOf(LOCATED_STATE, each.state);
    const homes = [each.first_anchor_home, each.last_anchor_home];
    if (kind === undefined || state === undefined) return undefined;
    if (!homes.every((home) => inPartition(home, MIN_SLOT_SIZE))) return undefined;
    images.push({
      imageId: each.image_id,
      generation: each.generation,
      sequence: each.sequence,
      firstAnchorHome: each.first_anchor_home,
      lastAnchorHome: each.last_anchor_home,
      extentsDigest: each.extents_digest,
      kind,
      state,
    });
  }
  return {
    fileSystem: field.file_system,
    fileSystemUuid: field.file_system_uuid,
    serial: field.serial,
    home: field.home,
    partitionOffset: field.partition_offset,
    partitionSize: field.partition_size,
    images,
    imageTotal: field.image_total,
  };
};

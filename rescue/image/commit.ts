import { crc32 } from 'node:zlib';
import type { Device, ReadableDevice } from '../device/device.ts';
import { isHoldfastError, refused } from '../errors.ts';
import type { ByteLength, ByteOffset } from '../units.ts';
import {
  COMMIT,
  COMMIT_MAGIC,
  COMMIT_POSITION,
  COMMIT_STATE,
  MAX_COUNTER,
  MAX_SIBLINGS,
  MAX_TIME,
  SIBLING,
} from './layout.ts';

/** Another committed image on the same disk. */
export interface Sibling {
  /** 16 bytes. */
  readonly imageId: Uint8Array;
  readonly generation: number;
  readonly size: ByteLength;
  readonly firstAnchorHome: ByteOffset;
  readonly lastAnchorHome: ByteOffset;
  readonly partitionOffset: ByteOffset;
  readonly extentsDigest: Uint8Array;
}

export interface Commit {
  readonly serial: number;
  readonly generation: number;
  readonly sequence: number;
  readonly imageId: Uint8Array;
  readonly rootDigest: Uint8Array;
  /** Seconds since 1970. */
  readonly time: number;
  readonly state: keyof typeof COMMIT_STATE;
  readonly siblings: readonly Sibling[];
  /** Above `siblings.length`: the closure cannot be told from here. */
  readonly siblingTotal: number;
  /**
   * The highest generation of which a slot may have been written, if that is not this one: a copy that was cut off is never
   * mixed with a later one.
   */
  readonly begunGeneration?: number | undefined;
  /** Homes of the first and the last anchor of the generation that this one supersedes. */
  readonly old?: readonly [ByteOffset, ByteOffset] | undefined;
}

/** The generation that the next copy of a container takes. Throws `refused` (`image.counter`). */
export const nextGeneration = (commit: Pick<Commit, 'generation' | 'begunGeneration'>): number =>
  nextOf(Math.max(commit.generation, commit.begunGeneration ?? 0), 'generation');

export const encodeCommit = (commit: Commit): Uint8Array => {
  const siblings = new Uint8Array(MAX_SIBLINGS * SIBLING.size);
  const listed = commit.siblings.slice(0, MAX_SIBLINGS);
  listed.forEach((sibling, index) => {
    siblings.set(
      SIBLING.encode({
        image_id: sibling.imageId,
        generation: sibling.generation,
        size: sibling.size,
        first_anchor_home: sibling.firstAnchorHome,
        last_anchor_home: sibling.lastAnchorHome,
        partition_offset: sibling.partitionOffset,
        extents_digest: sibling.extentsDigest,
      }),
      index * SIBLING.size,
    );
  });
  const bytes = COMMIT.encode({
    magic: Buffer.from(COMMIT_MAGIC),
    serial: commit.serial,
    generation: commit.generation,
    sequence: commit.sequence,
    image_id: commit.imageId,
    root_digest: commit.rootDigest,
    time: commit.time,
    state: COMMIT_STATE[commit.state],
    sibling_count: listed.length,
    sibling_total: Math.max(commit.siblingTotal, commit.siblings.length),
    siblings,
    begun_generation: commit.begunGeneration ?? 0,
    old_first_anchor: commit.old?.[0] ?? 0,
    old_last_anchor: commit.old?.[1] ?? 0,
  });
  COMMIT.set(bytes, 'crc', crc32(bytes.subarray(0, COMMIT.offsetOf('crc'))));
  return bytes;
};

/** The next of a counter. Throws `refused` (`image.counter`): only a forged record has one that is used up. */
export const nextOf = (counter: number, what: string): number => {
  if (counter < MAX_COUNTER) return counter + 1;
  throw refused(`the ${what} of an image is used up`, {
    code: 'image.counter',
    structure: 'commit record',
    expected: `below ${MAX_COUNTER}`,
    found: counter,
    wayOut: 'No image counts so far by itself: remove the images of this partition.',
  });
};

/** Undefined for anything that is not a whole, valid commit record of this image. */
export const parseCommit = (bytes: Uint8Array, imageId: Uint8Array): Commit | undefined => {
  // Before anything else: noise is full of numbers that no field can hold.
  if (Buffer.from(COMMIT.get(bytes, 'magic')).toString('latin1') !== COMMIT_MAGIC) return undefined;
  if (crc32(bytes.subarray(0, COMMIT.offsetOf('crc'))) !== COMMIT.get(bytes, 'crc')) return undefined;
  const field = COMMIT.decode(bytes);
  if (Buffer.compare(field.image_id, imageId) !== 0 || field.sibling_count > MAX_SIBLINGS) return undefined;
  const counters = [field.serial, field.generation, field.sequence, field.begun_generation];
  if (field.time > MAX_TIME || counters.some((each) => each > MAX_COUNTER)) return undefined;
  const state = Object.entries(COMMIT_STATE).find(([, code]) => code === field.state)?.[0];
  if (state === undefined) return undefined;
  const siblings: Sibling[] = [];
  for (let index = 0; index < field.sibling_count; index += 1) {
    const each = SIBLING.decode(field.siblings, index * SIBLING.size);
    siblings.push({
      imageId: each.image_id,
      generation: each.generation,
      size: each.size,
      firstAnchorHome: each.first_anchor_home,
      lastAnchorHome: each.last_anchor_home,
      partitionOffset: each.partition_offset,
      extentsDigest: each.extents_digest,
    });
  }
  return {
    serial: field.serial,
    generation: field.generation,
    sequence: field.sequence,
    imageId: field.image_id,
    rootDigest: field.root_digest,
    time: field.time,
    state: state as Commit['state'],
    siblings,
    siblingTotal: field.sibling_total,
    ...(field.begun_generation === 0 ? {} : { begunGeneration: field.begun_generation }),
    ...(field.old_first_anchor === 0 && field.old_last_anchor === 0
      ? {}
      : { old: [field.old_first_anchor, field.old_last_anchor] as const }),
  };
};

/** The two places of a container's commit record, in bytes of the partition. */
export type MutableHomes = readonly [ByteOffset, ByteOffset];

/** The newest valid commit record and the slot that holds it. Unreadable slots and impossible records count as empty. */
export const readCommit = (
  partition: ReadableDevice,
  homes: MutableHomes,
  imageId: Uint8Array,
): { readonly commit: Commit; readonly slot: 0 | 1 } | undefined => {
  let newest: { commit: Commit; slot: 0 | 1 } | undefined;
  for (const slot of [0, 1] as const) {
    let commit: Commit | undefined;
    try {
      commit = parseCommit(partition.read(homes[slot] + COMMIT_POSITION, COMMIT.size), imageId);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
    }
    if (commit !== undefined && commit.serial > (newest?.commit.serial ?? -1)) newest = { commit, slot };
  }
  return newest;
};

/**
 * Writes one sector that holds `record` at `position` of the partition, other bytes of the sector kept: with sectors
 * of 4096 bytes a commit record shares its sector with the slot header.
 */
export const writeInSector = (partition: Device, position: ByteOffset, record: Uint8Array): void => {
  const unit = partition.sectorSize;
  const start = position - (position % unit);
  const sector = partition.read(start, unit);
  sector.set(record, position - start);
  partition.write(start, sector);
};

/**
 * Whether nothing was ever written where the commit records go. Throws `io` for a place that cannot be read: what it
 * held is not known.
 */
export const isBlankCommit = (partition: ReadableDevice, home: ByteOffset): boolean =>
  partition.read(home + COMMIT_POSITION, COMMIT.size).every((byte) => byte === 0);

/**
 * Writes the next commit record into the slot that does not hold the newest one, and flushes. The first one goes into
 * both, one after the other: a single bad sector must not make a committed image look like one that never was.
 */
export const writeCommit = (partition: Device, homes: MutableHomes, next: Omit<Commit, 'serial'>): Commit => {
  const current = readCommit(partition, homes, next.imageId);
  const slots = current === undefined ? ([0, 1] as const) : ([current.slot === 0 ? 1 : 0] as const);
  const commit = { ...next, serial: nextOf(current?.commit.serial ?? 0, 'serial number') };
  const record = encodeCommit(commit);
  for (const slot of slots) {
    writeInSector(partition, homes[slot] + COMMIT_POSITION, record);
    partition.flush();
  }
  return commit;
};

import { crc32 } from 'node:zlib';
import type { Device, ReadableDevice } from '../device/device.ts';
import { corrupt, refused } from '../errors.ts';
import type { Patch } from '../fs/patch.ts';
import { type ByteLength, KIB } from '../units.ts';
import { writeInSector } from './commit.ts';
import type { SlotHomes } from './extents.ts';
import {
  JOURNAL_HEADER,
  JOURNAL_MAGIC,
  JOURNAL_POSITION,
  JOURNAL_PURPOSE,
  JOURNAL_STATE,
  type JournalPurpose,
  MAX_PATCH_LENGTH,
  SLOT_HEADER_SIZE,
} from './layout.ts';
import { decodePatch, encodePatch } from './patch-coding.ts';
import { sha256 } from './record.ts';
import { payloadCapacity } from './slot.ts';

/** A journal holds a patch twice as long as the one that is planned, and some more: the volume changes with time. */
const JOURNAL_SLACK = 64 * KIB;

/** Bytes of patches that the journal of a container must hold whose claim this is. */
export const journalLength = (claim: Patch): ByteLength => 2 * encodePatch(claim).length + JOURNAL_SLACK;

/** Journal slots that a patch of this many encoded bytes needs. */
export const journalSlotsFor = (patchLength: ByteLength, slotSize: ByteLength): number =>
  1 + Math.max(1, Math.ceil(patchLength / payloadCapacity(slotSize)));

export interface JournalPlace {
  readonly homes: SlotHomes;
  /** Indices of the journal slots. */
  readonly slots: readonly number[];
}

export interface JournalEntry {
  readonly purpose: JournalPurpose;
  readonly generation: number;
  readonly imageId: Uint8Array;
  readonly patch: Patch;
}

/**
 * The container's own journal: a patch, kept in the journal slots while it is applied. The header sector in the first
 * journal slot makes it count; the patch fills the payloads of the slots after it.
 */
const writeHeader = (
  partition: Device,
  place: JournalPlace,
  fields: Parameters<typeof JOURNAL_HEADER.encode>[0],
): void => {
  const header = JOURNAL_HEADER.encode({ magic: Buffer.from(JOURNAL_MAGIC), ...fields });
  JOURNAL_HEADER.set(header, 'crc', crc32(header.subarray(0, JOURNAL_HEADER.offsetOf('crc'))));
  writeInSector(partition, place.homes.homeOf(place.slots[0]!) + JOURNAL_POSITION, header);
  partition.flush();
};

/**
 * Stores the patch and makes it count; both are on the medium when this returns. Throws `refused` (`journal-full`).
 * Nothing may be applied before.
 */
export const writeJournal = (partition: Device, place: JournalPlace, entry: JournalEntry): void => {
  const bytes = encodePatch(entry.patch);
  const { homes, slots } = place;
  const room = Math.min((slots.length - 1) * payloadCapacity(homes.slotSize), MAX_PATCH_LENGTH);
  if (bytes.length > room || slots.length < 2) {
    throw refused("the change does not fit into the image's journal", {
      code: 'journal-full',
      expected: `at most ${Math.max(0, room)} bytes`,
      found: bytes.length,
    });
  }
  const capacity = payloadCapacity(homes.slotSize);
  for (let slot = 1, at = 0; at < bytes.length; slot += 1, at += capacity) {
    const home = homes.homeOf(slots[slot]!);
    // Whole sectors, the slot header kept.
    const content = partition.read(home, homes.slotSize);
    content.set(bytes.subarray(at, at + capacity), SLOT_HEADER_SIZE);
    partition.write(home, content);
  }
  partition.flush();
  writeHeader(partition, place, {
    state: JOURNAL_STATE.active,
    purpose: JOURNAL_PURPOSE[entry.purpose],
    generation: entry.generation,
    image_id: entry.imageId,
    patch_length: bytes.length,
    patch_digest: sha256(bytes),
  });
};

/** Says that the patch is fully applied, or undone. */
export const clearJournal = (partition: Device, place: JournalPlace): void => {
  writeHeader(partition, place, { state: JOURNAL_STATE.idle });
};

/**
 * The active entry, if there is one. Throws `corrupt` (`journal.digest`, `patch.*`) when the header counts but the
 * patch does not match it.
 */
export const readJournal = (partition: ReadableDevice, place: JournalPlace): JournalEntry | undefined => {
  const { homes, slots } = place;
  const first = slots[0];
  if (first === undefined) return undefined;
  const header = partition.read(homes.homeOf(first) + JOURNAL_POSITION, JOURNAL_HEADER.size);
  // Before any other field is looked at: noise is full of numbers that no field can hold.
  const valid =
    Buffer.from(JOURNAL_HEADER.get(header, 'magic')).toString('latin1') === JOURNAL_MAGIC &&
    crc32(header.subarray(0, JOURNAL_HEADER.offsetOf('crc'))) === JOURNAL_HEADER.get(header, 'crc');
  if (!valid) return undefined;
  const field = JOURNAL_HEADER.decode(header);
  if (field.state !== JOURNAL_STATE.active) return undefined;
  const capacity = payloadCapacity(homes.slotSize);
  const fail = (message: string, found: number) =>
    corrupt(message, { code: 'journal.digest', structure: 'journal', offset: homes.homeOf(first), found });
  if (field.patch_length > Math.min((slots.length - 1) * capacity, MAX_PATCH_LENGTH))
    throw fail('patch longer than the journal', field.patch_length);
  const bytes = new Uint8Array(field.patch_length);
  for (let slot = 1, at = 0; at < bytes.length; slot += 1, at += capacity) {
    const piece = bytes.subarray(at, at + capacity);
    partition.readInto(homes.homeOf(slots[slot]!) + SLOT_HEADER_SIZE, piece);
  }
  if (Buffer.compare(sha256(bytes), field.patch_digest) !== 0)
    throw fail('wrong SHA-256', field.patch_length);
  const purpose = field.purpose === JOURNAL_PURPOSE.claim ? 'claim' : 'release';
  return {
    purpose,
    generation: field.generation,
    imageId: field.image_id,
    patch: decodePatch(bytes, partition.size),
  };
};

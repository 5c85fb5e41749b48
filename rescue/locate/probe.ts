import { type HoldfastError, isHoldfastError } from '../errors.ts';
import { SLOT_HEADER_SIZE, SLOT_MAGIC } from '../image/layout.ts';
import { hasSlotMagic, parseSlotHeader, type SlotHeader } from '../image/slot.ts';
import type { ByteLength, ByteOffset } from '../units.ts';

/** A slot with a valid header. Its payload was not looked at. */
export interface ScanHit {
  /** Bytes from the start of the device. */
  readonly position: ByteOffset;
  readonly header: SlotHeader;
}

/** A slot magic before a header that cannot be used: `corrupt`, or `unsupported` for one of a newer version. */
export interface DamagedHeader {
  readonly position: ByteOffset;
  readonly error: HoldfastError;
}

const WORDS_PER_SECTOR = 512 / Uint32Array.BYTES_PER_ELEMENT;
/** In the byte order of this machine. */
const FIRST_WORD = new Uint32Array(SLOT_MAGIC.slice(0, 4).buffer)[0]!;

/**
 * The next sector of `length` bytes, from word `from` on, that begins as a slot does: its first word, or -1. One comparison
 * per sector is all that ordinary data costs. A header is 256 bytes long and starts with a sector, so none crosses from one
 * sector into another.
 */
const candidateFrom = (words: Uint32Array, length: ByteLength, from: number): number => {
  const last = (length - SLOT_HEADER_SIZE) / Uint32Array.BYTES_PER_ELEMENT;
  for (let word = from; word <= last; word += WORDS_PER_SECTOR) if (words[word] === FIRST_WORD) return word;
  return -1;
};

/** Whether `probeSlots` has anything to look at in these bytes. */
export const mayHoldSlots = (words: Uint32Array, length: ByteLength): boolean =>
  candidateFrom(words, length, 0) >= 0;

/**
 * Looks for a slot header at the start of every 512-byte sector of `bytes`, which lie at `position` of the device.
 * `words` is a view of the same memory.
 */
export const probeSlots = (
  words: Uint32Array,
  bytes: Uint8Array,
  position: ByteOffset,
  hits: ScanHit[],
  onDamaged: (damaged: DamagedHeader) => void,
): void => {
  const next = (from: number): number => candidateFrom(words, bytes.length, from);
  for (let word = next(0); word >= 0; word = next(word + WORDS_PER_SECTOR)) {
    const at = word * Uint32Array.BYTES_PER_ELEMENT;
    if (!hasSlotMagic(bytes, at)) continue;
    try {
      hits.push({ position: position + at, header: parseSlotHeader(bytes, position + at, at) });
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      onDamaged({ position: position + at, error });
    }
  }
};

/**
 * The two checksums of ext, as its own code uses them: the running value goes in and comes out as it is, without
 * the usual final inversion. Kernel: lib/crc32.c (Castagnoli, reflected polynomial 0x82F63B78), lib/crc16.c (0xA001).
 */
const buildTables = (): Uint32Array[] => {
  const tables = [new Uint32Array(256)];
  for (let index = 0; index < 256; index += 1) {
    let value = index;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    tables[0]![index] = value;
  }
  // Table k holds what a byte contributes when k more bytes follow it: eight bytes are folded per step.
  for (let slice = 1; slice < 8; slice += 1) {
    const previous = tables[slice - 1]!;
    tables.push(previous.map((value) => (value >>> 8) ^ tables[0]![value & 0xff]!));
  }
  return tables;
};
const [T0, T1, T2, T3, T4, T5, T6, T7] = buildTables() as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/** CRC-32C of `bytes[start, end)` continued from `seed`; unsigned, not inverted. */
export const crc32c = (seed: number, bytes: Uint8Array, start = 0, end = bytes.length): number => {
  let crc = seed | 0;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      T7[low & 0xff]! ^
      T6[(low >>> 8) & 0xff]! ^
      T5[(low >>> 16) & 0xff]! ^
      T4[low >>> 24]! ^
      T3[bytes[at + 4]!]! ^
      T2[bytes[at + 5]!]! ^
      T1[bytes[at + 6]!]! ^
      T0[bytes[at + 7]!]!;
  }
  for (; at < end; at += 1) crc = T0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return crc >>> 0;
};

const T16 = new Uint16Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xa001 : value >>> 1;
  return value;
});

/** CRC-16 of `bytes[start, end)` continued from `seed`. */
export const crc16 = (seed: number, bytes: Uint8Array, start = 0, end = bytes.length): number => {
  let crc = seed & 0xffff;
  for (let at = start; at < end; at += 1) crc = (crc >>> 8) ^ T16[(crc ^ bytes[at]!) & 0xff]!;
  return crc;
};

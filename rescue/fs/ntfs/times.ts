/** From 1601 to 1970, in seconds (concepts/time). */
const EPOCH = 11_644_473_600n;
const TICKS = 10_000_000n;

/** A time as stored, 8 bytes that count 100 ns since 1601, in seconds since 1970, rounded down. */
export const toSeconds = (stored: Uint8Array): number => {
  const ticks = new DataView(stored.buffer, stored.byteOffset, 8).getBigInt64(0, true);
  const seconds = ticks / TICKS - (ticks % TICKS < 0n ? 1n : 0n);
  return Number(seconds - EPOCH);
};

/** Seconds since 1970 as stored. */
export const fromSeconds = (seconds: number): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, (BigInt(Math.floor(seconds)) + EPOCH) * TICKS, true);
  return bytes;
};

/**
 * fatgen103 "Date and Time Formats": local time without a zone. Holdfast takes it for UTC: the same numbers come back,
 * whatever the zone of the machine that looks.
 */

const DAY = 86_400;

/**
 * Seconds since 1970, from 1980 on. A date that is none (0: never set) gives 0.
 * @param hundredths DIR_CrtTimeTenth: 10 ms each, up to two seconds; whole seconds of it count.
 */
export const secondsOf = (date: number, time: number, hundredths = 0): number => {
  const year = 1980 + (date >>> 9);
  const month = (date >>> 5) & 0x0f;
  const day = date & 0x1f;
  if (month < 1 || month > 12 || day < 1) return 0;
  const seconds = (time >>> 11) * 3600 + ((time >>> 5) & 0x3f) * 60 + (time & 0x1f) * 2;
  return Date.UTC(year, month - 1, day) / 1000 + Math.min(seconds, DAY - 1) + Math.floor(hundredths / 100);
};

/** The two words for a time; what lies outside of 1980 to 2107 becomes the nearest that can be said. */
export const dateTimeOf = (seconds: number): { readonly date: number; readonly time: number } => {
  const first = Date.UTC(1980, 0, 1) / 1000;
  const last = Date.UTC(2107, 11, 31, 23, 59, 58) / 1000;
  const at = new Date(Math.min(Math.max(Math.floor(seconds), first), last) * 1000);
  return {
    date: ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
    time: (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >>> 1),
  };
};

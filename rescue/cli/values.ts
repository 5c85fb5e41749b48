import { InvalidArgumentError } from 'commander';
import type { CodecChoice } from '../image/codec.ts';
import { DEFAULT_ZSTD_LEVEL } from '../image/codec.ts';
import type { ByteLength } from '../units.ts';

/** Reads the values of options. A wrong one throws commander's own error, which names the option. */

const invalid = (message: string): InvalidArgumentError => new InvalidArgumentError(message);

/** Powers of 1024; with `B` alone behind the letter, powers of 1000, as in `dd` and `head`. */
const POWERS = ['', 'K', 'M', 'G', 'T', 'P'];
const SIZE = /^(\d{1,16}(?:\.\d{1,6})?)(?: (?=\S))?([KMGTP]?)(iB|B)?$/i;

/** `1048576`, `1M`, `1MiB`, `1.5G` count in powers of 1024; `1MB` is a million bytes. */
export const readSize = (text: string): ByteLength => {
  const match = SIZE.exec(text);
  const [, digits, letter = '', tail = ''] = match ?? [];
  if (digits === undefined || (letter === '' && tail.toLowerCase() === 'ib'))
    throw invalid('Give a size such as 268435456, 256M, 256MiB or 1.5G.');
  const base = letter !== '' && tail.toLowerCase() === 'b' ? 1000 : 1024;
  const bytes = Math.floor(Number(digits) * base ** POWERS.indexOf(letter.toUpperCase()));
  if (!Number.isSafeInteger(bytes)) throw invalid('That is more than 8 PiB.');
  return bytes;
};

export const readPartition = (text: string): number => {
  const number = Number(text);
  if (!/^\d{1,10}$/.test(text) || number < 1)
    throw invalid('Give the number of a partition, counted from 1.');
  return number;
};

export const readPath = (text: string): string => {
  if (text === '') throw invalid('A path cannot be empty.');
  return text;
};

/** `latest`, `factory`, an id, its unique prefix, or a name. */
export const readSelection = (text: string): string => {
  if (text === '') throw invalid('Give latest, factory, an id or a name.');
  return text;
};

/** Characters of a name at most, as the image's control document has room for. */
const LONGEST_NAME = 256;

export const readName = (text: string): string => {
  if (text.trim() === '') throw invalid('A name cannot be empty.');
  if (text === 'latest' || text === 'factory')
    throw invalid('These two words select images by what they are; choose another name.');
  if (text.length > LONGEST_NAME) throw invalid(`A name has at most ${LONGEST_NAME} characters.`);
  // Names are shown in lists and typed on command lines.
  if (/\p{Cc}|\p{Cs}/u.test(text)) throw invalid('A name cannot contain control characters.');
  return text;
};

type CodecName = CodecChoice['codec'];
const LEVELS: Record<CodecName, { least: number; most: number; usual: number }> = {
  zstd: { least: 1, most: 19, usual: DEFAULT_ZSTD_LEVEL },
  xz: { least: 0, most: 9, usual: 6 },
  store: { least: 0, most: 0, usual: 0 },
};
export const CODECS = Object.keys(LEVELS) as CodecName[];

export const describeLevels = (): string =>
  CODECS.filter((codec) => codec !== 'store')
    .map((codec) => `${codec} ${LEVELS[codec].least} to ${LEVELS[codec].most} (${LEVELS[codec].usual})`)
    .join(', ');

export const readLevel = (text: string): number => {
  if (!/^\d{1,3}$/.test(text)) throw invalid('Give a whole number.');
  return Number(text);
};

/** The codec with the level given or its usual one; undefined if it has no such level. */
export const codecChoice = (codec: CodecName, level: number | undefined): CodecChoice | undefined => {
  const { least, most, usual } = LEVELS[codec];
  if (level === undefined) return { codec, level: usual };
  return codec === 'store' || level < least || level > most ? undefined : { codec, level };
};

import type { Plain } from '../part.ts';
import type { Random } from './random.ts';
import type { Parser } from './target.ts';

export interface TextOptions {
  readonly seeds: readonly string[];
  /** Words and signs that mean something there. */
  readonly words: readonly string[];
  /** Characters of an input at most. */
  readonly longest: number;
  /** Makes checksums in it right again. */
  readonly seal?: (text: string) => string;
}

const NUMBERS = ['0', '1', '-1', '2147483648', '4294967295', '9007199254740991', '9007199254740992', '1e999'];

/** One change of a text. */
const change = (text: string, other: string, words: readonly string[], random: Random): string => {
  const at = random.below(text.length + 1);
  const to = Math.min(text.length, at + 1 + random.below(random.pick([2, 8, 64])));
  switch (random.below(9)) {
    case 0:
      return text.slice(0, at) + text.slice(to);
    case 1:
      return text.slice(0, at) + random.pick(words) + text.slice(at);
    case 2:
      return text.slice(0, at) + random.pick(words) + text.slice(to);
    case 3:
      return text.slice(0, to) + text.slice(at);
    case 4:
      return (
        text.slice(0, at) +
        String.fromCharCode(random.oneIn(4) ? random.below(65536) : random.below(128)) +
        text.slice(at + 1)
      );
    case 5: {
      const from = random.below(other.length + 1);
      return (
        text.slice(0, at) +
        other.slice(from, from + 1 + random.below(100)) +
        text.slice(random.oneIn(2) ? at : to)
      );
    }
    case 6:
      return text.slice(0, at) + random.pick(words).repeat(1 + random.below(40)) + text.slice(to);
    default: {
      // A number becomes another one.
      const numbers = [...text.matchAll(/\d+/g)];
      const found = numbers[random.below(numbers.length)];
      if (found === undefined) return text + random.pick(words);
      const value = random.oneIn(2)
        ? random.pick(NUMBERS)
        : String(Number(found[0]) + random.pick([-1, 1, 512, -512]));
      return text.slice(0, found.index) + value + text.slice(found.index + found[0].length);
    }
  }
};

/** Everything about a parser that reads text, but for how it reads. */
export const textParser = (options: TextOptions, read: (text: string) => string): Parser<string> => ({
  seeds: options.seeds,
  mutate: (parent, other, random) => {
    let text = parent;
    for (let count = 1; count === 1 || (count < 6 && random.oneIn(2)); count += 1)
      text = change(text, other, options.words, random);
    text = text.slice(0, options.longest);
    return options.seal === undefined || random.oneIn(8) ? text : options.seal(text);
  },
  parse: read,
  encode: (text) => text,
  decode: (written: Plain) => String(written),
  *simpler(text) {
    for (let size = text.length >> 1; size >= 1; size >>= 1)
      for (let from = 0; from < text.length; from += size)
        yield text.slice(0, from) + text.slice(from + size);
  },
});

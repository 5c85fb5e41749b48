import type { Invocation } from './args.ts';
import { COMMANDS, flagOf, nameOf, type OptionSpec, valueNameOf } from './options.ts';

/** Quotes one word for a POSIX shell; words that need no quotes get none. */
export const quote = (word: string): string =>
  /^[A-Za-z0-9_@%+:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

const wordsOf = (option: OptionSpec, value: unknown): string[] => {
  const flag = flagOf(option);
  if (valueNameOf(option) === undefined) {
    const given = flag.startsWith('--no-') ? value === false : value === true;
    return given ? [flag] : [];
  }
  if (value === undefined || (option.ofTheRun && value === option.fallback)) return [];
  return (Array.isArray(value) ? value : [value]).flatMap((each) => [flag, String(each)]);
};

/** The words of the command line that asks for the same, with the defaults of today spelled out. */
export const equivalentWords = ({ command, target, values }: Invocation): string[] => {
  const options = (COMMANDS[command].options as readonly OptionSpec[]).flatMap((option) =>
    wordsOf(option, values[nameOf(option)]),
  );
  // A target that looks like an option stands behind the end of all options.
  return target.startsWith('-')
    ? ['holdfast', command, ...options, '--', target]
    : ['holdfast', command, target, ...options];
};

/** The same as one line for a POSIX shell. */
export const equivalentCommand = (invocation: Invocation): string =>
  equivalentWords(invocation).map(quote).join(' ');

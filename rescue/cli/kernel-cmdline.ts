import { type HoldfastError, usage } from '../errors.ts';

/**
 * The options of the rescue medium on the kernel command line: one table from which they are read and documented. Reading
 * needs no booted machine.
 */

export const MODES = ['tui', 'unattended', 'shell'] as const;
export const ACTIONS = ['restore', 'verify', 'create'] as const;
export const ON_SUCCESS = ['reboot', 'poweroff', 'shell', 'tui'] as const;
export const ON_FAIL = ['tui', 'shell', 'reboot', 'poweroff'] as const;

/** Which disk or partition is meant. `path` may be a link such as those under /dev/disk. */
export type KernelTarget =
  | { readonly by: 'auto' }
  | { readonly by: 'path' | 'partuuid' | 'uuid' | 'label' | 'serial'; readonly value: string };

export interface KernelOptions {
  readonly mode: (typeof MODES)[number];
  readonly action: (typeof ACTIONS)[number];
  readonly target: KernelTarget;
  /** `latest`, `factory`, an id or a name. */
  readonly image: string;
  /** Seconds. */
  readonly countdown: number;
  readonly on_success: (typeof ON_SUCCESS)[number];
  readonly on_fail: (typeof ON_FAIL)[number];
  /** Where the log goes at the end: a path, or `DEVICE:/path` on a partition with a FAT file system. */
  readonly log: string | undefined;
}

interface OptionRow<Value> {
  /** As documented, after `holdfast.NAME=`. */
  readonly values: string;
  readonly fallback: string;
  readonly help: string;
  /** Throws `RangeError` that says what is allowed. */
  read(text: string): Value;
}

const oneOf =
  <Word extends string>(words: readonly Word[]) =>
  (text: string): Word => {
    const word = words.find((each) => each === text);
    if (word === undefined) throw new RangeError(words.join(', '));
    return word;
  };

const choice = <Word extends string>(
  words: readonly Word[],
  fallback: Word,
  help: string,
): OptionRow<Word> => ({
  values: words.join('\\|'),
  fallback,
  help,
  read: oneOf(words),
});

/** Seconds; an hour is more than anybody waits. */
const MOST_SECONDS = 3600;

const readSeconds = (text: string): number => {
  if (!/^\d{1,4}$/.test(text) || Number(text) > MOST_SECONDS) throw new RangeError(`0 to ${MOST_SECONDS}`);
  return Number(text);
};

const TAGS = ['PARTUUID', 'UUID', 'LABEL', 'SERIAL'] as const;

const readTarget = (text: string): KernelTarget => {
  if (text === 'auto') return { by: 'auto' };
  const [, tag, value] = /^([A-Z]+)=(.+)$/.exec(text) ?? [];
  const known = TAGS.find((each) => each === tag);
  if (known !== undefined)
    return { by: known.toLowerCase() as 'partuuid' | 'uuid' | 'label' | 'serial', value: value! };
  if (/^\/dev\/./.test(text)) return { by: 'path', value: text };
  throw new RangeError(`auto, /dev/NAME, ${TAGS.map((each) => `${each}=...`).join(', ')}`);
};

const readImage = (text: string): string => {
  if (text === '') throw new RangeError('latest, factory, an id or a name');
  return text;
};

const readLog = (text: string): string | undefined => {
  if (text === 'none') return undefined;
  if (/^(?:\/dev\/[^:]+:\/|(?:LABEL|UUID)=[^:]+:\/|\/(?!dev\/))./.test(text)) return text;
  throw new RangeError('none, /path, or DEVICE:/path with DEVICE as /dev/NAME, LABEL=... or UUID=...');
};

export const KERNEL_OPTIONS: { readonly [Name in keyof KernelOptions]: OptionRow<KernelOptions[Name]> } = {
  mode: choice(MODES, 'tui', 'what the medium does after it has started'),
  action: choice(ACTIONS, 'restore', 'what an unattended run does'),
  target: {
    values: 'auto\\|/dev/NAME\\|PARTUUID=..\\|UUID=..\\|LABEL=..\\|SERIAL=..',
    fallback: 'auto',
    help: 'which disk or partition an unattended run works on. `auto` acts only if exactly one can be meant. UUID, LABEL and PARTUUID are those of the partition in the image, SERIAL is the disk’s',
    read: readTarget,
  },
  image: {
    values: 'latest\\|factory\\|ID\\|NAME',
    fallback: 'latest',
    help: 'which image an unattended run takes',
    read: readImage,
  },
  countdown: {
    values: 'SECONDS',
    fallback: '10',
    help: 'how long an unattended run waits before it begins; any key leaves for the screen',
    read: readSeconds,
  },
  on_success: choice(ON_SUCCESS, 'reboot', 'what follows an unattended run that succeeded'),
  on_fail: choice(ON_FAIL, 'tui', 'what follows an unattended run that failed or was refused'),
  log: {
    values: 'PATH\\|none',
    fallback: 'none',
    help: 'where the log of an unattended run is saved: `DEVICE:/path` on a partition with FAT, DEVICE being /dev/NAME, LABEL=.. or UUID=.. (`LABEL=LOGS:/run.log`), or a path in memory. `none`: it stays in memory',
    read: readLog,
  },
};
type OptionName = keyof KernelOptions;
const NAMES = Object.keys(KERNEL_OPTIONS) as OptionName[];

export const PREFIX = 'holdfast.';

/** Words of the kernel command line: blanks part them, but not inside double quotes (next_arg() in lib/cmdline.c). */
const wordsOf = (text: string): string[] => [...text.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)].map(([word]) => word);

/** `name="a b"` and `"name=a b"` both mean `a b`. */
const withoutQuotes = (word: string): string => word.replaceAll('"', '');

export interface ParsedKernelCommandLine {
  /** What was not given, or not understood, has its default. */
  readonly options: KernelOptions;
  /** One `usage` error for each option that is unknown or has a wrong value. Nothing unattended may happen then. */
  readonly errors: readonly HoldfastError[];
}

/** Reads the text of /proc/cmdline. Of an option that is given twice the last counts, as for the kernel's own. */
export const parseKernelCommandLine = (text: string): ParsedKernelCommandLine => {
  const values: Partial<Record<OptionName, unknown>> = {};
  const errors: HoldfastError[] = [];
  for (const name of NAMES) values[name] = KERNEL_OPTIONS[name].read(KERNEL_OPTIONS[name].fallback);
  for (const word of wordsOf(text).map(withoutQuotes)) {
    if (!word.startsWith(PREFIX)) continue;
    const [, key = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(word.slice(PREFIX.length)) ?? [];
    // The kernel takes dashes and underscores for one another.
    const name = NAMES.find((each) => each === key.replaceAll('-', '_'));
    if (name === undefined) {
      errors.push(
        usage(`unknown option ${PREFIX}${key} on the kernel command line`, {
          code: 'kernel.unknown-option',
          expected: NAMES.map((each) => PREFIX + each).join(', '),
        }),
      );
      continue;
    }
    try {
      values[name] = KERNEL_OPTIONS[name].read(value ?? '');
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      errors.push(
        usage(`wrong value of ${PREFIX}${name} on the kernel command line`, {
          code: 'kernel.wrong-value',
          expected: error.message,
          found: value ?? 'none',
        }),
      );
    }
  }
  return { options: values as unknown as KernelOptions, errors };
};

/** The table for the documentation, in Markdown. */
export const kernelOptionsReference = (): string =>
  [
    '| option | default | meaning |',
    '|---|---|---|',
    ...NAMES.map((name) => {
      const { values, fallback, help } = KERNEL_OPTIONS[name];
      return `| \`${PREFIX}${name}=\` ${values} | ${fallback} | ${help} |`;
    }),
  ].join('\n');

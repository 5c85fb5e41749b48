import { Command, CommanderError, Option } from 'commander';
import { type HoldfastError, usage } from '../errors.ts';
import { VERSION } from '../version.ts';
import { EXIT } from './exit.ts';
import {
  COMMAND_NAMES,
  COMMANDS,
  type CommandName,
  type CommandSpec,
  flagOf,
  type JobName,
  type OptionSpec,
  type OptionValues,
} from './options.ts';
import { wrap } from './text.ts';
import { codecChoice, describeLevels } from './values.ts';

/** A command line that was understood. */
export interface Invocation {
  readonly command: JobName;
  readonly target: string;
  /** With defaults filled in. */
  readonly values: OptionValues;
}

/** What a command line asks for: a job, the full-screen interface, or a text such as the help. */
export type Parsed =
  | { readonly invocation: Invocation }
  | { readonly screen: Pick<OptionValues, 'log'> }
  | { readonly text: string; readonly exit: 'done' | 'usage' };

export interface ParseOptions {
  /** Columns for help texts. */
  readonly width?: number;
}

const exitCodes = (width: number): string =>
  [
    '',
    'Exit codes:',
    ...Object.values(EXIT).map(({ code, when }) =>
      wrap(when, { width, first: `  ${String(code).padEnd(4)} `, rest: ' '.repeat(7) }),
    ),
  ].join('\n');

const DESCRIPTION =
  'Keeps a complete image of a partition inside that same partition, and brings the partition back from it.';

/** A fault in how `command` was called: one line that ends with where help is. */
const misuse = (command: CommandName | undefined, message: string, code: string): HoldfastError => {
  const help = `holdfast ${command === undefined ? '' : `${command} `}--help`;
  return usage(`${message.replace(/[. ]+$/, '')}. See: ${help}`, { code });
};

const optionOf = (option: OptionSpec): Option => {
  const built = new Option(option.flags, option.help);
  if (option.choices !== undefined) built.choices([...option.choices]);
  const { read } = option;
  if (read !== undefined && option.repeatable) {
    built.argParser<unknown[]>((text, earlier) => [...(earlier ?? []), read(text)]);
  } else if (read !== undefined) built.argParser(read);
  if (option.fallback !== undefined) built.default(option.fallback);
  return built.makeOptionMandatory(option.required === true);
};

const isCommand = (word: string): word is CommandName => Object.hasOwn(COMMANDS, word);

/** Commander's errors in our words, where its own would not help. */
const explain = (
  error: CommanderError,
  command: CommandName | undefined,
  words: readonly string[],
): string => {
  const said = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
  const second = words.find(isCommand);
  if (error.code === 'commander.excessArguments' && second !== undefined)
    return `two commands, ${command} and ${second}: give one at a time`;
  // An option of a command stands after it.
  const flag = /^unknown option '(--[a-z-]+)/.exec(said)?.[1];
  const known = COMMAND_NAMES.some((name) => COMMANDS[name].options.some((each) => flagOf(each) === flag));
  return command === undefined && known ? `${flag} must stand after the command` : said;
};

const usageError = (error: CommanderError, command?: CommandName, words: readonly string[] = []) => {
  const code = error.code.replace('commander.', 'option.').replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  return misuse(command, explain(error, command, words), code);
};

type Take = (command: CommandName, words: readonly string[], values: OptionValues) => void;

const buildCommand = (program: Command, name: CommandName, width: number, take: Take): void => {
  const spec: CommandSpec = COMMANDS[name];
  const command: Command = program
    .command(name)
    .summary(spec.summary)
    .description(`${spec.summary[0]!.toUpperCase()}${spec.summary.slice(1)}.`)
    .version(`holdfast ${VERSION}`, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', exitCodes(width))
    .exitOverride((error) => {
      throw error.exitCode === 0 ? error : usageError(error, name, command.args);
    })
    .action(() => take(name, command.args, command.opts()));
  if (spec.target !== undefined) command.argument('<TARGET>', spec.target);
  for (const option of spec.options) command.addOption(optionOf(option));
};

const buildProgram = (write: (text: string) => void, width: number, take: Take): Command => {
  const program = new Command('holdfast')
    .description(DESCRIPTION)
    .version(`holdfast ${VERSION}`, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .configureOutput({
      writeOut: write,
      // Errors are told once, by whoever catches them.
      writeErr: () => {},
      outputError: () => {},
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', `${exitCodes(width)}\n\nThe options of a command: holdfast COMMAND --help`)
    .exitOverride((error) => {
      throw error.exitCode === 0 ? error : usageError(error);
    });
  for (const name of COMMAND_NAMES) buildCommand(program, name, width, take);
  return program;
};

/** What the table of options cannot say by itself. */
const checkTogether = (command: CommandName, values: OptionValues): OptionValues => {
  const fail = (message: string, code: string): HoldfastError => misuse(command, message, code);
  if (values.keepOld && values.replaceFirst)
    throw fail('--keep-old and --replace-first contradict each other', 'option.contradiction');
  if (values.codec === undefined) return values;
  const choice = codecChoice(values.codec, values.level);
  if (choice === undefined) {
    const found = `--level ${values.level} does not fit --codec ${values.codec}`;
    throw fail(`${found}; levels are: ${describeLevels()}`, 'option.level');
  }
  return values.codec === 'store' ? values : { ...values, level: choice.level };
};

/**
 * Reads a command line (without the program's own name). Throws `usage` (`option.*`), in one line that ends with
 * where help is.
 */
export const parseArguments = (argv: readonly string[], options: ParseOptions = {}): Parsed => {
  let text = '';
  let taken: { command: CommandName; words: readonly string[]; values: OptionValues } | undefined;
  const program = buildProgram(
    (piece) => {
      text += piece;
    },
    options.width ?? 80,
    (command, words, values) => {
      taken = { command, words, values };
    },
  );
  if (argv.length === 0) return { text: helpOf(program), exit: 'usage' };
  try {
    program.parse(helpWords(argv), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return { text, exit: 'done' };
    throw error;
  }
  if (taken === undefined) throw misuse(undefined, 'no command given', 'option.no-command');
  const { command, words, values } = taken;
  if (command === 'tui') {
    if (values.json) throw misuse(command, '--json does not go with a screen', 'option.contradiction');
    return { screen: values.log === undefined ? {} : { log: values.log } };
  }
  const target = words[0]!;
  if (target === '') throw misuse(command, 'TARGET is empty', 'target.missing');
  return { invocation: { command, target, values: checkTogether(command, values) } };
};

/** `help create` is `create --help`. */
const helpWords = (argv: readonly string[]): string[] =>
  argv[0] !== 'help'
    ? [...argv]
    : [...argv.slice(1), ...(argv[1] === undefined || isCommand(argv[1]) ? ['--help'] : [])];

const helpOf = (program: Command): string => {
  let text = '';
  program.configureOutput({
    ...program.configureOutput(),
    writeOut: (piece) => {
      text += piece;
    },
  });
  program.outputHelp();
  return text;
};

/** For failures before options are known: whether this command line wants its answer as JSON. */
export const wantsJson = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
};

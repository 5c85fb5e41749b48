import { EXIT } from './exit.ts';
import { COMMAND_NAMES, COMMANDS, type CommandSpec, type OptionSpec } from './options.ts';

/** The part of README.md that says what the tables of commands, options and exit codes say. */

const cellOf = (text: string): string => text.replaceAll('|', '\\|');

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cellOf).join(' | ')} |`);

const meaningOf = (option: OptionSpec): string => {
  const parts = [option.help];
  if (option.choices !== undefined) parts.push(`one of ${option.choices.join(', ')}`);
  if (option.fallback !== undefined) parts.push(`default ${option.fallback}`);
  if (option.required) parts.push('must be given');
  return parts.join('; ');
};

const spec = (name: (typeof COMMAND_NAMES)[number]): CommandSpec => COMMANDS[name];

/** Options that all commands have. */
const isShared = (option: OptionSpec): boolean => option.ofTheRun === true;

const section = (name: (typeof COMMAND_NAMES)[number]): string[] => {
  const { summary, target, options } = spec(name);
  const own = options.filter((option) => !isShared(option));
  return [
    `### holdfast ${name}${target === undefined ? '' : ' TARGET'}`,
    '',
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.${target === undefined ? '' : ` TARGET: ${target}.`}`,
    '',
    ...(own.length === 0
      ? []
      : [
          ...table(
            ['option', 'meaning'],
            own.map((option) => [`\`${option.flags}\``, meaningOf(option)]),
          ),
          '',
        ]),
  ];
};

/** Markdown, without a blank line at its end. */
export const cliReference = (): string => {
  const shared = spec('list').options.filter(isShared);
  return [
    ...COMMAND_NAMES.flatMap(section),
    '### Options of all commands',
    '',
    ...table(
      ['option', 'meaning'],
      [
        ...shared.map((option) => [`\`${option.flags}\``, meaningOf(option)]),
        ['`--help`, `-h`', 'print the help of the command'],
        ['`--version`', 'print the version'],
      ],
    ),
    '',
    '### Exit codes',
    '',
    ...table(
      ['exit', 'when'],
      Object.values(EXIT).map(({ code, when }) => [String(code), when]),
    ),
  ].join('\n');
};

const BEGIN = '<!-- generated from options.ts and exit.ts: begin -->';
const END = '<!-- generated: end -->';

/** `readme` with its generated part brought up to date. Throws `RangeError` if the marks are not there. */
export const withReference = (readme: string): string => {
  const from = readme.indexOf(BEGIN);
  const to = readme.indexOf(END);
  if (from < 0 || to < from) throw new RangeError('the README has lost its marks');
  return `${readme.slice(0, from + BEGIN.length)}\n\n${cliReference()}\n\n${readme.slice(to)}`;
};

import type { CodecChoice } from '../image/codec.ts';
import { IMAGE_KINDS, type ImageKind } from '../image/control.ts';
import type { ByteLength } from '../units.ts';
import {
  CODECS,
  describeLevels,
  readLevel,
  readName,
  readPartition,
  readPath,
  readSelection,
  readSize,
} from './values.ts';

/** Every command and option as data: the parser, the help, the documentation and the equivalent command read this. */

export const PROGRESS_MODES = ['auto', 'plain', 'json', 'none'] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];
const DEPTHS = ['quick', 'full'] as const;

/** Values by the option's name in camel case; a command has those of its own options. */
export interface OptionValues {
  readonly partition?: number;
  readonly name?: string;
  readonly kind?: ImageKind;
  readonly codec?: CodecChoice['codec'];
  readonly level?: number;
  readonly keepOld?: boolean;
  readonly replaceFirst?: boolean;
  readonly forceFactory?: boolean;
  readonly minFree?: ByteLength;
  readonly depth?: (typeof DEPTHS)[number];
  readonly aid?: string;
  readonly aidOut?: string;
  readonly image?: string;
  readonly repair?: boolean;
  readonly from?: string;
  readonly to?: string;
  readonly drop?: readonly string[];
  readonly companions?: boolean;
  readonly salvage?: boolean;
  /** False with `--no-verify-after`. */
  readonly verifyAfter?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
  readonly progress?: ProgressMode;
  readonly log?: string;
}
export type OptionName = keyof OptionValues;

export interface OptionSpec {
  /** `--name <TEXT>` takes a value, `--force` takes none. */
  readonly flags: `--${string}`;
  readonly help: string;
  readonly read?: (text: string) => string | number;
  readonly choices?: readonly string[];
  readonly fallback?: string;
  readonly required?: true;
  readonly repeatable?: true;
  /** About this run, not about what is done: the equivalent command shows it only where it is not the default. */
  readonly ofTheRun?: true;
}

const TARGET_HELP = 'block device, or regular file that holds a disk or a partition';
const TARGET_OR_FILE_HELP = `${TARGET_HELP}, or a container file (.hfi)`;

const PARTITION: OptionSpec = {
  flags: '--partition <N>',
  help: 'partition N of the disk TARGET',
  read: readPartition,
};
const IMAGE: OptionSpec = {
  flags: '--image <SEL>',
  help: 'which image: latest, factory, an id or its beginning, or a name',
  read: readSelection,
  fallback: 'latest',
};
const AID: OptionSpec = {
  flags: '--aid <FILE>',
  help: 'look where this recovery aid file says first',
  read: readPath,
};
const DRY_RUN: OptionSpec = {
  flags: '--dry-run',
  help: 'check and plan everything, show the plan, write nothing',
};
const YES: OptionSpec = { flags: '--yes', help: 'do not ask for confirmation' };

const ALWAYS: readonly OptionSpec[] = [
  { flags: '--json', help: 'print one JSON document on standard output, nothing else there', ofTheRun: true },
  {
    flags: '--progress <MODE>',
    help: 'how to show progress on standard error; auto: a line that updates itself on a terminal, else plain',
    choices: PROGRESS_MODES,
    fallback: 'auto',
    ofTheRun: true,
  },
  {
    flags: '--log <FILE>',
    help: 'append everything that is said and done to FILE, with times',
    read: readPath,
    ofTheRun: true,
  },
];

export interface CommandSpec {
  readonly summary: string;
  /** What TARGET may be; undefined: the command has none. */
  readonly target: string | undefined;
  readonly options: readonly OptionSpec[];
}

const spec = (summary: string, target: string | undefined, options: readonly OptionSpec[]): CommandSpec => ({
  summary,
  target,
  options: [...options, ...ALWAYS],
});

export const COMMANDS = {
  create: spec('make an image of a partition inside that partition', TARGET_HELP, [
    PARTITION,
    { flags: '--name <TEXT>', help: 'name of the image; not latest or factory', read: readName },
    {
      flags: '--kind <KIND>',
      help: 'user images are replaced by later ones, factory images only by force',
      choices: IMAGE_KINDS,
      fallback: 'user',
    },
    { flags: '--codec <CODEC>', help: 'how data is compressed', choices: CODECS, fallback: 'zstd' },
    { flags: '--level <N>', help: `level of compression (default): ${describeLevels()}`, read: readLevel },
    { flags: '--keep-old', help: 'keep the user image that this one would replace' },
    {
      flags: '--replace-first',
      help: 'remove the old user image before the new one is complete, where there is no space for both',
    },
    { flags: '--force-factory', help: 'allow replacing a factory image' },
    {
      flags: '--min-free <SIZE>',
      help: 'refuse if less would stay free; 268435456, 256M (= 256MiB), 300MB, ... (default: the smaller of 2 % and 256 MiB)',
      read: readSize,
    },
    DRY_RUN,
    YES,
  ]),
  list: spec('find the images on a disk or partition', TARGET_HELP, [
    PARTITION,
    {
      flags: '--depth <DEPTH>',
      help: 'quick stops at the first image that names all others; full reads everything',
      choices: DEPTHS,
      fallback: 'quick',
    },
    AID,
  ]),
  info: spec('show all that is known of one image', TARGET_OR_FILE_HELP, [
    PARTITION,
    IMAGE,
    AID,
    {
      flags: '--aid-out <FILE>',
      help: 'write a recovery aid file: a text that says where the images are, to be kept elsewhere',
      read: readPath,
    },
  ]),
  verify: spec('check that an image is whole', TARGET_OR_FILE_HELP, [
    PARTITION,
    IMAGE,
    AID,
    {
      flags: '--repair',
      help: 'mend what can be: a container that a defragmenter moved, lost copies of anchors and commit records',
    },
  ]),
  restore: spec('bring a partition back from an image', TARGET_HELP, [
    PARTITION,
    IMAGE,
    AID,
    { flags: '--from <FILE>', help: 'read the image from this container file (.hfi)', read: readPath },
    { flags: '--to <TARGET2>', help: 'restore to this partition, disk or file instead', read: readPath },
    {
      flags: '--drop <ID>',
      help: 'the restore may destroy this other image (repeatable)',
      read: readSelection,
      repeatable: true,
    },
    {
      flags: '--companions',
      help: 'write back what else a machine boots from (boot gap, BIOS boot partition, EFI system partition), although the partition table is kept',
    },
    { flags: '--salvage', help: 'restore what can be read of a damaged image, and say what cannot' },
    { flags: '--no-verify-after', help: 'do not read back what was written' },
    DRY_RUN,
    YES,
  ]),
  remove: spec('remove one image, and give its space back', TARGET_HELP, [
    PARTITION,
    { flags: IMAGE.flags, help: IMAGE.help, read: readSelection, required: true },
    AID,
    DRY_RUN,
    YES,
  ]),
  tui: spec('full-screen interface: find images, restore, create, verify and remove', undefined, []),
} as const satisfies Record<string, CommandSpec>;
export type CommandName = keyof typeof COMMANDS;
/** Commands that do a job. */
export type JobName = Exclude<CommandName, 'tui'>;
export const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[];

/** `--min-free <SIZE>` -> `--min-free`. */
export const flagOf = (option: OptionSpec): string => option.flags.split(' ')[0]!;

/** `--min-free <SIZE>` -> `minFree`, `--no-verify-after` -> `verifyAfter`. */
export const nameOf = (option: OptionSpec): OptionName =>
  flagOf(option)
    .replace(/^--(no-)?/, '')
    .replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()) as OptionName;

/** `Z` of `--option <Z>`; undefined for an option without a value. */
export const valueNameOf = (option: OptionSpec): string | undefined => /<(.*)>/.exec(option.flags)?.[1];

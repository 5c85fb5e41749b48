import type { JobContext } from '../../../rescue/job/context.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { creating } from './creating.ts';
import { mending } from './mending.ts';
import { relocating } from './relocating.ts';
import { removing } from './removing.ts';
import { GPT_DISK, restoring } from './restoring.ts';
import type { Scene } from './scene.ts';
import { VOLUME_NAMES, type VolumeName } from './world.ts';

type Make = (cleanup: Cleanup, context: JobContext) => Promise<Scene>;

/** The commands that write, each in the ways that differ in what is written and when. */
export const COMMANDS = [
  'create',
  'create, replacing',
  'remove',
  'restore',
  'restore, moving an image',
  'verify --repair',
] as const;
export type Command = (typeof COMMANDS)[number];

/** One command on one volume, by name; made only when it is asked for. */
export interface SceneName {
  readonly command: Command;
  readonly volume: VolumeName | typeof GPT_DISK;
  /** Where one command goes in several ways on a volume. */
  readonly way?: string;
  readonly make: Make;
}

const onEach = (volume: VolumeName): SceneName[] => [
  { command: 'create', volume, make: (...to) => creating(...to, volume, { replaces: false }) },
  { command: 'create, replacing', volume, make: (...to) => creating(...to, volume, { replaces: true }) },
  { command: 'remove', volume, make: (...to) => removing(...to, volume) },
  { command: 'restore', volume, make: (...to) => restoring(...to, volume) },
  // On ext2 the kernel puts files where no image of theirs comes to lie in the way of another.
  ...(volume === 'ext2'
    ? []
    : [
        {
          command: 'restore, moving an image',
          volume,
          make: (cleanup, context) => relocating(cleanup, context, volume, false),
        } satisfies SceneName,
      ]),
  ...(['in place', 'as a copy'] as const).map(
    (way): SceneName => ({
      command: 'verify --repair',
      volume,
      way,
      make: (...to) => mending(...to, volume, way),
    }),
  ),
];

export const SCENES: readonly SceneName[] = [
  ...VOLUME_NAMES.flatMap(onEach),
  { command: 'restore', volume: GPT_DISK, make: (...to) => restoring(...to, GPT_DISK) },
  {
    command: 'restore, moving an image',
    volume: 'ext4 without a journal',
    way: 'destroyed',
    make: (...to) => relocating(...to, 'ext4 without a journal', true),
  },
];

export const titleOf = ({ command, volume, way }: SceneName): string =>
  `${command}${way === undefined ? '' : ` (${way})`}: ${volume}`;

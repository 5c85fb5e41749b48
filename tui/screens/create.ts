import { readName } from '../../rescue/cli/values.ts';
import type { DiskFacts } from '../../rescue/job/disks.ts';
import { formatBytes } from '../../rescue/units.ts';
import { BLANK, fitTo, type Look, paragraph, type Row, row, shown, span } from '../cells.ts';
import { type CreateChoices, startCreate } from '../jobs.ts';
import { type Key, listKeys } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { TextField } from '../text-field.ts';
import { contentName } from '../widgets/disk-map.ts';

/** A place for an image, and why it is none. */
interface Candidate {
  readonly target: {
    readonly path: string;
    readonly partition?: number;
    readonly offset: number;
    readonly size: number;
  };
  readonly text: (look: Look) => string;
  readonly disabled: string | undefined;
  readonly efiSystem: boolean;
}

const candidatesOf = (disk: DiskFacts): Candidate[] => {
  const whole = disk.content;
  const reason = (filesystem: string | null | undefined, mounts: readonly string[]): string | undefined => {
    if (filesystem == null) return 'images cannot be made of what is in it.';
    return mounts.length === 0 ? undefined : `it is mounted at ${mounts.join(', ')}; unmount it first.`;
  };
  if (whole !== null)
    return [
      {
        target: { path: disk.path, offset: 0, size: disk.size },
        text: (look) => `${disk.path}, ${contentName(whole, look)}, ${formatBytes(disk.size)}`,
        disabled: reason(whole.filesystem, disk.mountPoints),
        efiSystem: false,
      },
    ];
  return disk.partitions.map(({ number, path, offset, size, content, efiSystem, mountPoints }) => ({
    target: { path: disk.path, partition: number, offset, size },
    text: (look) => `${path ?? `partition ${number}`}, ${contentName(content, look)}, ${formatBytes(size)}`,
    disabled: reason(content.filesystem, mountPoints),
    efiSystem: efiSystem === true,
  }));
};

const KINDS: readonly CreateChoices['kind'][] = ['user', 'factory'];
const CODECS: readonly CreateChoices['codec'][] = ['zstd', 'xz', 'store'];

const HINTS = {
  partition:
    'The partition that the image is made of, and that it is kept in. Left and Right choose another.',
  name: 'A name for the image, such as "before update". It may stay empty.',
  kind: 'A user image is replaced by the next one; a factory image is replaced only by force.',
  codec: 'zstd is fast; xz is slow and small, for images that are made once; store does not compress.',
  keepOld: 'Whether the user image that this one would replace is kept as well. It needs space for both.',
  start: 'Checks the file system and shows the plan. Nothing is written before you agree.',
};
const FIELDS = Object.keys(HINTS) as (keyof typeof HINTS)[];

const nameTrouble = (name: string): string | undefined => {
  if (name.trim() === '') return undefined;
  try {
    readName(name.trim());
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
};

/** A form; the job's own checks and its plan follow. */
export const createScreen = (ui: Ui, disk: DiskFacts): Screen => {
  const candidates = candidatesOf(disk);
  const name = new TextField('', 60);
  const usable = candidates.filter(({ disabled }) => disabled === undefined);
  const first = usable.find(({ efiSystem }) => !efiSystem) ?? usable[0];
  let partition = first === undefined ? 0 : candidates.indexOf(first);
  let kind: CreateChoices['kind'] = 'user';
  let codec: CreateChoices['codec'] = 'zstd';
  let keepOld = false;
  let at = 0;
  const field = (): keyof typeof HINTS => FIELDS[at]!;
  const next = <T>(values: readonly T[], value: T, by: number): T =>
    values[(values.indexOf(value) + by + values.length) % values.length]!;
  const change = (by: number): void => {
    if (field() === 'partition' && candidates.length > 0)
      partition = (partition + by + candidates.length) % candidates.length;
    else if (field() === 'kind') kind = next(KINDS, kind, by);
    else if (field() === 'codec') codec = next(CODECS, codec, by);
    else if (field() === 'keepOld') keepOld = !keepOld;
  };
  const disabled = (): string | undefined => {
    const candidate = candidates[partition];
    if (candidate === undefined) return 'this disk has no partition that could hold an image.';
    return candidate.disabled ?? nameTrouble(name.value);
  };
  const start = (): void =>
    startCreate(ui, candidates[partition]!.target, { name: name.value, kind, codec, keepOld });
  const valueRow = (each: keyof typeof HINTS, columns: number, look: Look): Row => {
    const focused = each === field();
    const choice = (text: string): Row =>
      fitTo([span(focused ? `< ${text} >` : `  ${text}`, focused ? 'selected' : 'normal')], columns);
    if (each === 'partition') return choice(candidates[partition]?.text(look) ?? 'none');
    if (each === 'name') return name.view(Math.min(44, columns), focused);
    if (each === 'kind') return choice(kind);
    if (each === 'codec') return choice(codec);
    if (each === 'keepOld') return choice(keepOld ? 'yes' : 'no');
    return [span(focused ? '> Check and plan <' : '[ Check and plan ]', focused ? 'focused' : 'button')];
  };
  const titles: Record<keyof typeof HINTS, string> = {
    partition: 'Partition',
    name: 'Name',
    kind: 'Kind',
    codec: 'Compression',
    keepOld: 'Keep old image',
    start: '',
  };
  return {
    title: 'New image',
    rows: ({ columns }, look) => {
      const trouble = disabled();
      return [
        ...paragraph('An image of a partition, kept inside that partition.', columns, { style: 'strong' }),
        ...paragraph('Files are not touched; the image takes free space only.', columns),
        BLANK,
        ...FIELDS.flatMap((each) => [
          row(
            span(
              `${each === field() ? look.glyphs.pointer : ' '} ${titles[each].padEnd(16)}`,
              each === field() ? 'strong' : 'dim',
            ),
            ...valueRow(each, columns - 20, look),
          ),
          BLANK,
        ]),
        ...paragraph(HINTS[field()], columns, { style: 'dim' }),
        ...(trouble === undefined
          ? []
          : paragraph(`Not possible: ${shown(trouble, look)}`, columns, { style: 'warning' })),
      ];
    },
    keys: (): Key[] => [
      {
        names: ['enter'],
        title: field() === 'start' ? 'Check and plan' : 'Next',
        hint: 'Goes to the next field; on the button, checks the file system and shows the plan.',
        disabled: field() === 'start' ? disabled() : undefined,
        action: () => {
          if (field() === 'start') start();
          else at += 1;
        },
      },
      {
        names: ['right', ' '],
        title: 'Change',
        hint: 'Takes the next value of this field.',
        action: () => change(1),
      },
      {
        names: ['left'],
        title: 'Change back',
        hint: 'Takes the value before.',
        quiet: true,
        action: () => change(-1),
      },
      {
        names: ['tab'],
        title: 'Next field',
        hint: 'Goes to the next field.',
        quiet: true,
        action: () => {
          at = (at + 1) % FIELDS.length;
        },
      },
      {
        names: ['S-tab'],
        title: 'Field before',
        hint: 'Goes to the field before.',
        quiet: true,
        action: () => {
          at = (at + FIELDS.length - 1) % FIELDS.length;
        },
      },
      ...listKeys(
        () => FIELDS.length,
        () => at,
        (to) => {
          at = to;
        },
      ).filter(({ title }) => title === 'Up' || title === 'Down'),
      ...name.keys(() => ui.changed()),
    ],
    typed: (character) => {
      if (field() !== 'name') return false;
      name.type(character);
      return true;
    },
  };
};

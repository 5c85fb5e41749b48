import { failureOf, traceOf } from '../../rescue/cli/exit.ts';
import { describeImage } from '../../rescue/cli/intent.ts';
import { count, exactBytes, formatTime } from '../../rescue/cli/text.ts';
import type {
  FoundBy,
  FoundState,
  ImageSummary,
  ListResult,
  ProposedTable,
} from '../../rescue/job/results.ts';
import { formatBytes } from '../../rescue/units.ts';
import { BLANK, factRows, type Look, paragraph, type Row, row, type Style, shown, span } from '../cells.ts';
import { JobRun } from '../job-run.ts';
import { startRemove, startRestore, startVerify } from '../jobs.ts';
import { type Key, listKeys } from '../keymap.ts';
import type { Place } from '../place.ts';
import type { Screen, Ui } from '../screen.ts';
import { TouchMap } from '../touch-map.ts';
import { SCAN_MARKS } from '../widgets/cell-map.ts';
import { tableView } from '../widgets/table-view.ts';
import { errorScreen } from './error.ts';
import { progressRows } from './progress.ts';
import { questionScreen } from './question.ts';

const FOUND_BY: Record<FoundBy, string> = {
  filesystem: 'through the file system',
  record: 'by its locator record',
  aid: 'by the aid file',
  scan: 'by reading the raw disk',
  reassembly: 'put together from single slots',
};

/** What a state means for the person. */
const HEALTH: Record<FoundState, { readonly word: string; readonly text: string; readonly style: Style }> = {
  committed: {
    word: 'good',
    text: 'Complete. Every byte is checked before a restore writes anything.',
    style: 'good',
  },
  prepared: {
    word: 'unfinished',
    text: 'Its making was cut off before the end; it may be whole.',
    style: 'warning',
  },
  stale: { word: 'stale', text: 'The file system does not list it any more.', style: 'warning' },
  moved: {
    word: 'moved',
    text: 'It is not where it was made: a copy, or the disk was changed.',
    style: 'warning',
  },
  foreign: {
    word: 'foreign',
    text: 'It lies inside another partition, e.g. in a virtual disk. It cannot be used from here.',
    style: 'disabled',
  },
  damaged: { word: 'damaged', text: 'Parts of it are damaged.', style: 'danger' },
};

const placeOf = ({ partition }: ImageSummary): string =>
  `${partition.number === null ? 'partition' : `partition ${partition.number}`} of ${formatBytes(partition.size)} at byte ${partition.offset}`;

const details = (image: ImageSummary, columns: number, look: Look): Row[] => {
  const health = HEALTH[image.state];
  const told = image.reason === undefined ? '' : ` ${shown(image.reason, look)}.`;
  const reason = told.replace(/^ [a-z]/, (first) => first.toUpperCase());
  const pairs: [string, string, Style?][] = [
    ['Image', `${shown(describeImage(image), look)}, number ${image.sequence}`],
    ['Brings back', `${image.filesystem} "${shown(image.label, look)}", ${placeOf(image)}`],
    ['Holds', `${formatBytes(image.usedBytes)} in use, stored in ${exactBytes(image.storedBytes)}`],
    ['Found', FOUND_BY[image.foundBy]],
    ['Health', `${health.text}${reason}`, health.style],
  ];
  return [
    row(span(`${look.glyphs.line.repeat(2)} `, 'dim'), span('Selected image', 'strong')),
    ...factRows(pairs, columns),
  ];
};

/** Images of one partition need no column that says so at every one. */
const severalPlaces = (images: readonly ImageSummary[]): boolean =>
  new Set(images.map(({ partition }) => partition.offset)).size > 1;

const partOf = ({ partition: { number, offset } }: ImageSummary): string =>
  number === null ? `at ${formatBytes(offset as number)}` : String(number);

/** Partitions of a proposed table that are named: the images need the rest of the screen. */
const MOST_NAMED = 4;

/** Where the disk has lost its table: the one that a restore would write. */
const proposal = (proposed: ProposedTable | undefined, columns: number, look: Look): Row[] => {
  if (proposed === undefined) return [];
  const entries = proposed.partitions.slice(0, MOST_NAMED).map(({ number, name, size, images }) => {
    const named = name === '' ? '' : ` "${shown(name, look)}"`;
    return `${number}${named} of ${formatBytes(size)}${images.length === 0 ? ' (no image)' : ''}`;
  });
  const dropped =
    proposed.dropped.length === 0 ? '' : ` What overlaps them is left out (${proposed.dropped.length}).`;
  const text = `This disk has no valid partition table. The images imply partitions ${entries.join(', ')}.${dropped} A restore writes that table.`;
  return [...paragraph(text, columns, { style: 'warning' }), BLANK];
};

const table = (
  images: readonly ImageSummary[],
  selected: number,
  width: number,
  height: number,
  look: Look,
): Row[] =>
  tableView<ImageSummary>({
    columns: [
      { title: 'NAME', of: ({ name }) => shown(name, look) || '-', most: 22 },
      { title: 'KIND', of: ({ kind }) => kind },
      { title: 'MADE', of: ({ created }) => formatTime(created) },
      ...(severalPlaces(images) ? [{ title: 'PART', of: partOf }] : []),
      { title: 'FS', of: ({ filesystem }) => filesystem },
      { title: 'SIZE', of: ({ partition }) => formatBytes(partition.size), dispensable: 1 },
      { title: 'USED', of: ({ usedBytes }) => formatBytes(usedBytes), dispensable: 3 },
      { title: 'STORED', of: ({ storedBytes }) => formatBytes(storedBytes), dispensable: 2 },
      { title: 'HEALTH', of: ({ state }) => HEALTH[state].word },
      { title: 'FOUND BY', of: ({ foundBy }) => foundBy, dispensable: 1 },
      { title: 'ID', of: ({ id }) => id.slice(0, 8), dispensable: 4 },
    ],
    entries: images,
    selected,
    width,
    height,
    look,
  });

/** What to do when a search finds nothing. */
const nothingFound = (result: ListResult, place: Place, columns: number, look: Look): Row[] => {
  const full = result.depth === 'full';
  const advice = [
    full
      ? 'Every byte was looked at.'
      : 'This was the quick search. Press f to read every byte; that takes as long as copying the disk.',
    'If you know that the image is on another disk, go back with Esc and search that one.',
    'If the disk hangs on a USB adapter or a RAID controller, connect it as it was before.',
  ];
  return [
    ...paragraph(shown(`No image was found on ${place.name}.`, look), columns, { style: 'warning' }),
    BLANK,
    ...advice.flatMap((line) => paragraph(line, columns, { first: '- ', rest: '  ' })),
  ];
};

/** The search with its live picture, then what it found. */
export const imagesScreen = (ui: Ui, place: Place): Screen => {
  let run: JobRun;
  let result: ListResult | undefined;
  let selected = 0;
  let stopped = false;
  const clock = setInterval(() => {
    if (result === undefined) ui.changed(true);
  }, 1000);
  const search = (depth: 'quick' | 'full'): void => {
    result = undefined;
    stopped = false;
    const own = new JobRun({
      map: place.size === undefined ? undefined : new TouchMap(0, place.size),
      now: ui.now,
      onChange: () => ui.changed(true),
      onNote: ({ note }) => ui.log.write(note),
    });
    run = own;
    ui.log.write(`search: ${place.target}, depth ${depth}`);
    const job = ui.jobs.list({ target: place.target, depth }, own.options).then(
      (found) => {
        result = found;
        selected = 0;
        ui.log.write(
          `found: ${count(found.images.length, 'image')}: ${found.images.map(({ id, state }) => `${id} ${state}`).join(', ')}`,
        );
        ui.changed();
      },
      (error: unknown) => {
        const failure = failureOf(error);
        ui.log.write(`search failed: ${traceOf(error)}`);
        if (failure.exit === 'cancelled') {
          stopped = true;
          ui.changed();
        } else ui.leave(screen, errorScreen(ui, failure));
      },
    );
    ui.running(own, job);
  };
  const current = (): ImageSummary | undefined => result?.images[selected];
  const unusable = (): string | undefined => {
    if (stopped) return 'the search was stopped; press f or n to search again.';
    if (result === undefined) return 'the search is still running; Esc stops it.';
    const image = current();
    if (image === undefined) return 'no image was found.';
    return image.state === 'foreign'
      ? 'this image belongs to another partition and cannot be used from here.'
      : undefined;
  };
  const unwritable = (): string | undefined => {
    const reason = unusable();
    if (reason !== undefined) return reason;
    if (place.target.endsWith('.hfi'))
      return `this is an image file: holdfast restore TARGET --from ${place.target}`;
    const { number } = current()!.partition;
    const partition = place.disk?.partitions.find((each) => each.number === number);
    const mounts = [...(partition?.mountPoints ?? []), ...(place.disk?.mountPoints ?? [])];
    if (mounts.length > 0)
      return `it is mounted at ${mounts.join(', ')}; unmount it first, or boot from the rescue medium.`;
    return place.disk?.readOnly === true ? 'this disk is read-only.' : undefined;
  };
  const restore = (companions = false): void => {
    const image = current()!;
    const others = result!.images.filter((each) => each !== image);
    const options = { others, ...(companions ? { companions } : {}) };
    if (image.state !== 'damaged') {
      startRestore(ui, place, image, options);
      return;
    }
    ui.open(
      questionScreen(ui, {
        title: 'Damaged',
        style: 'danger',
        text: [
          'This image is damaged.',
          `${image.reason ?? 'The reason is not known'}.`,
          'What can be read of it can be restored. What cannot be read will be missing, and a plan that says how much is shown before anything is written.',
        ],
        choices: [
          { label: 'Back', hint: 'Choose another image, if there is one.', action: () => {} },
          {
            label: 'Restore what is left',
            hint: 'Goes on to the plan. Nothing is written yet.',
            action: () => startRestore(ui, place, image, { ...options, salvage: true }),
          },
        ],
      }),
    );
  };
  const putRight = (): void => {
    const image = current()!;
    ui.open(
      questionScreen(ui, {
        title: 'Put right',
        style: 'warning',
        text: [
          `The image "${image.name}" is checked, mended as far as that goes, and checked again.`,
          'Slots of the image that hold no data are written; where its clusters were moved, also what each slot says of its place, or a copy of it in free space, and the entry of its file. Files are left as they are.',
        ],
        choices: [
          { label: 'Back', hint: 'Writes nothing.', action: () => {} },
          {
            label: 'Put right',
            hint: 'Begins at once. Cut off, it can be run again.',
            action: () => startVerify(ui, place, image, true),
          },
        ],
      }),
    );
  };
  const view = {
    title: 'Images',
    noun: 'the search',
    marks: SCAN_MARKS,
    sentences: { scan: `Searching ${place.name} for images, from its end backwards. Only reading.` },
  };
  const screen: Screen = {
    title: `Images on ${place.name}`,
    rows: (size, look) => {
      const { columns, rows } = size;
      if (stopped)
        return [
          BLANK,
          ...paragraph('The search was stopped.', columns, { style: 'warning' }),
          BLANK,
          ...paragraph('n searches again, f reads every byte, Esc goes back to the disks.', columns),
        ];
      if (result === undefined) return progressRows(run, view, size, look);
      const image = current();
      if (image === undefined) return nothingFound(result, place, columns, look);
      const found = `${count(result.images.length, 'image')} found; ${formatBytes(result.bytesRead)} read, ${result.depth} search. Enter shows the plan; nothing is written before you agree to it.`;
      const below = details(image, columns, look);
      const head = [
        ...proposal(result.proposedTable, columns, look),
        ...paragraph(found, columns, { style: 'strong' }),
      ];
      const room = rows - head.length - below.length - 2;
      const list = table(result.images, selected, columns, Math.min(room, result.images.length + 1), look);
      return [...head, BLANK, ...list, BLANK, ...below];
    },
    keys: (): Key[] => [
      {
        names: ['enter'],
        title: 'Restore',
        hint: 'Checks the selected image and shows the plan of a restore. Nothing is written before you agree.',
        disabled: unwritable(),
        action: () => restore(),
      },
      {
        names: ['v'],
        title: 'Verify',
        hint: 'Checks every byte of the selected image. Only reads.',
        disabled: unusable(),
        action: () => startVerify(ui, place, current()!),
      },
      {
        names: ['p'],
        title: 'Put right',
        hint: 'Mends what needs no data: a container that a defragmenter moved, lost anchors and commit records.',
        quiet: true,
        disabled: unwritable(),
        action: putRight,
      },
      {
        names: ['x'],
        title: 'Remove',
        hint: 'Removes the selected image and gives its space back, after a plan that you agree to.',
        disabled: unwritable(),
        action: () => startRemove(ui, place, current()!),
      },
      {
        names: ['b'],
        title: 'Restore with boot areas',
        hint: 'As Enter, and also writes back what else the machine boots from: boot gap, BIOS boot and EFI system partition. Without a valid partition table Enter does so too.',
        quiet: true,
        disabled: unwritable(),
        action: () => restore(true),
      },
      {
        names: ['f'],
        title: 'Full search',
        hint: 'Reads every byte of the disk: finds what the quick search may miss. Can be stopped.',
        disabled: result === undefined && !stopped ? 'a search is running; Esc stops it.' : undefined,
        action: () => search('full'),
      },
      {
        names: ['n'],
        title: 'Search again',
        hint: 'Starts the quick search again.',
        quiet: true,
        disabled: result === undefined && !stopped ? 'a search is running; Esc stops it.' : undefined,
        action: () => search('quick'),
      },
      ...listKeys(
        () => result?.images.length ?? 0,
        () => selected,
        (to) => {
          selected = to;
        },
      ),
    ],
    get escape(): Key {
      const searching = result === undefined && !stopped;
      return {
        names: ['escape'],
        title: searching ? 'Stop search' : 'Back',
        hint: searching ? 'Stops the search.' : 'Goes back to the disks.',
        action: () => (searching ? run.stop() : ui.leave(screen)),
      };
    },
    closed: () => {
      clearInterval(clock);
      run.stop();
    },
  };
  search('quick');
  return screen;
};

import { failureOf } from '../../rescue/cli/exit.ts';
import { count } from '../../rescue/cli/text.ts';
import type { DiskFacts, PartitionFacts } from '../../rescue/job/disks.ts';
import { formatBytes } from '../../rescue/units.ts';
import { BLANK, cut, ends, fitTo, type Look, paragraph, type Row, row, shown, span } from '../cells.ts';
import { type Key, listKeys } from '../keymap.ts';
import { placeOfDisk } from '../place.ts';
import type { Screen, Ui } from '../screen.ts';
import { contentName, diskMap } from '../widgets/disk-map.ts';
import { scrollTo, tableView } from '../widgets/table-view.ts';
import { createScreen } from './create.ts';
import { imagesScreen } from './images.ts';
import { openScreen } from './open.ts';
import { machineKeys } from './result.ts';
import { settingsScreen } from './settings.ts';

const INTRO = 'Which disk do you want to bring back? Enter searches it for images; searching only reads.';

/** One sentence about what is on a disk. */
export const diskState = (disk: DiskFacts, look: Look): string => {
  if (disk.medium) return 'This is the rescue medium that is running now.';
  if (disk.trouble !== undefined) return `Cannot be read: ${shown(disk.trouble, look)}`;
  const images = [...disk.partitions.map(({ content }) => content), disk.content].reduce(
    (sum, content) => sum + (content?.containers ?? 0),
    0,
  );
  const listed = images === 0 ? '' : ` ${count(images, 'image')} listed by its file systems.`;
  if (disk.table.scheme === 'none') {
    const { content } = disk;
    if (content?.filesystem != null)
      return `No partition table; all of it is ${contentName(content, look)}.${listed}`;
    if (content?.name === 'empty (all zeros)')
      return 'No partition table; its start is empty. A search may find images.';
    return 'No partition table: wrecked, or new. A search may find images.';
  }
  const kind = disk.table.scheme.toUpperCase();
  if (!disk.table.valid)
    return `${kind} partition table is damaged: ${shown(disk.table.trouble, look)}.${listed}`;
  return `${kind} partition table with ${count(disk.partitions.length, 'partition')}.${listed}`;
};

const factsRow = (disk: DiskFacts, columns: number, chosen: boolean, look: Look): Row => {
  const style = chosen ? 'selected' : disk.medium ? 'disabled' : 'strong';
  const mark = chosen ? look.glyphs.pointer : ' ';
  const name = [disk.model, disk.serial === '' ? '' : `serial ${disk.serial}`]
    .filter((each) => each !== '')
    .map((each) => shown(each, look))
    .join(', ');
  const right = `${formatBytes(disk.size)}  ${disk.bus}${disk.removable ? ', removable' : ''}${disk.readOnly ? ', read-only' : ''} `;
  const left = cut(`${mark} ${disk.path.padEnd(13)} ${name}`, columns - right.length - 1, look);
  return ends([span(left, style)], [span(right, style)], columns, style);
};

/** Rows of one disk: facts, picture, what it is. */
const ROWS = 3;

const diskRows = (disk: DiskFacts, columns: number, chosen: boolean, look: Look): Row[] => {
  const odd = disk.trouble !== undefined || !disk.table.valid;
  return [
    factsRow(disk, columns, chosen, look),
    [span('  '), ...diskMap(disk, columns - 2, look)],
    row(
      '  ',
      span(cut(diskState(disk, look), columns - 2, look), disk.medium ? 'danger' : odd ? 'warning' : 'dim'),
    ),
  ];
};

const partitionTable = (disk: DiskFacts, width: number, height: number, look: Look): Row[] =>
  tableView<PartitionFacts>({
    columns: [
      { title: 'PARTITION', of: ({ number, path }) => (path === null ? String(number) : path) },
      { title: 'SIZE', of: ({ size }) => formatBytes(size) },
      { title: 'CONTENT', of: ({ content }) => contentName(content, look), most: 30 },
      {
        title: 'IMAGES LISTED',
        of: ({ content }) => (content.containers === 0 ? '-' : String(content.containers)),
      },
      { title: 'MOUNTED AT', of: ({ mountPoints }) => shown(mountPoints.join(', '), look) || '-', most: 24 },
      { title: 'NAME', of: ({ name }) => shown(name, look) || '-', dispensable: 1, most: 24 },
    ],
    entries: disk.partitions,
    selected: -1,
    width,
    height,
    look,
  });

/** The first screen: all disks of this machine. */
export const disksScreen = (ui: Ui): Screen => {
  let disks: readonly DiskFacts[] | undefined;
  let trouble = '';
  let selected = 0;
  const load = (): void => {
    trouble = '';
    ui.jobs.disks({}, {}).then(
      (result) => {
        ({ disks } = result);
        const first = disks.findIndex((each) => !each.medium);
        selected = Math.max(0, Math.min(selected, disks.length - 1));
        if (disks[selected]?.medium === true && first >= 0) selected = first;
        ui.log.write(
          `disks: ${disks.map(({ path, model, serial }) => `${path} (${model} ${serial})`).join(', ')}`,
        );
        ui.changed();
      },
      (error: unknown) => {
        disks = [];
        trouble = failureOf(error).message;
        ui.changed();
      },
    );
    ui.changed();
  };
  load();
  const current = (): DiskFacts | undefined => disks?.[selected];
  const unusable = (): string | undefined => {
    const disk = current();
    if (disks === undefined) return 'the disks are still being looked at.';
    if (disk === undefined) return 'there is no disk.';
    if (disk.medium) return 'this is the rescue medium itself; choose another disk.';
    return disk.trouble === undefined ? undefined : 'this disk cannot be read.';
  };
  return {
    title: 'Disks',
    resumed: load,
    rows: ({ columns, rows }, look) => {
      const intro = [...paragraph(INTRO, columns, { style: 'strong' }), BLANK];
      if (disks === undefined) return [...intro, row('Looking at the disks of this machine...')];
      if (disks.length === 0) {
        const text = trouble === '' ? 'No disk was found. Plug it in and press r.' : trouble;
        return [...intro, ...paragraph(text, columns, { style: 'warning' })];
      }
      const disk = current()!;
      const wanted = disk.partitions.length === 0 ? 0 : disk.partitions.length + 2;
      const details = Math.min(wanted, Math.max(0, rows - intro.length - ROWS * 2));
      const room = Math.max(1, Math.floor((rows - intro.length - details) / (ROWS + 1)));
      const first = scrollTo(selected, room, disks.length);
      const list = disks
        .slice(first, first + room)
        .flatMap((each, index) => [...diskRows(each, columns, first + index === selected, look), BLANK]);
      const hidden = disks.length - room;
      const table =
        disk.partitions.length === 0 || details < 3
          ? []
          : [
              fitTo([span(look.glyphs.line.repeat(2), 'dim'), span(` ${disk.path} `, 'strong')], columns),
              ...partitionTable(disk, columns, details - 1, look),
            ];
      const scroll =
        hidden > 0 ? [row(span(`${disks.length} disks; Up and Down show the others.`, 'dim'))] : [];
      return [
        ...intro,
        ...list.slice(0, rows - intro.length - table.length - scroll.length),
        ...scroll,
        ...table,
      ];
    },
    keys: (): Key[] => [
      {
        names: ['enter'],
        title: 'Search',
        hint: 'Searches the selected disk for images. It only reads.',
        disabled: unusable(),
        action: () => ui.open(imagesScreen(ui, placeOfDisk(current()!))),
      },
      {
        names: ['c'],
        title: 'Create',
        hint: 'Makes an image of a partition of the selected disk, inside that partition.',
        disabled: unusable(),
        action: () => ui.open(createScreen(ui, current()!)),
      },
      {
        names: ['o'],
        title: 'Open file',
        hint: 'Works on a disk, partition or image in a file, or on another device, by its path.',
        action: () => ui.open(openScreen(ui, disks ?? [])),
      },
      {
        names: ['r'],
        title: 'Refresh',
        hint: 'Looks at the disks again.',
        quiet: disks === undefined || disks.length > 0,
        action: load,
      },
      {
        names: ['s'],
        title: 'Settings',
        hint: 'Keyboard layout, colours, plain characters, log.',
        action: () => ui.open(settingsScreen(ui)),
      },
      ...listKeys(
        () => disks?.length ?? 0,
        () => selected,
        (to) => {
          selected = to;
          ui.changed();
        },
        3,
      ),
      ...machineKeys(ui, 'quit only'),
    ],
  };
};

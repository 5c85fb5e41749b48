import test from 'ava';
import fc from 'fast-check';
import type { DiskFacts } from '../../rescue/job/disks.ts';
import { fitTo, lengthOf, lookOf, shown, textOf } from '../../tui/cells.ts';
import { terminalOf } from '../../tui/terminal.ts';
import { TouchMap } from '../../tui/touch-map.ts';
import { buttonRow } from '../../tui/widgets/buttons.ts';
import { cellMap, legend, RESTORE_MARKS, SCAN_MARKS } from '../../tui/widgets/cell-map.ts';
import { diskMap, shareColumns } from '../../tui/widgets/disk-map.ts';
import { progressBar } from '../../tui/widgets/progress-bar.ts';
import { scrollTo, tableView } from '../../tui/widgets/table-view.ts';
import { DISKS } from './made-up.ts';

const PLAIN = lookOf(false, false);
const RICH = lookOf(true, true);

test('a cell map shows where the image stands and what came back', (t) => {
  const map = new TouchMap(10_000, 8192);
  map.add({ touched: 'written', extents: [[10_000, 2048]] });
  map.add({ touched: 'verified', extents: [[10_000, 1024]] });
  map.addImage([[10_000 + 6144, 1024]]);
  // Outside of the place: nobody's business.
  map.add({
    touched: 'written',
    extents: [
      [0, 500],
      [50_000, 10],
    ],
  });
  const rows = cellMap(map, { columns: 8, rows: 2, marks: RESTORE_MARKS, look: PLAIN });
  t.deepEqual(rows.map(textOf), ['==++....', '....##..']);
  t.deepEqual(
    cellMap(map, { columns: 4, rows: 1, marks: RESTORE_MARKS, look: RICH }).map(textOf),
    ['░··█'],
    'a cell that is written in part only is not shown as verified',
  );
  t.is(textOf(legend(SCAN_MARKS, PLAIN)), '. not looked at   + sampled   # image found');
});

test('what is verified may not hide what is only written', (t) => {
  const map = new TouchMap(0, 8192);
  map.add({ touched: 'written', extents: [[0, 8192]] });
  map.add({ touched: 'verified', extents: [[0, 8191]] });
  t.deepEqual(map.cells(2), ['verified', 'written']);
  t.deepEqual(map.cells(1), ['written']);
});

test('any touches on any place make a picture of the right size', (t) => {
  fc.assert(
    fc.property(
      fc.nat(2 ** 40),
      fc.nat(2 ** 42),
      fc.array(fc.tuple(fc.nat(2 ** 42), fc.nat(2 ** 42))),
      fc.integer({ min: 1, max: 200 }),
      (start, size, extents, columns) => {
        const map = new TouchMap(start, size);
        map.add({ touched: 'read', extents });
        const rows = cellMap(map, { columns, rows: 3, marks: SCAN_MARKS, look: RICH });
        t.true(rows.length === 3 && rows.every((each) => lengthOf(each) === columns));
      },
    ),
  );
});

test('partitions are drawn to scale, and the smallest can still be seen', (t) => {
  t.is(
    textOf(diskMap(DISKS[1]!, 60, PLAIN)),
    '|1 >|2 >|3 ext4 "evil\\x1b[2Jlabel" (mounted)      |........|',
  );
  t.is(textOf(diskMap(DISKS[0]!, 20, PLAIN)), `|${'.'.repeat(18)}|`);
  fc.assert(
    fc.property(fc.array(fc.nat(2 ** 45), { minLength: 1, maxLength: 20 }), (sizes) => {
      const widths = shareColumns(sizes, 100, 4);
      t.true(widths.every((width) => width >= 4));
      t.is(
        widths.reduce((sum, width) => sum + width, 0),
        100,
      );
    }),
  );
});

test('a disk with more partitions than columns', (t) => {
  const partitions = Array.from({ length: 128 }, (_, index) => ({
    ...DISKS[1]!.partitions[0]!,
    number: index + 1,
    offset: index * 1000,
    size: 1000,
  }));
  const disk: DiskFacts = { ...DISKS[1]!, size: 128_000, partitions };
  t.is(lengthOf(diskMap(disk, 76, RICH)), 76);
});

test('a table leaves out what is dispensable, scrolls, and marks the selected row without colours', (t) => {
  const entries = ['one', 'two', 'three', 'four', 'five'];
  const table = (width: number, selected: number): string[] =>
    tableView({
      columns: [
        { title: 'NAME', of: (each: string) => each },
        { title: 'LENGTH', of: (each) => String(each.length), dispensable: 1 },
      ],
      entries,
      selected,
      width,
      height: 4,
      look: PLAIN,
    }).map((each) => textOf(each).trimEnd());
  t.deepEqual(table(30, 0), ['  NAME   LENGTH v', '> one    3', '  two    3', '  three  5']);
  t.deepEqual(table(10, 4), ['  NAME  ^', '  three', '  four', '> five']);
  t.deepEqual([scrollTo(0, 3, 5), scrollTo(2, 3, 5), scrollTo(4, 3, 5), scrollTo(0, 3, 1)], [0, 1, 2, 0]);
});

test('bars and buttons', (t) => {
  t.is(textOf(progressBar(1, 2, 20, PLAIN)), '[######......]  50 %');
  t.is(textOf(progressBar(5, 0, 20, PLAIN)), '[............]   0 %');
  t.is(textOf(progressBar(9, 2, 20, PLAIN)), '[############] 100 %');
  t.is(textOf(buttonRow([{ label: 'Cancel' }, { label: 'Go' }], 0)), '> Cancel <   [ Go ]');
});

test('text from a disk moves no cursor and takes one column per character', (t) => {
  t.is(shown('a\x1b[2Jb\u202ec', RICH), 'a\\x1b[2Jb\\u{202e}c');
  t.is(shown('Größe', RICH), 'Größe');
  t.is(shown('Größe', PLAIN), 'Gr\\xf6\\xdfe');
  t.is(shown('海 🐙 e\u0301', RICH), '\\u{6d77} \\u{1f419} e\\u{301}');
  t.is(textOf(fitTo([{ text: 'abc', style: 'normal' }], 2)), 'ab');
});

test('terminals and what they can do', (t) => {
  const utf8 = { LANG: 'C.UTF-8' };
  t.deepEqual(terminalOf({ ...utf8, TERM: 'xterm-256color' }), {
    description: 'xterm',
    unicode: true,
    colour: true,
  });
  t.like(terminalOf({ TERM: 'linux' }), { description: 'linux', unicode: false, colour: true });
  t.like(terminalOf({ TERM: 'vt100' }), { description: 'vt100', colour: false });
  t.like(terminalOf({ TERM: 'vt220' }), { description: 'vt220', colour: false });
  t.like(terminalOf({ TERM: 'screen.xterm-256color' }), { description: 'screen' });
  t.like(terminalOf({ TERM: 'tmux-256color', NO_COLOR: '1' }), { description: 'tmux', colour: false });
  for (const TERM of ['dumb', 'unknown', '', undefined]) t.is(terminalOf({ TERM }).description, undefined);
});

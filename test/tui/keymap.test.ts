import test from 'ava';
import { lookOf, textOf } from '../../tui/cells.ts';
import { type Key, keyFor, labelOf, listKeys } from '../../tui/keymap.ts';
import { footer, header } from '../../tui/widgets/frame.ts';

const key = (name: string, title: string, more: Partial<Key> = {}): Key => ({
  names: [name],
  title,
  hint: `${title} it.`,
  action: () => {},
  ...more,
});

test('the footer shows what can be pressed now, and never loses the way back and the help', (t) => {
  const keys = [
    key('enter', 'Restore'),
    key('x', 'Remove', { disabled: 'no image.' }),
    key('up', 'Up', { quiet: true }),
    key('f', 'Full search'),
    key('escape', 'Back'),
    key('f1', 'Help'),
  ];
  t.is(textOf(footer(keys, 80)), ' Enter  Restore  f  Full search  Esc  Back  F1  Help ');
  t.is(textOf(footer(keys, 45)), ' Enter  Restore  Esc  Back  F1  Help ');
  for (let columns = 40; columns < 140; columns += 1) t.true(textOf(footer(keys, columns)).length < columns);
});

test('labels are what stands on keyboards', (t) => {
  t.deepEqual(['C-c', 'f1', ' ', 'q', 'S-tab'].map(labelOf), ['Ctrl-C', 'F1', 'Space', 'q', 'Shift-Tab']);
});

test('lists stop at their ends', (t) => {
  let at = 0;
  const keys = listKeys(
    () => 3,
    () => at,
    (to) => {
      at = to;
    },
  );
  const press = (name: string): number => {
    keyFor(keys, name)?.action();
    return at;
  };
  t.deepEqual([press('up'), press('down'), press('end'), press('down'), press('pageup')], [0, 1, 2, 2, 0]);
});

test('a long path of screens does not push the name of the program away', (t) => {
  const text = textOf(header(['Disks', 'x'.repeat(200)], 'Holdfast', 80, lookOf(false, false)));
  t.is(text.length, 80);
  t.regex(text, /^ Disks > x+> +Holdfast $/);
});

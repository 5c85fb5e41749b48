import { describeImage, describeTarget } from '../../rescue/cli/intent.ts';
import type { Intent } from '../../rescue/job/results.ts';
import { BLANK, type Look, paragraph, type Row, row, type Style, shown, span } from '../cells.ts';
import { type Key, listKeys } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { tableChange } from '../widgets/table-change.ts';
import { confirmScreen } from './confirm.ts';

const section = (
  title: string,
  lines: readonly string[],
  style: Style,
  columns: number,
  look: Look,
): Row[] =>
  lines.length === 0
    ? []
    : [
        row(span(title, style)),
        ...lines.flatMap((line) => paragraph(shown(line, look), columns, { first: '  - ', rest: '    ' })),
      ];

/** The whole plan: what is lost comes first. */
export const planRows = (intent: Intent, columns: number, look: Look): Row[] => {
  const facts: [string, string][] = [['On', shown(describeTarget(intent), look)]];
  if (intent.image !== undefined) facts.push(['Image', shown(describeImage(intent.image), look)]);
  // The table below says it better.
  const writes = intent.writes.filter((line) => !line.startsWith('Partition table: '));
  return [
    ...facts.flatMap(([name, value]) =>
      paragraph(value, columns, { first: `${name.padEnd(7)}`, rest: ' '.repeat(7) }),
    ),
    BLANK,
    ...section('WILL BE LOST:', intent.loses, 'danger', columns, look),
    ...section('Will be written:', writes, 'warning', columns, look),
    ...section('Will be kept:', intent.keeps, 'good', columns, look),
    ...tableChange(intent.table, columns, look),
  ];
};

/**
 * Exactly what a job is about to write, keep and lose. Nothing has been written. `answer` is called once, however the
 * screen is left.
 */
export const planScreen = (
  ui: Ui,
  intent: Intent,
  options: { readonly typed: boolean; readonly answer: (agreed: boolean) => void },
): Screen => {
  const { typed } = options;
  let top = 0;
  let last = 0;
  let open = true;
  const answer = (agreed: boolean): void => {
    if (!open) return;
    open = false;
    options.answer(agreed);
  };
  const agree = (): void => {
    answer(true);
    ui.leave(screen);
  };
  const onward: Key = typed
    ? {
        names: ['enter'],
        title: 'Go on to confirm',
        hint: `Goes on to the last question, where the name of the device is typed. Nothing is written yet.`,
        action: () => ui.open(confirmScreen(ui, intent, agree)),
      }
    : { names: ['enter'], title: 'Start', hint: 'Starts as the plan says.', action: agree };
  const page: Key = {
    names: ['enter', 'pagedown', ' '],
    title: 'Read on',
    hint: 'The plan is longer than the screen: shows the rest of it.',
    action: () => {
      top = Math.min(last, top + 10);
    },
  };
  const screen: Screen = {
    title: 'Plan',
    rows: ({ columns, rows }, look) => {
      const heading = row(span(`Plan: ${intent.action}. Nothing has been written yet.`, 'strong'));
      const all = planRows(intent, columns, look);
      const room = rows - 2;
      last = Math.max(0, all.length - room);
      top = Math.min(top, last);
      const body = all.slice(top, top + room);
      const hidden = all.length - top - body.length;
      const more =
        hidden > 0
          ? row(span(`${look.glyphs.down} ${hidden} more rows: Enter reads on`, 'warning'))
          : top > 0
            ? row(span(`${look.glyphs.up} Up shows the beginning again`, 'dim'))
            : BLANK;
      return [heading, ...body, ...Array.from({ length: room - body.length }, () => BLANK), more];
    },
    // Who agrees has seen all of it.
    keys: (): Key[] => [
      top < last ? page : onward,
      ...listKeys(
        () => last + 1,
        () => top,
        (to) => {
          top = to;
        },
      ),
    ],
    escape: {
      names: ['escape'],
      title: 'Decline',
      hint: 'Goes back. Nothing is written.',
      action: () => ui.leave(screen),
    },
    closed: () => answer(false),
  };
  return screen;
};

import { BLANK, type Look, paragraph, type Row, row, shown, span } from '../cells.ts';
import { type Key, labelOf, listKeys } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';

const ABOUT =
  'Holdfast finds images that lie inside a partition of this disk, however wrecked it is, and brings the partition back from one. Until you have seen what will be done and agreed to it, nothing is written.';

const keyRows = (keys: readonly Key[], columns: number, look: Look): Row[] =>
  keys.flatMap((key) => {
    const names = [...new Set(key.names.map(labelOf))].join(', ');
    const text = `${key.title.replace(/[.]+$/, '')}. ${key.hint}${key.disabled === undefined ? '' : ` Not now: ${key.disabled}`}`;
    return paragraph(shown(text, look), columns - 20).map((line, index) =>
      row(
        span((index === 0 ? names : '').padEnd(18), 'strong'),
        ...line.map(({ text: part }) => span(part, key.disabled === undefined ? 'normal' : 'dim')),
      ),
    );
  });

/** F1: every key of a screen, and why it does nothing now where that is so. */
export const helpScreen = (ui: Ui, about: string, keys: readonly Key[]): Screen => {
  let top = 0;
  let count = 0;
  const all = (columns: number, look: Look): Row[] => [
    ...paragraph(ABOUT, columns - 2),
    BLANK,
    row(span(`Keys of "${shown(about, look)}"`, 'strong')),
    BLANK,
    ...keyRows(keys, columns, look),
  ];
  return {
    title: 'Help',
    rows: ({ columns, rows }, look) => {
      const lines = all(columns, look);
      count = Math.max(1, lines.length - rows + 1);
      top = Math.min(top, count - 1);
      return lines.slice(top, top + rows);
    },
    keys: () =>
      listKeys(
        () => count,
        () => top,
        (to) => {
          top = to;
          ui.changed();
        },
      ),
  };
};

import { cut, row, shown } from '../cells.ts';
import { type Key, listKeys } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { saveKey } from './result.ts';

/** The log of this session, its end first seen. */
export const logScreen = (ui: Ui): Screen => {
  let top = Number.POSITIVE_INFINITY;
  let last = 0;
  return {
    title: 'Log',
    rows: ({ columns, rows }, look) => {
      const lines = ui.log.lines();
      last = Math.max(0, lines.length - rows);
      top = Math.min(top, last);
      return lines.slice(top, top + rows).map((line) => row(cut(shown(line, look), columns, look)));
    },
    keys: (): Key[] => [
      saveKey(ui),
      ...listKeys(
        () => last + 1,
        () => top,
        (to) => {
          top = to;
        },
      ),
    ],
  };
};

import type { ExitName, Failure } from '../../rescue/cli/exit.ts';
import { BLANK, paragraph, shown } from '../cells.ts';
import type { Key } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { machineKeys, saveKey } from './result.ts';

/** What a failure means for the person, before any detail. */
const HEADLINES: Record<ExitName, string> = {
  done: 'Done.',
  unfinished: 'It failed after it had begun to write.',
  usage: 'That cannot be worked on. Nothing was written.',
  'not-found': 'No image was found. Nothing was written.',
  refused: 'Refused. Nothing was written.',
  damaged: 'The image is damaged. Nothing was written.',
  cancelled: 'Stopped, because you asked for it.',
};

const headline = ({ exit, kind, next }: Failure): string => {
  if (kind === 'internal') return 'This program has a fault. Please save the log and report it.';
  if (exit === 'cancelled' && next === undefined) return `${HEADLINES.cancelled} Nothing is half done.`;
  return HEADLINES[exit];
};

/** A failure with its reason and the way out. */
export const errorScreen = (
  ui: Ui,
  failure: Failure,
  options: { readonly again?: () => void; readonly remedy?: Key } = {},
): Screen => {
  const { again, remedy } = options;
  const screen: Screen = {
    title: failure.exit === 'cancelled' ? 'Stopped' : 'Error',
    rows: ({ columns }, look) => [
      BLANK,
      ...paragraph(headline(failure), columns, {
        style: failure.exit === 'cancelled' ? 'warning' : 'danger',
      }),
      BLANK,
      ...paragraph(shown(failure.message, look), columns),
      BLANK,
      ...(failure.next === undefined
        ? []
        : [
            ...paragraph('It is unfinished. What to do next:', columns, { style: 'warning' }),
            ...paragraph(shown(failure.next, look), columns),
            BLANK,
          ]),
      ...(remedy === undefined
        ? []
        : [
            ...paragraph(shown(`Press ${remedy.names[0]}: ${remedy.hint}`, look), columns, {
              style: 'strong',
            }),
            BLANK,
          ]),
      ...(again === undefined
        ? []
        : paragraph('Press a to run the same again.', columns, {
            style: failure.next === undefined ? 'dim' : 'strong',
          })),
    ],
    keys: (): Key[] => [
      ...(remedy === undefined ? [] : [remedy]),
      {
        names: ['enter'],
        title: 'Back',
        quiet: true,
        hint: 'Goes back to where this was started.',
        action: () => ui.leave(screen),
      },
      {
        names: ['a'],
        title: 'Again',
        hint: 'Runs the same job again: it shows its plan before it writes.',
        disabled: again === undefined ? 'there is no job to run again.' : undefined,
        action: () => {
          ui.leave(screen);
          again?.();
        },
      },
      saveKey(ui),
      ...machineKeys(ui, 'none'),
    ],
  };
  return screen;
};

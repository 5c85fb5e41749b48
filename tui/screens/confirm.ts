import { describeTarget } from '../../rescue/cli/intent.ts';
import type { Intent } from '../../rescue/job/results.ts';
import { BLANK, type Look, paragraph, type Row, row, shown, span } from '../cells.ts';
import type { Key } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { TextField } from '../text-field.ts';
import { buttonRow } from '../widgets/buttons.ts';

const FIELD = 0;
const CANCEL = 1;
const GO = 2;

/** Words on the button that writes. */
const LABELS: Record<Intent['action'], string> = {
  create: 'Create the image',
  restore: 'Restore now',
  remove: 'Remove the image',
};

/** Rows that everything but the losses takes, with a device that needs two. */
const OWN_ROWS = 14;

/** What is lost, as far as there is room: field and buttons must be seen. */
const lostRows = ({ loses }: Intent, columns: number, room: number, look: Look): Row[] => {
  const all = loses.flatMap((line) =>
    paragraph(shown(line, look), columns, { style: 'danger', first: '! ', rest: '  ' }),
  );
  if (all.length <= room) return all;
  const rest = `! and ${all.length - room + 1} more lines: Esc goes back to the plan`;
  return [...all.slice(0, Math.max(0, room - 1)), row(span(rest, 'danger'))];
};

/** The last question: the device's name is typed. The safe button has the focus. */
export const confirmScreen = (ui: Ui, intent: Intent, agree: () => void): Screen => {
  const field = new TextField();
  const { deviceName } = intent;
  let focused = CANCEL;
  const matches = (): boolean => field.value.trim() === deviceName;
  const move = (by: number): void => {
    focused = (focused + by + 3) % 3;
  };
  const enter = (): void => {
    if (focused === CANCEL) ui.leave(screen);
    else if (!matches()) {
      focused = FIELD;
      ui.say(`Type ${deviceName}, exactly so, to go on. Esc goes back; nothing was written.`);
    } else if (focused === FIELD) focused = GO;
    else agree();
  };
  const screen: Screen = {
    title: 'Confirm',
    rows: ({ columns, rows }, look) => [
      row(span('The last question. After this, the disk is written.', 'strong')),
      BLANK,
      ...paragraph(shown(describeTarget(intent), look), columns, { style: 'strong' }),
      BLANK,
      ...lostRows(intent, columns, rows - OWN_ROWS, look),
      BLANK,
      row('To go on, type the name of the device: ', span(shown(deviceName, look), 'strong')),
      BLANK,
      row(
        '  ',
        ...field.view(Math.max(30, deviceName.length + 4), focused === FIELD),
        matches() ? span('  right', 'good') : '',
      ),
      BLANK,
      BLANK,
      row(
        '  ',
        ...buttonRow(
          [{ label: 'Cancel' }, { label: LABELS[intent.action], disabled: !matches() }],
          focused === FIELD ? undefined : focused - 1,
        ),
      ),
    ],
    keys: (): Key[] => [
      {
        names: ['enter'],
        title: focused === CANCEL ? 'Cancel' : focused === FIELD ? 'To the button' : LABELS[intent.action],
        hint: 'Presses the button that has the focus; in the field, goes to the button.',
        action: enter,
      },
      {
        names: ['tab', 'right', 'down'],
        title: 'Next',
        hint: 'Goes to the next of field, Cancel, and the button that writes.',
        action: () => move(1),
      },
      {
        names: ['S-tab', 'left', 'up'],
        title: 'Previous',
        hint: 'The same backwards.',
        quiet: true,
        action: () => move(-1),
      },
      ...field.keys(() => {
        focused = FIELD;
      }),
    ],
    typed: (character) => {
      field.type(character);
      focused = FIELD;
      return true;
    },
  };
  return screen;
};

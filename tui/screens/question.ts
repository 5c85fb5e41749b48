import { BLANK, paragraph, type Style, shown } from '../cells.ts';
import type { Key } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { buttonRow } from '../widgets/buttons.ts';

export interface Choice {
  readonly label: string;
  readonly hint: string;
  readonly action: () => void;
}

/** A question with a safe answer, which has the focus, and at least one other. The screen is gone before an action runs. */
export const questionScreen = (
  ui: Ui,
  options: {
    readonly title: string;
    readonly text: readonly string[];
    readonly style?: Style;
    /** The first one is safe. */
    readonly choices: readonly Choice[];
  },
): Screen => {
  const { title, text, style = 'strong', choices } = options;
  let focused = 0;
  const move = (by: number): void => {
    focused = (focused + by + choices.length) % choices.length;
    ui.changed();
  };
  const take = (choice: Choice): void => {
    ui.leave(screen);
    choice.action();
  };
  const screen: Screen = {
    title,
    rows: ({ columns }, look) => [
      BLANK,
      ...text.flatMap((each, index) => [
        ...paragraph(shown(each, look), columns - 4, { style: index === 0 ? style : 'normal', first: '  ' }),
        BLANK,
      ]),
      BLANK,
      [{ text: '  ', style: 'normal' }, ...buttonRow(choices, focused)],
      BLANK,
      ...paragraph(shown(choices[focused]!.hint, look), columns - 4, { style: 'dim', first: '  ' }),
    ],
    keys: (): Key[] => [
      {
        names: ['enter', ' '],
        title: choices[focused]!.label,
        hint: choices[focused]!.hint,
        action: () => take(choices[focused]!),
      },
      {
        names: ['right', 'tab', 'down'],
        title: 'Next button',
        hint: 'Moves to the next button.',
        action: () => move(1),
      },
      {
        names: ['left', 'S-tab', 'up'],
        title: 'Previous button',
        hint: 'Moves to the button before.',
        quiet: true,
        action: () => move(-1),
      },
    ],
    // Asked again in the middle of the question: the question is still there.
    interrupt: () => {},
  };
  return screen;
};

import { BLANK, paragraph, row, shown, span } from '../cells.ts';
import { type Key, listKeys } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { scrollTo } from '../widgets/table-view.ts';
import { logScreen } from './log.ts';

interface Entry {
  readonly title: string;
  readonly value: string;
  readonly hint: string;
  readonly disabled?: string | undefined;
  readonly action: () => void;
}

export const settingsScreen = (ui: Ui): Screen => {
  let selected = 0;
  const entries = (): Entry[] => {
    const { names, reason } = ui.keymaps.list();
    return [
      {
        title: 'Keyboard layout',
        value: ui.settings.layout ?? 'as it is',
        hint: names.length === 0 ? `Not here: ${reason}.` : 'Loads another layout for the console.',
        disabled: names.length === 0 ? `${reason}.` : undefined,
        action: () => ui.open(layoutScreen(ui, names)),
      },
      {
        title: 'Colours',
        value: ui.settings.colour ? 'on' : 'off',
        hint: 'Off: everything is told by characters, bold and inverse text.',
        action: () => {
          ui.settings.colour = !ui.settings.colour;
        },
      },
      {
        title: 'Plain characters (ASCII)',
        value: ui.settings.unicode ? 'off' : 'on',
        hint: 'On: for terminals that show boxes and blocks as rubbish.',
        action: () => {
          ui.settings.unicode = !ui.settings.unicode;
        },
      },
      {
        title: 'Show log',
        value: '',
        hint: 'All that was done in this session.',
        action: () => ui.open(logScreen(ui)),
      },
    ];
  };
  return {
    title: 'Settings',
    rows: ({ columns }, look) => [
      BLANK,
      ...entries().map(({ title, value }, index) => {
        const chosen = index === selected;
        const text = `${chosen ? look.glyphs.pointer : ' '} ${title.padEnd(28)} ${shown(value, look)}`;
        return row(span(text.padEnd(50), chosen ? 'selected' : 'normal'));
      }),
      BLANK,
      ...paragraph(entries()[selected]!.hint, columns, { style: 'dim' }),
    ],
    keys: (): Key[] => {
      const entry = entries()[selected]!;
      return [
        {
          names: ['enter', ' '],
          title: 'Change',
          hint: 'Changes the selected setting, or opens it.',
          disabled: entry.disabled,
          action: entry.action,
        },
        ...listKeys(
          () => entries().length,
          () => selected,
          (to) => {
            selected = to;
          },
        ),
      ];
    },
  };
};

/** Layouts of the console by name. */
const layoutScreen = (ui: Ui, names: readonly string[]): Screen => {
  let selected = Math.max(0, names.indexOf(ui.settings.layout ?? 'us'));
  const screen: Screen = {
    title: 'Keyboard layout',
    rows: ({ rows }, look) => {
      const first = scrollTo(selected, rows, names.length);
      return names.slice(first, first + rows).map((name, index) => {
        const chosen = first + index === selected;
        return row(
          span(
            `${chosen ? look.glyphs.pointer : ' '} ${shown(name, look).padEnd(30)}`,
            chosen ? 'selected' : 'normal',
          ),
        );
      });
    },
    keys: (): Key[] => [
      {
        names: ['enter'],
        title: 'Load',
        hint: 'Loads this layout for the console.',
        action: () => {
          const name = names[selected]!;
          ui.keymaps.load(name).then(
            () => {
              ui.settings.layout = name;
              ui.leave(screen);
              ui.say(`The keyboard layout is ${name} now.`);
            },
            (error: unknown) =>
              ui.say(`The layout was not loaded: ${(error as Error).message.split('\n')[0]}`),
          );
        },
      },
      ...listKeys(
        () => names.length,
        () => selected,
        (to) => {
          selected = to;
        },
      ),
    ],
  };
  return screen;
};

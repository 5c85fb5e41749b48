import type { NoteEvent } from '../../rescue/job/context.ts';
import { BLANK, paragraph, row, type Style, shown, span } from '../cells.ts';
import { type Key, listKeys } from '../keymap.ts';
import type { Screen, Ui } from '../screen.ts';
import { questionScreen } from './question.ts';

const askMachine = (ui: Ui, title: string, next: 'reboot' | 'poweroff'): void =>
  ui.open(
    questionScreen(ui, {
      title,
      text: [`${title} this machine?`, 'The log of this session is gone then, unless you saved it.'],
      choices: [
        { label: 'Stay', hint: 'Goes back.', action: () => {} },
        { label: title, hint: 'Does it now.', action: () => ui.end({ next }) },
      ],
    }),
  );

/** Reboot, power off, shell: on the rescue medium only. */
export const machineKeys = (ui: Ui, footer: 'all' | 'quit only' | 'none' = 'all'): Key[] => {
  const quiet = footer !== 'all';
  const disabled = ui.medium ? undefined : 'only on the rescue medium.';
  return [
    {
      names: ['R'],
      title: 'Reboot',
      hint: 'Restarts the machine.',
      disabled,
      quiet,
      action: () => askMachine(ui, 'Reboot', 'reboot'),
    },
    {
      names: ['P'],
      title: 'Power off',
      hint: 'Turns the machine off.',
      disabled,
      quiet,
      action: () => askMachine(ui, 'Power off', 'poweroff'),
    },
    {
      names: ['S'],
      title: 'Shell',
      hint: 'Ends this program and starts a shell.',
      disabled,
      quiet: true,
      action: () => ui.end({ next: 'shell' }),
    },
    {
      names: ['q'],
      title: 'Quit',
      hint: 'Leaves this program.',
      quiet: footer === 'none',
      action: () => ui.end({ next: 'quit' }),
    },
  ];
};

export const saveKey = (ui: Ui): Key => ({
  names: ['l'],
  title: 'Save log',
  hint: 'Saves the log of this session.',
  disabled: ui.saveLog === undefined ? 'to keep a log, start with: holdfast tui --log FILE' : undefined,
  action: () => {
    ui.saveLog?.().then(
      (where) => ui.say(`The log was saved: ${where}`),
      (error: unknown) => ui.say(`The log was not saved: ${(error as Error).message}`),
    );
  },
});

/** What was done, how it was checked, and what next. */
export const resultScreen = (
  ui: Ui,
  result: {
    readonly verdict: { readonly text: string; readonly style: Style };
    readonly lines: (width: number) => readonly string[];
    readonly command: string;
    readonly notes: readonly NoteEvent[];
    /** What the screens before this one show is out of date. */
    readonly final: boolean;
  },
): Screen => {
  let top = 0;
  let last = 0;
  const onward: Key = {
    names: ['escape'],
    title: 'Back',
    hint: 'Goes back to the list of disks.',
    quiet: true,
    action: () => ui.home(),
  };
  return {
    title: 'Result',
    ...(result.final ? { escape: onward } : {}),
    rows: ({ columns, rows }, look) => {
      const warnings = result.notes.filter(({ severity }) => severity === 'warning');
      const all = [
        BLANK,
        ...paragraph(result.verdict.text, columns, { style: result.verdict.style }),
        BLANK,
        ...result.lines(columns).flatMap((line) => paragraph(shown(line, look), columns)),
        ...warnings.flatMap(({ note }) =>
          paragraph(`Warning: ${shown(note, look)}`, columns, { style: 'warning', rest: '  ' }),
        ),
        BLANK,
        row(span('The same in one line for a shell:', 'dim')),
        ...paragraph(shown(result.command, look), columns, { first: '  ' }),
      ];
      last = Math.max(0, all.length - rows);
      top = Math.min(top, last);
      return all.slice(top, top + rows);
    },
    keys: (): Key[] => [
      {
        names: ['enter'],
        title: 'Start over',
        hint: 'Goes back to the list of disks.',
        action: () => ui.home(),
      },
      saveKey(ui),
      ...machineKeys(ui),
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

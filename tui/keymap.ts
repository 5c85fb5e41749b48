/** Keys are data: what they do, what they are for, and why they do nothing now. Footer and help are derived from it. */
export interface Key {
  /** Names as `keyboard.ts` gives them; the first is shown. */
  readonly names: readonly string[];
  /** One or two words for the footer. */
  readonly title: string;
  /** One sentence for the help. */
  readonly hint: string;
  readonly action: () => void;
  /** Why it cannot be used now; undefined: it can. */
  readonly disabled?: string | undefined;
  /** In the help, but not in the footer: arrows, aliases. */
  readonly quiet?: boolean;
}

const LABELS: Readonly<Record<string, string>> = {
  enter: 'Enter',
  escape: 'Esc',
  tab: 'Tab',
  up: 'Up',
  down: 'Down',
  left: 'Left',
  right: 'Right',
  space: 'Space',
  pageup: 'PgUp',
  pagedown: 'PgDn',
  ' ': 'Space',
  f1: 'F1',
  home: 'Home',
  end: 'End',
  backspace: 'Backspace',
  delete: 'Del',
  'S-tab': 'Shift-Tab',
};

export const labelOf = (name: string): string => {
  const label = LABELS[name];
  if (label !== undefined) return label;
  return name.startsWith('C-') ? `Ctrl-${name.slice(2).toUpperCase()}` : name;
};

export const keyFor = (keys: readonly Key[], name: string): Key | undefined =>
  keys.find((key) => key.names.includes(name));

/** Keys that move through a list of `count` entries. */
export const listKeys = (
  count: () => number,
  at: () => number,
  move: (to: number) => void,
  page = 10,
): Key[] => {
  const go = (to: number): void => move(Math.max(0, Math.min(count() - 1, to)));
  const key = (names: readonly string[], title: string, hint: string, to: () => number): Key => ({
    names,
    title,
    hint,
    quiet: true,
    action: () => go(to()),
  });
  return [
    key(['up', 'k'], 'Up', 'One entry up.', () => at() - 1),
    key(['down', 'j'], 'Down', 'One entry down.', () => at() + 1),
    key(['pageup'], 'Page up', 'Ten entries up.', () => at() - page),
    key(['pagedown'], 'Page down', 'Ten entries down.', () => at() + page),
    key(['home'], 'First', 'The first entry.', () => 0),
    key(['end'], 'Last', 'The last entry.', () => count() - 1),
  ];
};

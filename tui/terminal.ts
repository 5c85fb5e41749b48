import { isUnicode } from '../rescue/cli/text.ts';

/** What the terminal can do, from the environment. */
export interface Terminal {
  /** Name of the terminal description to draw with; undefined: no cursor movement, so questions and answers. */
  readonly description: Description | undefined;
  readonly unicode: boolean;
  readonly colour: boolean;
}

/** Descriptions that the executable carries; the rest of the world's terminals speak one of these. */
export const DESCRIPTIONS = ['linux', 'vt100', 'vt220', 'xterm', 'screen', 'tmux'] as const;
export type Description = (typeof DESCRIPTIONS)[number];

/**
 * Beginning of TERM to description. Variants such as `xterm-256color` are drawn as their plain relatives: eight colours
 * are enough, and blessed cannot read the newer format that their descriptions come in (ncurses 6.1, 32-bit numbers).
 */
const FAMILIES: readonly (readonly [RegExp, Description])[] = [
  [/^linux/, 'linux'],
  [/^(vt1|ansi|pcansi|cons)/, 'vt100'],
  [/^vt[2-5]/, 'vt220'],
  [/^screen/, 'screen'],
  [/^tmux/, 'tmux'],
  [
    /^(xterm|rxvt|konsole|gnome|vte|alacritty|kitty|foot|st|putty|eterm|mintty|cygwin|wezterm|ghostty|contour)/,
    'xterm',
  ],
];

type Environment = Readonly<Record<string, string | undefined>>;

/** A VT100 or VT220 knows no colours, and does not know UTF-8 either; what calls itself so may, if it is said. */
const MONOCHROME = new Set<Description>(['vt100', 'vt220']);

export const terminalOf = (env: Environment): Terminal => {
  const term = (env['TERM'] ?? '').toLowerCase();
  const description = FAMILIES.find(([pattern]) => pattern.test(term))?.[1];
  return {
    description,
    unicode: isUnicode(env),
    colour: description !== undefined && !MONOCHROME.has(description) && !env['NO_COLOR'],
  };
};

import type { Style } from './cells.ts';

/** Colours of the eight that every colour terminal has. */
const COLOURS = { black: 0, red: 1, green: 2, yellow: 3, blue: 4, magenta: 5, cyan: 6, white: 7 } as const;
type Colour = keyof typeof COLOURS;

export interface Appearance {
  readonly foreground?: Colour;
  readonly background?: Colour;
  readonly bold?: true;
  readonly underline?: true;
  readonly inverse?: true;
}

const COLOURED: Record<Style, Appearance> = {
  normal: {},
  strong: { bold: true },
  dim: { foreground: 'cyan' },
  header: { foreground: 'white', background: 'blue', bold: true },
  key: { foreground: 'black', background: 'cyan' },
  good: { foreground: 'green', bold: true },
  warning: { foreground: 'yellow', bold: true },
  danger: { foreground: 'red', bold: true },
  selected: { foreground: 'black', background: 'white' },
  button: { foreground: 'white', background: 'blue' },
  focused: { foreground: 'black', background: 'green' },
  disabled: { foreground: 'blue', bold: true },
  field: { foreground: 'white', background: 'blue', bold: true },
  image: { foreground: 'yellow', bold: true },
  written: { foreground: 'cyan' },
  verified: { foreground: 'green' },
  read: { foreground: 'blue', bold: true },
  untouched: { foreground: 'white' },
};

/** Bold, underlined and inverse are all that a VT100 has; meaning must never hang on colour alone. */
const MONOCHROME: Record<Style, Appearance> = {
  normal: {},
  strong: { bold: true },
  dim: {},
  header: { inverse: true, bold: true },
  key: { inverse: true },
  good: { bold: true },
  warning: { bold: true },
  danger: { bold: true, underline: true },
  selected: { inverse: true },
  button: { underline: true },
  focused: { inverse: true, bold: true },
  disabled: {},
  field: { underline: true },
  image: { bold: true },
  written: {},
  verified: { bold: true },
  read: {},
  untouched: {},
};

export const appearanceOf = (style: Style, colour: boolean): Appearance =>
  (colour ? COLOURED : MONOCHROME)[style];

/** Blessed's form of an appearance: flags, foreground and background in one number; 511 is the terminal's own colour. */
export const attributeOf = (style: Style, colour: boolean): number => {
  const { foreground, background, bold, underline, inverse } = appearanceOf(style, colour);
  const flags = (bold ? 1 : 0) | (underline ? 2 : 0) | (inverse ? 8 : 0);
  const front = foreground === undefined ? 0x1ff : COLOURS[foreground];
  const back = background === undefined ? 0x1ff : COLOURS[background];
  return (flags << 18) | (front << 9) | back;
};

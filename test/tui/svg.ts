/** A terminal's screen, as `tmux capture-pane -e` gives it, as an SVG picture. */

interface Pen {
  front: number | undefined;
  back: number | undefined;
  bold: boolean;
  underline: boolean;
  inverse: boolean;
}

interface Cell extends Readonly<Pen> {
  readonly character: string;
}

/** The colours of xterm, the bright ones behind the others. */
const PALETTE =
  '#000000 #cd3131 #0dbc79 #d7ba2a #2d5fd0 #bc3fbc #11a8cd #d5d5d5 #666666 #f14c4c #23d18b #f5f543 #4a8cff #d670d6 #29b8db #ffffff'.split(
    ' ',
  );
const BACKGROUND = '#101418';
const FOREGROUND = '#d5d5d5';

/** Pixels of a character cell. */
const WIDTH = 9;
const HEIGHT = 19;

const NEW_PEN: Pen = { front: undefined, back: undefined, bold: false, underline: false, inverse: false };

const apply = (pen: Pen, code: number): void => {
  if (code === 0) Object.assign(pen, NEW_PEN);
  else if (code === 1) pen.bold = true;
  else if (code === 4) pen.underline = true;
  else if (code === 7) pen.inverse = true;
  else if (code === 22) pen.bold = false;
  else if (code === 24) pen.underline = false;
  else if (code === 27) pen.inverse = false;
  else if (code >= 30 && code <= 37) pen.front = code - 30;
  else if (code === 39) pen.front = undefined;
  else if (code >= 40 && code <= 47) pen.back = code - 40;
  else if (code === 49) pen.back = undefined;
};

const ESCAPE = String.fromCharCode(27);
const SEQUENCE = new RegExp(`^${ESCAPE}\\[([0-9;]*)m`);

const cellsOf = (line: string, pen: Pen): Cell[] => {
  const cells: Cell[] = [];
  for (let at = 0; at < line.length; ) {
    const sequence = SEQUENCE.exec(line.slice(at, at + 40));
    if (sequence !== null) {
      for (const code of (sequence[1] || '0').split(';')) apply(pen, Number(code));
      at += sequence[0].length;
      continue;
    }
    cells.push({ ...pen, character: line[at]! });
    at += 1;
  }
  return cells;
};

const coloursOf = ({
  front,
  back,
  bold,
  inverse,
}: Cell): { readonly ink: string; readonly paper: string } => {
  const ink = front === undefined ? FOREGROUND : PALETTE[bold ? front + 8 : front]!;
  const paper = back === undefined ? BACKGROUND : PALETTE[back]!;
  return inverse ? { ink: paper, paper: ink } : { ink, paper };
};

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
/** Shades of blocks: fonts disagree about them. */
const SHADES: Readonly<Record<string, number>> = { '█': 1, '▓': 0.75, '▒': 0.6, '░': 0.5 };

/** Neighbours that look alike are drawn together. */
const runsOf = (cells: readonly Cell[]): { readonly from: number; readonly cells: readonly Cell[] }[] => {
  const runs: { from: number; cells: Cell[] }[] = [];
  const kind = (cell: Cell): string =>
    JSON.stringify([coloursOf(cell), cell.bold, cell.underline, SHADES[cell.character] ?? 0]);
  cells.forEach((cell, index) => {
    const last = runs.at(-1);
    if (last !== undefined && kind(last.cells[0]!) === kind(cell)) last.cells.push(cell);
    else runs.push({ from: index, cells: [cell] });
  });
  return runs;
};

const drawLine = (cells: readonly Cell[], row: number): string[] =>
  runsOf(cells).flatMap(({ from, cells: run }) => {
    const [first] = run;
    const { ink, paper } = coloursOf(first!);
    const x = from * WIDTH;
    const y = row * HEIGHT;
    const width = run.length * WIDTH;
    const box = (colour: string, opacity = 1): string =>
      `<rect x="${x}" y="${y}" width="${width}" height="${HEIGHT}" fill="${colour}"${opacity === 1 ? '' : ` opacity="${opacity}"`}/>`;
    const drawn = paper === BACKGROUND ? [] : [box(paper)];
    const shade = SHADES[first!.character];
    if (shade !== undefined) return [...drawn, box(ink, shade)];
    const text = run.map(({ character }) => ESCAPES[character] ?? character).join('');
    if (text.trim() === '') return drawn;
    const style = `${first!.bold ? ' font-weight="bold"' : ''}${first!.underline ? ' text-decoration="underline"' : ''}`;
    const place = `x="${x}" y="${y + 14}" textLength="${width}" lengthAdjust="spacingAndGlyphs"`;
    return [...drawn, `<text ${place} fill="${ink}"${style}>${text}</text>`];
  });

export const svgOf = (
  screen: string,
  options: { readonly columns: number; readonly rows: number; readonly title: string },
): string => {
  const { title, ...size } = options;
  const pen = { ...NEW_PEN };
  const lines = screen.split('\n').slice(0, size.rows);
  const drawn = lines.flatMap((line, row) => drawLine(cellsOf(line, pen), row));
  const width = size.columns * WIDTH;
  const height = size.rows * HEIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 ${width + 16} ${height + 16}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="15" xml:space="preserve">`,
    `<title>${title}</title>`,
    `<rect x="-8" y="-8" width="${width + 16}" height="${height + 16}" rx="6" fill="${BACKGROUND}"/>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
};

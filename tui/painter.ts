import { PassThrough } from 'node:stream';
import blessed from 'blessed';
import type { Stream } from '../rescue/cli/output.ts';
import { fitTo, type Row, type Size } from './cells.ts';
import type { Description } from './terminal.ts';
import { attributeOf } from './theme.ts';

/** What we use of blessed's screen: its typings leave out the buffer that it compares with what the terminal shows. */
type Cell = [attribute: number, character: string];
type Line = Cell[] & { dirty: boolean };
interface Buffered {
  readonly lines: Line[];
  readonly tput: { brokenACS: boolean; unicode: boolean };
  readonly program: {
    cols: number;
    rows: number;
    move(column: number, row: number): void;
    flush(): void;
  };
  alloc(): void;
  draw(from: number, to: number): void;
  on(event: 'resize', listener: () => void): void;
  destroy(): void;
}

const USUAL: Size = { columns: 80, rows: 24 };

/** Draws rows through blessed, which sends only what has changed since the last time. */
export class Painter {
  readonly #screen: Buffered;
  readonly #output: Stream & { readonly rows?: number };

  constructor(options: {
    readonly output: Stream;
    readonly description: Description;
    readonly onResize: () => void;
  }) {
    const { output, description, onResize } = options;
    this.#output = output;
    this.#screen = blessed.screen({
      output,
      // Keys are read by `keyboard.ts`: a slow line tears their sequences apart.
      input: new PassThrough(),
      terminal: description,
      forceUnicode: true,
      smartCSR: false,
      title: 'Holdfast',
    } as object) as unknown as Buffered;
    // Line drawing comes as UTF-8 or as ASCII, never through an alternate character set.
    this.#screen.tput.brokenACS = true;
    this.#screen.tput.unicode = true;
    this.#measure();
    this.#screen.on('resize', () => {
      this.#measure();
      onResize();
    });
  }

  /** A serial line does not know its size and says 0. */
  #measure(): void {
    const { columns, rows } = this.#output;
    if (columns && rows) return;
    this.#screen.program.cols = USUAL.columns;
    this.#screen.program.rows = USUAL.rows;
    this.#screen.alloc();
  }

  get size(): Size {
    const { cols, rows } = this.#screen.program;
    return { columns: cols, rows };
  }

  paint(rows: readonly Row[], colour: boolean): void {
    const { columns } = this.size;
    this.#screen.lines.forEach((line, y) => {
      let x = 0;
      for (const { text, style } of fitTo(rows[y] ?? [], columns)) {
        const attribute = attributeOf(style, colour);
        for (const unit of text) {
          // A second line of defence: whatever it is, it moves no cursor.
          const character = unit < ' ' || unit === '\x7f' ? '?' : unit;
          const cell = line[x];
          if (cell === undefined) break;
          if (cell[0] !== attribute || cell[1] !== character) {
            cell[0] = attribute;
            cell[1] = character;
            line.dirty = true;
          }
          x += 1;
        }
      }
    });
    this.#screen.draw(0, this.#screen.lines.length - 1);
    this.#screen.program.flush();
  }

  /** Everything anew: something else wrote to the terminal. */
  forget(): void {
    this.#screen.alloc();
  }

  /** The terminal as it was. */
  close(): void {
    this.#screen.destroy();
  }
}

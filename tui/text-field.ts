import { type Row, row, span } from './cells.ts';
import type { Key } from './keymap.ts';

/** One line that a person types. The cursor stays at its end: names and paths are short. */
export class TextField {
  value: string;
  readonly #most: number;

  constructor(value = '', most = 256) {
    this.value = value;
    this.#most = most;
  }

  type(character: string): void {
    if (this.value.length < this.#most) this.value += character;
  }

  keys(changed: () => void): Key[] {
    const edit = (names: readonly string[], title: string, hint: string, next: () => string): Key => ({
      names,
      title,
      hint,
      quiet: true,
      action: () => {
        this.value = next();
        changed();
      },
    });
    return [
      edit(['backspace', 'delete'], 'Delete', 'Takes the last character back.', () =>
        [...this.value].slice(0, -1).join(''),
      ),
      edit(['C-u'], 'Empty', 'Empties the line.', () => ''),
    ];
  }

  /** As wide as `columns`; the end of a long text is what is seen. */
  view(columns: number, focused: boolean): Row {
    const text = this.value.slice(-(columns - 1));
    return row(
      span(text, 'field'),
      span(focused ? '_' : ' ', focused ? 'focused' : 'field'),
      span(' '.repeat(Math.max(0, columns - 1 - text.length)), 'field'),
    );
  }
}

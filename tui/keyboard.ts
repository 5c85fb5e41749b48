/** Keys as names: `a`, `enter`, `escape`, `up`, `f1`, `C-c`, `S-tab`. */
export interface Press {
  readonly name: string;
  /** What it types; undefined for keys that type nothing. */
  readonly text: string | undefined;
}

/** Escape sequences of the terminals that we know (terminfo: xterm, linux, vt220, screen), without the escape itself. */
const SEQUENCES: Readonly<Record<string, string>> = {
  '[A': 'up',
  '[B': 'down',
  '[C': 'right',
  '[D': 'left',
  OA: 'up',
  OB: 'down',
  OC: 'right',
  OD: 'left',
  '[H': 'home',
  '[F': 'end',
  OH: 'home',
  OF: 'end',
  '[1~': 'home',
  '[4~': 'end',
  '[7~': 'home',
  '[8~': 'end',
  '[3~': 'delete',
  '[5~': 'pageup',
  '[6~': 'pagedown',
  '[Z': 'S-tab',
  OP: 'f1',
  '[11~': 'f1',
  '[[A': 'f1',
  OM: 'enter',
};

const CONTROLS: Readonly<Record<string, string>> = {
  '\r': 'enter',
  '\n': 'enter',
  '\t': 'tab',
  '\b': 'backspace',
  '\x7f': 'backspace',
};

/** `[1;5C`, `OP`, `[[A`: one whole sequence after the escape. */
const WHOLE = /^(?:\[\[[A-E]|\[[0-9;?]*[@-~]|O[0-9;]*[@-~])/;
/** The beginning of one, of which more may come. */
const BEGUN = /^(?:$|\[\[?$|\[[0-9;?]*$|O[0-9;]*$)/;

const plain = (character: string): Press => {
  const name = CONTROLS[character];
  if (name !== undefined) return { name, text: undefined };
  const code = character.codePointAt(0)!;
  if (code < 32) return { name: `C-${String.fromCharCode(code + 96)}`, text: undefined };
  return { name: character, text: character };
};

/** What stands for sure in `input`, and the rest of which more may come. */
export const decodeKeys = (input: string): { readonly presses: Press[]; readonly rest: string } => {
  const presses: Press[] = [];
  let at = 0;
  while (at < input.length) {
    if (input[at] === '\x1b') {
      const tail = input.slice(at + 1);
      const whole = WHOLE.exec(tail)?.[0];
      if (whole !== undefined) {
        const name = SEQUENCES[whole];
        if (name !== undefined) presses.push({ name, text: undefined });
        at += 1 + whole.length;
      } else if (BEGUN.test(tail)) return { presses, rest: input.slice(at) };
      else {
        presses.push({ name: 'escape', text: undefined });
        at += 1;
      }
      continue;
    }
    const character = String.fromCodePoint(input.codePointAt(at)!);
    presses.push(plain(character));
    at += character.length;
  }
  return { presses, rest: '' };
};

/**
 * Milliseconds after which an escape character was the key Esc. At 9600 baud a sequence of four bytes takes 4 ms, but
 * network consoles and slow machines tear sequences apart.
 */
const ESCAPE_PAUSE = 120;

/** Puts together what a terminal sends in pieces. */
export class Keyboard {
  readonly #onPress: (press: Press) => void;
  readonly #decoder = new TextDecoder();
  #rest = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(onPress: (press: Press) => void) {
    this.#onPress = onPress;
  }

  take(bytes: Uint8Array): void {
    clearTimeout(this.#timer);
    const { presses, rest } = decodeKeys(this.#rest + this.#decoder.decode(bytes, { stream: true }));
    this.#rest = rest;
    for (const press of presses) this.#onPress(press);
    if (rest !== '') this.#timer = setTimeout(() => this.#giveUp(), ESCAPE_PAUSE);
  }

  /** Nothing more came: the escape stands for itself, and what came with it is no key of ours. */
  #giveUp(): void {
    const alone = this.#rest === '\x1b';
    this.#rest = '';
    if (alone) this.#onPress({ name: 'escape', text: undefined });
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

import { openSync, readFileSync } from 'node:fs';
import { ReadStream, WriteStream } from 'node:tty';

/** One console of the live system: a screen with keyboard, or a serial port. */
export interface Console {
  /** `tty1`, `ttyS0`; `main` for the one that the program was started on. */
  readonly name: string;
  readonly input: ReadStream;
  readonly output: WriteStream;
  /** As in TERM. */
  readonly terminal: string;
  /** The screen of this machine shows UTF-8; what hangs on a serial port is not known. */
  readonly unicode: boolean;
}

const ACTIVE = '/sys/class/tty/console/active';

/** tty0 is whichever virtual terminal is shown; programs are on the first one. */
const nodeOf = (name: string): string => (name === 'tty0' ? 'tty1' : name);

const terminalOf = (name: string): Pick<Console, 'terminal' | 'unicode'> =>
  /^tty\d/.test(name) ? { terminal: 'linux', unicode: true } : { terminal: 'vt220', unicode: false };

/** Names of the consoles that the kernel writes to, as it lists them: the last one is /dev/console. */
export const activeConsoles = (): string[] => {
  try {
    return readFileSync(ACTIVE, 'utf8')
      .trim()
      .split(/\s+/)
      .filter((name) => name !== '')
      .map(nodeOf);
  } catch {
    return [];
  }
};

const open = (name: string): Console | undefined => {
  try {
    const input = new ReadStream(openSync(`/dev/${name}`, 'r'));
    const output = new WriteStream(openSync(`/dev/${name}`, 'w'));
    // An unplugged or absent port fails at the first use: the others are still there.
    input.on('error', () => {});
    output.on('error', () => {});
    return { name, input, output, ...terminalOf(name) };
  } catch {
    return undefined;
  }
};

/** The console that this program was started on first, then the other active ones that can be opened. */
export const openConsoles = (stdin: ReadStream, stdout: WriteStream, terminal: string): Console[] => {
  const names = activeConsoles();
  const main: Console = {
    name: names.at(-1) ?? 'main',
    input: stdin,
    output: stdout,
    terminal,
    unicode: terminal === 'linux',
  };
  const others = names
    .slice(0, -1)
    .filter((name, index) => name !== main.name && names.indexOf(name) === index);
  return [main, ...others.map(open).filter((each) => each !== undefined)];
};

/** Calls back with every key on any of the consoles. Returns how to stop that. */
export const watchKeys = (
  consoles: readonly Console[],
  listener: (key: string, console: Console) => void,
): (() => void) => {
  const stops = consoles.map((console) => {
    const { input } = console;
    const onData = (data: Buffer | string): void => listener(data.toString(), console);
    if (input.isTTY) input.setRawMode(true);
    input.on('data', onData);
    input.resume();
    return (): void => {
      input.off('data', onData);
      input.pause();
      if (input.isTTY) input.setRawMode(false);
    };
  });
  return () => {
    for (const stop of stops) stop();
  };
};

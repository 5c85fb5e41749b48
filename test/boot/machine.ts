import { type ChildProcess, spawn } from 'node:child_process';
import { extname, join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { stripVTControlCharacters } from 'node:util';
import { KIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { type MachineOptions, qemuArguments } from './qemu.ts';
import { askQemu } from './qmp.ts';

/** A machine goes when this process does, also when this one is killed: it would run for ever. */
const WITH_US = ['--pdeathsig', 'KILL', '--'];
/** Emulated, never with KVM: guests hang in it on some of the machines where these tests run. */
const QEMU = 'qemu-system-x86_64 -accel tcg -cpu max -smp 2 -nodefaults -no-reboot -nic none'.split(' ');
/** The first serial port is standard input and output. */
const CONSOLE = '-display none -serial stdio -monitor none'.split(' ');

/** Characters of the console that are kept: a machine that says the same in a loop must not fill the memory. */
const KEPT = 256 * KIB;

/** Where an escape sequence begins whose end has not come yet, or the length of the text. */
const unfinished = (text: string): number => {
  const at = text.lastIndexOf('\u001b');
  return at !== -1 && /^.(?:\[[\d;?]*)?$/.test(text.slice(at)) ? at : text.length;
};

/** Text as a person would read it on the console, piece by piece. */
class Reader {
  text = '';
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  /** Takes what has come. Gives how many characters were dropped from the start of `text`. */
  take(chunk: Buffer): number {
    const all = this.#rest + this.#decoder.write(chunk);
    const cut = unfinished(all);
    this.#rest = all.slice(cut);
    this.text += stripVTControlCharacters(all.slice(0, cut)).replaceAll('\r', '');
    const dropped = Math.max(0, this.text.length - KEPT);
    this.text = this.text.slice(dropped);
    return dropped;
  }
}

/** Why a wait ended: it was there, the machine went off by itself, the time was over. */
export type WaitEnd = 'line' | 'off' | 'time';

/** A machine that runs, as a person at its serial console knows it. */
export class Machine {
  readonly #child: ChildProcess;
  readonly #socket: string;
  readonly #started = performance.now();
  readonly #reader = new Reader();
  readonly #complaints: Buffer[] = [];
  /** Up to where the console's text has been waited for. */
  #seen = 0;
  #news = Promise.withResolvers<void>();
  #off: { readonly exit: number | null } | undefined;
  #error: Error | undefined;
  /** Called with what the machine sends, as it comes: for a terminal of one's own. */
  onOutput: ((chunk: Buffer) => void) | undefined;

  constructor(cleanup: Cleanup, options: MachineOptions) {
    // Not in the machine's own folder of variables: the path of a socket may have 107 bytes only.
    this.#socket = join(temporaryFolder(cleanup), 'qmp');
    const control = ['-qmp', `unix:${this.#socket},server=on,wait=off`];
    const words = [...WITH_US, ...QEMU, ...qemuArguments(cleanup, options), ...CONSOLE, ...control];
    const child = spawn('setpriv', words, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    cleanup.teardown(() => this.kill());
    child.stdin.on('error', () => {});
    child.stdout.on('data', (chunk: Buffer) => {
      this.#seen = Math.max(0, this.#seen - this.#reader.take(chunk));
      this.onOutput?.(chunk);
      this.#wake();
    });
    child.stderr.on('data', (chunk: Buffer) => this.#complaints.push(chunk));
    child.once('error', (error) => {
      this.#error = new Error(`the machine could not be started: ${error.message}`, { cause: error });
      this.#wake();
    });
    child.once('close', (exit, signal) => {
      this.#off = { exit };
      const complaints = Buffer.concat(this.#complaints).toString();
      if (signal === null && exit !== 0) this.#error = new Error(`QEMU ended with ${exit}: ${complaints}`);
      this.#wake();
    });
  }

  #wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** What the machine has said (the last 256 KiB): firmware, boot loader, system. Without colours and cursor movements. */
  get console(): string {
    return this.#reader.text;
  }

  /** Since the machine was switched on. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** Types on the serial console. */
  send(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** Pulls the plug. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Takes a picture of the screen, into a file whose name ends with `.png` or `.ppm`. */
  async screenshot(path: string): Promise<void> {
    await askQemu(this.#socket, 'screendump', { filename: path, format: extname(path).slice(1) });
  }

  /**
   * Waits until the console shows `pattern` after what earlier waits have found, and gives the match; or why the wait
   * ended without. Rejects only if QEMU cannot be run or complains.
   */
  async watch(pattern: RegExp, seconds: number): Promise<{ match?: RegExpExecArray; ended: WaitEnd }> {
    const over = performance.now() + seconds * 1000;
    for (;;) {
      const match = pattern.exec(this.console.slice(this.#seen));
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return { match, ended: 'line' };
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#off !== undefined) return { ended: 'off' };
      const left = over - performance.now();
      if (left <= 0) return { ended: 'time' };
      const alarm = Promise.withResolvers<void>();
      const timer = setTimeout(alarm.resolve, left);
      await Promise.race([this.#news.promise, alarm.promise]);
      clearTimeout(timer);
    }
  }

  /** Like `watch`, but not seeing it is an error, which shows all that the machine said. */
  async expect(pattern: RegExp, seconds = 300): Promise<RegExpExecArray> {
    const { match, ended } = await this.watch(pattern, seconds);
    if (match !== undefined) return match;
    const why = ended === 'off' ? 'the machine went off' : `not within ${seconds} s`;
    throw new Error(`the console does not show ${pattern}: ${why}\n${this.console.slice(-8 * KIB)}`);
  }

  /** Waits until the machine is off. Rejects if it is not within that time. */
  async off(seconds = 120): Promise<void> {
    const { ended } = await this.watch(/(?!)/, seconds);
    if (ended !== 'off') throw new Error(`still on after ${seconds} s:\n${this.console.slice(-8 * KIB)}`);
  }
}

export interface BootOptions {
  /** File that is the machine's only disk. The machine cannot change it. */
  readonly disk: string;
  /** What the console is watched for. */
  readonly until: RegExp;
  /** Seconds after which the machine is stopped. Default 300: a boot takes some 17 s here, when nothing else runs. */
  readonly timeout?: number | undefined;
}

export interface BootResult {
  /** Whether the console showed it. */
  readonly reached: boolean;
  readonly ended: WaitEnd;
  /** As `Machine.console`. */
  readonly console: string;
  readonly seconds: number;
}

/**
 * Starts a BIOS machine (QEMU, SeaBIOS) from a disk and watches its serial console until it shows `until`, goes off, or
 * the time is over. Rejects only if QEMU cannot be run or complains.
 */
export const bootMachine = async (cleanup: Cleanup, options: BootOptions): Promise<BootResult> => {
  const machine = new Machine(cleanup, { disks: [{ path: options.disk }] });
  const { ended } = await machine.watch(options.until, options.timeout ?? 300);
  const { console, seconds } = machine;
  machine.kill();
  return { reached: ended === 'line', ended, console, seconds };
};

/** What SeaBIOS says when no disk has a boot sector. */
export const NOTHING_TO_BOOT = /No bootable device/;

import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { KIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';

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
  /** Why the watching ended: it was there, the machine went off by itself, or the time was over. */
  readonly ended: 'line' | 'off' | 'time';
  /** What the machine said (the last 64 KiB): firmware, boot loader, system. Without colours and cursor movements. */
  readonly console: string;
  readonly seconds: number;
}

/** A machine goes when this process does, also when this one is killed: it would run for ever. */
const WITH_US = ['--pdeathsig', 'KILL', '--'];
/** Emulated, never with KVM: guests hang in it on some of the machines where these tests run. */
const QEMU = 'qemu-system-x86_64 -machine pc -accel tcg -m 512 -nodefaults -no-reboot -nic none'.split(' ');
/** `-display none` with a serial port as standard output, and firmware that speaks there too. */
const CONSOLE = '-display none -machine graphics=off -serial stdio -monitor none'.split(' ');

/** Bytes of the console that are kept: a machine that says the same in a loop must not fill the memory. */
const KEPT = 64 * KIB;

/** Text as a person would read it on the console. */
const readable = (said: Buffer): string =>
  stripVTControlCharacters(said.toString('latin1')).replaceAll('\r', '');

/**
 * Starts a BIOS machine (QEMU, SeaBIOS) from a disk and watches its serial console until it shows `until`, goes off, or
 * the time is over. Rejects only if QEMU cannot be run or complains.
 */
export const bootMachine = (cleanup: Cleanup, options: BootOptions): Promise<BootResult> =>
  new Promise((resolve, reject) => {
    const started = performance.now();
    const drive = `file=${options.disk},format=raw,if=virtio,snapshot=on`;
    const child = spawn('setpriv', [...WITH_US, ...QEMU, ...CONSOLE, '-drive', drive], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const stop = (): void => {
      child.kill('SIGKILL');
    };
    cleanup.teardown(stop);
    let said = Buffer.alloc(0);
    const complaints: Buffer[] = [];
    let ended: BootResult['ended'] = 'off';
    const end = (why: BootResult['ended']): void => {
      if (ended !== 'off') return;
      ended = why;
      stop();
    };
    const timer = setTimeout(() => end('time'), (options.timeout ?? 300) * 1000);
    child.stdout.on('data', (chunk: Buffer) => {
      said = Buffer.concat([said, chunk]).subarray(-KEPT);
      if (options.until.test(readable(said))) end('line');
    });
    child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`the machine could not be started: ${error.message}`, { cause: error }));
    });
    child.once('close', (exit) => {
      clearTimeout(timer);
      if (ended === 'off' && exit !== 0) {
        reject(new Error(`QEMU ended with ${exit}: ${Buffer.concat(complaints).toString()}`));
        return;
      }
      const console = readable(said);
      const reached = options.until.test(console);
      resolve({ reached, ended, console, seconds: (performance.now() - started) / 1000 });
    });
  });

/** What SeaBIOS says when no disk has a boot sector. */
export const NOTHING_TO_BOOT = /No bootable device/;

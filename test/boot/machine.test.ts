import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { bootMachine, NOTHING_TO_BOOT } from './machine.ts';

/** The watcher of the boot proof can say no: a wrong line, silence, a disk with nothing on it, no disk at all. */

/** A disk whose boot sector is this code, in the real mode of a BIOS machine. */
const diskWith = (cleanup: Cleanup, code: readonly number[], signature = [0x55, 0xaa]): string => {
  const sector = Buffer.alloc(512);
  sector.set(code, 0);
  sector.set(signature, 510);
  const path = join(temporaryFolder(cleanup), 'disk');
  writeFileSync(path, sector);
  truncateSync(path, MIB);
  return path;
};

/** `jmp $` */
const LOOP = [0xeb, 0xfe];

/**
 * Sends a text to the first serial port (`mov dx, 0x3f8`; `mov al, ...; out dx, al` for each byte), without interrupts
 * (`cli`), on which the firmware sends the rest of its own words.
 */
const say = (text: string): number[] => [
  ...[0xfa, 0xba, 0xf8, 0x03],
  ...[...Buffer.from(text)].flatMap((byte) => [0xb0, byte, 0xee]),
];

test('the line is seen, wherever it ends', async (t) => {
  const disk = diskWith(t, [...say('one\r\nthe line\r\n'), ...LOOP]);
  t.like(await bootMachine(t, { disk, until: /^the line$/m }), { reached: true, ended: 'line' });
});

test('another line is not taken for it', async (t) => {
  const disk = diskWith(t, [...say('\r\nthe line 1\r\n'), ...LOOP]);
  const result = await bootMachine(t, { disk, until: /^the line 2$/m, timeout: 30 });
  t.like(result, { reached: false, ended: 'time' });
  t.regex(result.console, /^the line 1$/m, 'it did run');
  t.true(result.seconds >= 30);
});

test('a machine that goes off ends the watching', async (t) => {
  // Reset by the keyboard controller (`mov al, 0xfe; out 0x64, al`): QEMU is told to end there.
  const disk = diskWith(t, [...say('\r\ngoing\r\n'), 0xb0, 0xfe, 0xe6, 0x64, ...LOOP]);
  const result = await bootMachine(t, { disk, until: /^the line$/m });
  t.like(result, { reached: false, ended: 'off' });
  t.regex(result.console, /^going$/m);
});

test('without the two last bytes, a boot sector is none', async (t) => {
  const disk = diskWith(t, [...say('the line\r\n'), ...LOOP], [0, 0]);
  const result = await bootMachine(t, { disk, until: NOTHING_TO_BOOT });
  t.true(result.reached, result.console);
  t.notRegex(result.console, /the line/);
});

test('a disk that is not there is an error, not a machine that does not boot', async (t) => {
  const disk = join(temporaryFolder(t), 'none');
  await t.throwsAsync(bootMachine(t, { disk, until: NOTHING_TO_BOOT }), {
    message: /QEMU ended with 1.*none/,
  });
});

import { join } from 'node:path';
import test from 'ava';
import { temporaryFolder } from '../support/temporary.ts';
import { diskWith, LOOP, say } from './boot-sector.ts';
import { bootMachine, NOTHING_TO_BOOT } from './machine.ts';

/** The watcher of the boot proof can say no: a wrong line, silence, a disk with nothing on it, no disk at all. */

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

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {
  KERNEL_OPTIONS,
  kernelOptionsReference,
  parseKernelCommandLine,
} from '../../rescue/cli/kernel-cmdline.ts';

/** The options of the medium, without a machine that boots. */

const DEFAULTS = {
  mode: 'tui',
  action: 'restore',
  target: { by: 'auto' },
  image: 'latest',
  countdown: 10,
  on_success: 'reboot',
  on_fail: 'tui',
  log: undefined,
};

test('without any option everything has its default; options of others are none of ours', (t) => {
  const text = 'BOOT_IMAGE=/boot/vmlinuz quiet console=ttyS0,115200 root=UUID=1 nothingholdfast.mode=shell\n';
  t.deepEqual(parseKernelCommandLine(text), { options: DEFAULTS, errors: [] } as never);
});

test('every option is read', (t) => {
  const { options, errors } = parseKernelCommandLine(
    'holdfast.mode=unattended holdfast.action=verify holdfast.target=SERIAL=WD-123 holdfast.image=factory ' +
      'holdfast.countdown=0 holdfast.on_success=poweroff holdfast.on_fail=shell holdfast.log=LABEL=LOGS:/a/run.log',
  );
  t.deepEqual(errors, []);
  t.deepEqual(options as unknown, {
    mode: 'unattended',
    action: 'verify',
    target: { by: 'serial', value: 'WD-123' },
    image: 'factory',
    countdown: 0,
    on_success: 'poweroff',
    on_fail: 'shell',
    log: 'LABEL=LOGS:/a/run.log',
  });
});

test('targets of every form', (t) => {
  const target = (text: string) => parseKernelCommandLine(`holdfast.target=${text}`).options.target;
  t.deepEqual(target('/dev/nvme0n1p2'), { by: 'path', value: '/dev/nvme0n1p2' });
  t.deepEqual(target('PARTUUID=7d1c5a90-02'), { by: 'partuuid', value: '7d1c5a90-02' });
  t.deepEqual(target('UUID=0f8a'), { by: 'uuid', value: '0f8a' });
  t.deepEqual(target('"LABEL=my disk"'), { by: 'label', value: 'my disk' });
  t.deepEqual(target('auto'), { by: 'auto' });
});

test('quotes, dashes, repetition: as the kernel does it', (t) => {
  const { options, errors } = parseKernelCommandLine(
    'holdfast.image="before the update" holdfast.on-fail=reboot holdfast.mode=shell "holdfast.mode=unattended"',
  );
  t.deepEqual(errors, []);
  t.like(options, { image: 'before the update', on_fail: 'reboot', mode: 'unattended' });
});

test('an unknown option, and a wrong value, are errors that name what there is', (t) => {
  const { options, errors } = parseKernelCommandLine(
    'holdfast.mod=unattended holdfast.countdown=-1 holdfast.action holdfast.target=sda holdfast.log=here holdfast.image=',
  );
  t.deepEqual(options as unknown, DEFAULTS);
  t.deepEqual(
    errors.map(({ kind, detail: { code, found } }) => [kind, code, found]),
    [
      ['usage', 'kernel.unknown-option', undefined],
      ['usage', 'kernel.wrong-value', '-1'],
      ['usage', 'kernel.wrong-value', 'none'],
      ['usage', 'kernel.wrong-value', 'sda'],
      ['usage', 'kernel.wrong-value', 'here'],
      ['usage', 'kernel.wrong-value', ''],
    ],
  );
  t.regex(errors[0]!.message, /holdfast\.mod .*holdfast\.mode/s);
  t.regex(errors[1]!.message, /0 to 3600/);
});

test('any text gives options of the declared kind, or errors', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.string(),
          fc
            .constantFrom(...Object.keys(KERNEL_OPTIONS))
            .chain((name) => fc.string().map((value) => `holdfast.${name}=${value}`)),
        ),
      ),
      (words) => {
        const { options } = parseKernelCommandLine(words.join(' '));
        t.true(['tui', 'unattended', 'shell'].includes(options.mode));
        t.true(options.countdown >= 0 && options.countdown <= 3600);
        t.true(options.image.length > 0);
      },
    ),
  );
});

test('the table of options in the README is up to date', (t) => {
  const readme = readFileSync(join(import.meta.dirname, '../../rescue/cli/README.md'), 'utf8');
  t.true(readme.includes(kernelOptionsReference()), `it should hold:\n${kernelOptionsReference()}`);
});

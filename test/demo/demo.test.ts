import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { everythingSaid, run, runInBackground } from '../support/run.ts';

const DEMO = join(import.meta.dirname, 'demo.ts');

test('npm start in small: the disk comes back, every check says yes, nothing is left behind', (t) => {
  const before = readdirSync(tmpdir());
  const result = run(process.execPath, [DEMO, '--data', '8M']);
  t.is(result.exit, 0, everythingSaid(result));
  t.regex(result.stdout, /\nEverything came back\.\n/);
  t.is(result.stdout.match(/^ {2}yes /gm)?.length, 8);
  t.notRegex(result.stdout, /^ {2}NO /m);
  const [, amount, unit] = /with ([\d.]+) (KiB|MiB)/.exec(result.stdout.replaceAll('\n', ' ')) ?? [];
  // Files of this machine are there, not only the small tree of odd cases, which has about 2 MiB.
  t.is(unit, 'MiB');
  t.true(Number(amount) > 4, `${amount} ${unit}`);
  t.regex(result.stdout, /found by scan/);
  t.regex(result.stdout, /partition table was rebuilt/);
  for (const line of result.stdout.split('\n')) t.true(line.length <= 80, line);
  const folder = /^ *(\/\S+)\/disk$/m.exec(result.stdout)?.[1] ?? '';
  t.true(folder.startsWith(join(tmpdir(), 'holdfast-test-')), folder);
  const left = readdirSync(tmpdir()).filter((name) => !before.includes(name));
  t.false(left.some((name) => folder.endsWith(`/${name}`)));
  t.notRegex(run('losetup', ['--list', '--output', 'BACK-FILE']).stdout, new RegExp(folder));
});

/** As a terminal sends it: to the demo and to whatever it runs. */
const MOMENTS = { 'while the disk is made': '1. A disk', 'while an image is made': '$ holdfast create' };

for (const [moment, words] of Object.entries(MOMENTS)) {
  test(`stopped ${moment}: exit code 130, and nothing is left behind`, async (t) => {
    const child = spawn(process.execPath, [DEMO, '--data', '8M'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const pid = child.pid!;
    t.teardown(() => {
      if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL');
    });
    let output = '';
    let sent = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (sent || !output.includes(words)) return;
      sent = true;
      setTimeout(() => process.kill(-pid, 'SIGINT'), 300);
    });
    const [exit, signal] = await new Promise<[number | null, string | null]>((resolve) =>
      child.once('close', (code, ended) => resolve([code, ended])),
    );
    t.is(exit, 130, `${signal}\n${output}`);
    t.notRegex(output, /came back/);
    // Folder names carry the process that made them.
    const own = new RegExp(`holdfast-test-\\d+-${pid}-`);
    t.deepEqual(
      readdirSync(tmpdir()).filter((name) => own.test(name)),
      [],
    );
    t.notRegex(run('losetup', ['--list', '--output', 'BACK-FILE']).stdout, own);
  });
}

test('a size that is none: a message and no success', async (t) => {
  const result = await runInBackground(process.execPath, [DEMO, '--data', 'much'], { timeout: 20_000 });
  t.not(result.exit, 0);
  t.regex(result.stderr, /Give a size such as/);
});

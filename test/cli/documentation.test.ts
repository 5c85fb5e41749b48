import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { withReference } from '../../rescue/cli/documentation.ts';
import { EXIT } from '../../rescue/cli/exit.ts';
import { COMMAND_NAMES, COMMANDS, type CommandSpec, flagOf } from '../../rescue/cli/options.ts';
import { say } from './world.ts';

const README = join(import.meta.dirname, '../../rescue/cli/README.md');
const HELP = join(import.meta.dirname, 'help.txt');
const UPDATE = process.env['UPDATE_CLI_TEXTS'] !== undefined;

/** Every option with its value, as the design lists them: nothing may get lost from the tables. */
const DESIGNED: Record<string, string> = {
  create:
    '--partition --name --kind --codec --level --keep-old --replace-first --force-factory --min-free --dry-run --yes',
  list: '--partition --depth --aid',
  info: '--partition --image --aid --aid-out',
  verify: '--partition --image --aid --repair',
  restore:
    '--partition --image --aid --from --to --drop --companions --salvage --no-verify-after --dry-run --yes',
  remove: '--partition --image --aid --dry-run --yes',
  tui: '',
};
const ALWAYS = '--json --progress --log';

test('every command has the options that the design gives it', (t) => {
  t.deepEqual([...COMMAND_NAMES], Object.keys(DESIGNED));
  for (const name of COMMAND_NAMES) {
    const { options }: CommandSpec = COMMANDS[name];
    t.is(options.map(flagOf).join(' '), `${DESIGNED[name]} ${ALWAYS}`.trim(), name);
  }
  t.deepEqual(
    Object.values(EXIT).map(({ code }) => code),
    [0, 1, 2, 3, 4, 5, 130],
  );
});

test('the page of the command line is up to date', (t) => {
  const text = readFileSync(README, 'utf8');
  const current = withReference(text);
  if (UPDATE) writeFileSync(README, current);
  else t.is(text, current);
  t.true(current.includes('--no-verify-after'));
});

test('the help is as it was', async (t) => {
  let help = '';
  for (const argv of [['--help'], ...COMMAND_NAMES.map((name) => [name, '--help'])]) {
    const { stdout } = await say(argv);
    help += `$ holdfast ${argv.join(' ')}\n${stdout}\n`;
    for (const line of stdout.split('\n')) t.true(line.length <= 100, line);
  }
  if (UPDATE) writeFileSync(HELP, help);
  t.is(readFileSync(HELP, 'utf8'), help);
});

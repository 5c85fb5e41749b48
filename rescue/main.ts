// First of all: see there.
import './young-generation.ts';

import { readFileSync } from 'node:fs';
import { run } from './cli/run.ts';
import { openTarget } from './device/target.ts';
import { BACKGROUND_JOBS } from './job/background.ts';
import { create } from './job/create.ts';
import { info } from './job/info.ts';
import { list } from './job/list.ts';
import { remove } from './job/remove.ts';
import { restore } from './job/restore.ts';
import { verify } from './job/verify.ts';
import { openConsoles } from './live/consoles.ts';
import { LOG_PATH, leaveWord, runMedium, SCREEN_PATH } from './live/medium.ts';

/** The entry of the program and of the single executable: hands over to the command line or, on the medium, to what the kernel command line says. */

/** Where `iso/init` looks for what to do next: set on the rescue medium only. */
const wordPath = process.env['HOLDFAST_NEXT'];

const medium = async (path: string): Promise<number> => {
  const next = await runMedium({
    jobs: BACKGROUND_JOBS,
    commandLine: readFileSync('/proc/cmdline', 'utf8'),
    consoles: openConsoles(process.stdin, process.stdout, process.env['TERM'] ?? 'linux'),
    logPath: LOG_PATH,
    screenPath: SCREEN_PATH,
    screen: async ({ output }) => {
      output.write('The screen is not in this build.\r\n');
      return 'shell';
    },
  });
  leaveWord(path, next);
  return 0;
};

const commandLine = (): Promise<number> =>
  run(process.argv.slice(2), {
    jobs: { create, list, info, verify, restore, remove },
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    signals: process,
    checkTarget: (path) => openTarget(path).close(),
  });

const isMedium = process.argv[2] === 'medium' && wordPath !== undefined;
(isMedium ? medium(wordPath) : commandLine()).then((code) => {
  // Not left to the end of all handles: after a forced end a job may still have some.
  process.exit(code);
});

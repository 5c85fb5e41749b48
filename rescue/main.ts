// First of all: see there.
import './young-generation.ts';

import { readFileSync } from 'node:fs';
import { runTui } from '../tui/app.ts';
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
import { saveLogAnywhere } from './live/save-log.ts';

/**
 * The entry of the program and of the single executable: hands over to the command line, to the screen, or on the rescue
 * medium to what the kernel command line says.
 */

/** Where `iso/init` looks for what to do next: set on the rescue medium only. */
const wordPath = process.env['HOLDFAST_NEXT'];

const medium = async (path: string): Promise<number> => {
  const next = await runMedium({
    jobs: BACKGROUND_JOBS,
    commandLine: readFileSync('/proc/cmdline', 'utf8'),
    consoles: openConsoles(process.stdin, process.stdout, process.env['TERM'] ?? 'linux'),
    logPath: LOG_PATH,
    screenPath: SCREEN_PATH,
    again: process.env['HOLDFAST_AGAIN'] !== undefined,
    screen: async ({ input, output, terminal, unicode }, log) => {
      const outcome = await runTui({
        jobs: BACKGROUND_JOBS,
        stdin: input,
        stdout: output,
        env: { ...process.env, TERM: terminal, LANG: unicode ? 'C.UTF-8' : 'C', LC_ALL: '' },
        signals: process,
        medium: true,
        log,
        saveLog: () => saveLogAnywhere(LOG_PATH),
      });
      return outcome.next === 'quit' ? 'menu' : outcome.next;
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
    screen: (log) =>
      runTui({
        jobs: BACKGROUND_JOBS,
        stdin: process.stdin,
        stdout: process.stdout,
        env: process.env,
        signals: process,
        log,
      }),
  });

const isMedium = process.argv[2] === 'medium' && wordPath !== undefined;
(isMedium ? medium(wordPath) : commandLine()).then((code) => {
  // Not left to the end of all handles: after a forced end a job may still have some.
  process.exit(code);
});

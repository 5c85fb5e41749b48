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

/** The entry of the program and of the single executable: hands over to the command line, or to the screen. */
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
}).then((code) => {
  // Not left to the end of all handles: after a forced end a job may still have some.
  process.exit(code);
});

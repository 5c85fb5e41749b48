import { runTui } from '../../tui/app.ts';
import { Clock, madeUpJobs, type Scenario } from './made-up.ts';

/** The screens over jobs that do nothing: `made-up-program.ts SCENARIO`. Its exit code says what comes next. */

const scenario = (process.argv[2] ?? 'all') as Scenario;
const clock = new Clock();
runTui({
  jobs: madeUpJobs(scenario, clock),
  stdin: process.stdin,
  stdout: process.stdout,
  env: process.env,
  signals: process,
  medium: scenario === 'medium',
  ...(scenario === 'medium' ? { saveLog: async () => 'holdfast.log on the stick' } : {}),
  keymaps: { list: () => ({ names: ['de', 'fr', 'us'], reason: '' }), load: async () => {} },
  now: () => clock.now,
  wallClock: () => Date.UTC(2026, 10, 24, 12, 0, 0),
}).then(({ next }) => {
  process.exit(['quit', 'reboot', 'poweroff', 'shell'].indexOf(next) + 10);
});

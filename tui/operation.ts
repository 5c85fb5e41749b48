import type { Invocation } from '../rescue/cli/args.ts';
import { equivalentCommand } from '../rescue/cli/equivalent.ts';
import { type Failure, failureOf, traceOf } from '../rescue/cli/exit.ts';
import { intentLines } from '../rescue/cli/intent.ts';
import type { JobOptions, Phase } from '../rescue/job/context.ts';
import type { Confirm, Intent, Stats } from '../rescue/job/results.ts';
import type { Style } from './cells.ts';
import { JobRun } from './job-run.ts';
import type { Key } from './keymap.ts';
import type { Screen, Ui } from './screen.ts';
import { errorScreen } from './screens/error.ts';
import { planScreen } from './screens/plan.ts';
import { progressScreen } from './screens/progress.ts';
import { resultScreen } from './screens/result.ts';
import type { TouchMap } from './touch-map.ts';
import type { Marks } from './widgets/cell-map.ts';

/** One job from its start to its result or error, with the screens in between. */
export interface Operation<Result> {
  /** `Restore` */
  readonly title: string;
  /** `the restore`: what the job is called in sentences. */
  readonly noun: string;
  readonly map: TouchMap | undefined;
  readonly marks: Marks;
  /** What is happening in a phase, in one sentence; the engine's own words for the others. */
  readonly sentences: Readonly<Partial<Record<Phase, string>>>;
  /** The same in one line for a shell. */
  readonly invocation: Invocation;
  /** Whether it writes: then what earlier screens show is out of date afterwards. */
  readonly writes: boolean;
  /** Whether the device's name must be typed after the plan. */
  readonly typed: boolean;
  readonly start: (confirm: Confirm, options: JobOptions) => Promise<Result>;
  readonly report: (result: Result, phases: ReadonlySet<Phase>, width: number) => readonly string[];
  /** A way out of a failure that this program can go by itself. */
  readonly remedy?: (failure: Failure) => Key | undefined;
  readonly verdict: (result: Result) => { readonly text: string; readonly style: Style };
}

/** Shows the plan above `below`, and gives the person's answer. */
const askFor = (ui: Ui, intent: Intent, typed: boolean): Promise<boolean> =>
  new Promise((resolve) => {
    ui.log.write(intentLines(intent, 100).join('\n'));
    const answer = (agreed: boolean): void => {
      ui.log.write(agreed ? 'answer: agreed' : 'answer: declined');
      resolve(agreed);
    };
    ui.open(planScreen(ui, intent, { typed, answer }));
  });

/** The person's time at the plan is not the job's. */
const withOwnTime = <Result extends { readonly stats: Stats }>(result: Result, seconds: number): Result => ({
  ...result,
  stats: { ...result.stats, seconds },
});

export const runOperation = <Result extends { readonly stats: Stats }>(
  ui: Ui,
  operation: Operation<Result>,
): void => {
  const command = equivalentCommand(operation.invocation);
  const run = new JobRun({
    map: operation.map,
    now: ui.now,
    onChange: () => ui.changed(true),
    onNote: ({ note, severity }) => ui.log.write(severity === 'warning' ? `warning: ${note}` : note),
  });
  const screen: Screen = progressScreen(ui, run, operation);
  ui.log.write(`${operation.title}: ${command}`);
  ui.open(screen);
  let declined = false;
  const confirm: Confirm = async (intent) => {
    run.pause();
    const agreed = await askFor(ui, intent, operation.typed);
    declined = !agreed;
    run.resume();
    return agreed;
  };
  const job = operation.start(confirm, run.options).then(
    (finished) => {
      const result = withOwnTime(finished, run.seconds);
      const verdict = operation.verdict(result);
      const lines = (width: number): readonly string[] => operation.report(result, run.phases, width);
      ui.log.write([verdict.text, ...lines(100)].join('\n'));
      ui.leave(
        screen,
        resultScreen(ui, { verdict, lines, command, notes: run.notes, final: operation.writes }),
      );
    },
    (error: unknown) => {
      const failure = failureOf(error);
      ui.log.write(`failed: ${traceOf(error)}`);
      if (declined) {
        ui.leave(screen);
        ui.say(`Nothing was written: ${operation.noun} was declined.`);
        return;
      }
      const again = (): void => runOperation(ui, operation);
      const remedy = operation.remedy?.(failure);
      ui.leave(screen, errorScreen(ui, failure, { again, ...(remedy === undefined ? {} : { remedy }) }));
    },
  );
  ui.running(run, job);
};

import type { JobOptions, Phase } from '../job/context.ts';
import type { Jobs } from '../job/jobs.ts';
import type { Confirm, ImageResult, Intent } from '../job/results.ts';
import type { Invocation } from './args.ts';
import { equivalentCommand } from './equivalent.ts';
import type { ExitName } from './exit.ts';
import { listReport } from './image-table.ts';
import { intentDocument, intentLines } from './intent.ts';
import type { JobName } from './options.ts';
import { createReport, infoReport, removeReport, restoreReport, verifyReport } from './report.ts';
import { count } from './text.ts';
import { codecChoice } from './values.ts';

/** What a command came to. */
export interface Outcome {
  readonly exit: ExitName;
  /** For `--json`. */
  readonly document: object;
  /** The same for people. */
  readonly report: readonly string[];
  /** The same again in one line. */
  readonly command: string;
  /** For standard error: why the exit code is not 0. */
  readonly complaint?: string;
}

export interface CommandContext {
  readonly jobs: Jobs;
  readonly invocation: Invocation;
  readonly options: JobOptions;
  /** Columns of standard output. */
  readonly width: number;
  /** Phases that the job went through so far. */
  readonly phases: ReadonlySet<Phase>;
  /** Asks the person; not called for `--dry-run`. */
  readonly confirm: Confirm;
}

/** With `--dry-run` the plan is the result; otherwise the person must agree to it. */
const planOf = ({ invocation, confirm, width }: CommandContext) => {
  let shown: Intent | undefined;
  const { dryRun = false } = invocation.values;
  return {
    confirm: async (intent: Intent): Promise<boolean> => {
      shown = intent;
      return dryRun ? true : confirm(intent);
    },
    lines: (): string[] => (dryRun && shown !== undefined ? [...intentLines(shown, width), ''] : []),
    document: () => (dryRun && shown !== undefined ? { plan: intentDocument(shown) } : {}),
  };
};

const placeOf = ({ target, values }: Invocation) => ({
  target,
  ...(values.partition === undefined ? {} : { partition: values.partition }),
});

const aidOf = ({ values }: Invocation) => (values.aid === undefined ? {} : { aid: values.aid });

const commandOf = ({ invocation }: CommandContext): string => equivalentCommand(invocation);

const create = async (context: CommandContext): Promise<Outcome> => {
  const { values } = context.invocation;
  const plan = planOf(context);
  const result = await context.jobs.create(
    {
      ...placeOf(context.invocation),
      ...(values.name === undefined ? {} : { name: values.name }),
      kind: values.kind ?? 'user',
      codec: codecChoice(values.codec ?? 'zstd', values.level)!,
      keepOld: values.keepOld ?? false,
      replaceFirst: values.replaceFirst ?? false,
      forceFactory: values.forceFactory ?? false,
      ...(values.minFree === undefined ? {} : { minFree: values.minFree }),
      dryRun: values.dryRun ?? false,
      confirm: plan.confirm,
    },
    context.options,
  );
  return {
    exit: 'done',
    document: { ...result, ...plan.document(), command: commandOf(context) },
    command: commandOf(context),
    report: [...plan.lines(), ...createReport(result, context)],
  };
};

const list = async (context: CommandContext): Promise<Outcome> => {
  const { invocation, jobs, width } = context;
  const depth = invocation.values.depth ?? 'quick';
  const request = { ...placeOf(invocation), ...aidOf(invocation), depth };
  const result = await jobs.list(request, context.options);
  const found = result.images.length > 0;
  return {
    exit: found ? 'done' : 'not-found',
    document: { ...result, command: commandOf(context) },
    command: commandOf(context),
    report: listReport(result, width),
    ...(found ? {} : { complaint: `no image found on ${result.target}` }),
  };
};

const selectionOf = (invocation: Invocation) => ({
  ...placeOf(invocation),
  ...aidOf(invocation),
  image: invocation.values.image ?? 'latest',
});

const info = async (context: CommandContext): Promise<Outcome> => {
  const { aidOut } = context.invocation.values;
  const request = { ...selectionOf(context.invocation), ...(aidOut === undefined ? {} : { aidOut }) };
  const result = await context.jobs.info(request, context.options);
  return {
    exit: 'done',
    document: { ...result, command: commandOf(context) },
    command: commandOf(context),
    report: infoReport(result),
  };
};

const verify = async (context: CommandContext): Promise<Outcome> => {
  const { invocation, jobs, width } = context;
  const request = { ...selectionOf(invocation), repair: invocation.values.repair ?? false };
  const result = await jobs.verify(request, context.options);
  const { problems } = result;
  return {
    exit: problems.length === 0 ? 'done' : 'damaged',
    document: { ...result, command: commandOf(context) },
    command: commandOf(context),
    report: verifyReport(result, width),
    ...(problems.length === 0
      ? {}
      : { complaint: `${count(problems.length, 'problem')} found in the image` }),
  };
};

const restore = async (context: CommandContext): Promise<Outcome> => {
  const { invocation, jobs } = context;
  const { values } = invocation;
  const plan = planOf(context);
  const verifyAfter = values.verifyAfter ?? true;
  const result = await jobs.restore(
    {
      ...selectionOf(invocation),
      ...(values.from === undefined ? {} : { from: values.from }),
      ...(values.to === undefined ? {} : { to: values.to }),
      drop: values.drop ?? [],
      ...(values.companions === true ? { companions: true } : {}),
      salvage: values.salvage ?? false,
      verifyAfter,
      dryRun: values.dryRun ?? false,
      confirm: plan.confirm,
    },
    context.options,
  );
  const incomplete = result.lostFrames > 0;
  return {
    exit: incomplete ? 'damaged' : 'done',
    document: { ...result, ...plan.document(), command: commandOf(context) },
    command: commandOf(context),
    report: [
      ...plan.lines(),
      ...restoreReport(result, { ...context, to: values.to ?? invocation.target, verifyAfter }),
    ],
    ...(incomplete ? { complaint: 'the image is damaged: not everything in it can be brought back' } : {}),
  };
};

const remove = async (context: CommandContext): Promise<Outcome> => {
  const { invocation, jobs } = context;
  const plan = planOf(context);
  const request = {
    ...selectionOf(invocation),
    dryRun: invocation.values.dryRun ?? false,
    confirm: plan.confirm,
  };
  const result: ImageResult & { readonly written: boolean } = await jobs.remove(request, context.options);
  // What SEL meant is gone, and would mean another image now.
  const command = equivalentCommand({
    ...invocation,
    values: { ...invocation.values, ...(result.written ? { image: result.image.id } : {}) },
  });
  return {
    exit: 'done',
    document: { ...result, ...plan.document(), command },
    command,
    report: [...plan.lines(), ...removeReport(result)],
  };
};

/** Runs one command's job. Throws what the job throws. */
export const COMMAND_RUNS: Record<JobName, (context: CommandContext) => Promise<Outcome>> = {
  create,
  list,
  info,
  verify,
  restore,
  remove,
};

import type { Failure } from '../rescue/cli/exit.ts';
import { createReport, removeReport, restoreReport, verifyReport } from '../rescue/cli/report.ts';
import { codecChoice } from '../rescue/cli/values.ts';
import type {
  CreateRequest,
  CreateResult,
  ImageSummary,
  RemoveResult,
  RestoreResult,
  VerifyResult,
} from '../rescue/job/results.ts';
import type { Key } from './keymap.ts';
import { type Operation, runOperation } from './operation.ts';
import type { Place } from './place.ts';
import type { Ui } from './screen.ts';
import { questionScreen } from './screens/question.ts';
import { TouchMap } from './touch-map.ts';
import { CREATE_MARKS, RESTORE_MARKS } from './widgets/cell-map.ts';

/** The four jobs that work on an image, as screens start them. */

const mapOf = (image: ImageSummary, others: readonly ImageSummary[]): TouchMap => {
  const map = new TouchMap(image.partition.offset, image.partition.size);
  for (const each of [image, ...others]) map.addImage(each.extents);
  return map;
};

export interface RestoreOptions {
  /** The other images that were found. */
  readonly others: readonly ImageSummary[];
  /** Restores what is left of a damaged image. */
  readonly salvage?: boolean;
  /** Writes what else the machine boots from, too, although the partition table is kept. */
  readonly companions?: boolean;
  /** Ids of images that the restore may destroy. */
  readonly drop?: readonly string[];
}

/** Where another image lies in the way, that image can be given up, if the person wants it so. */
const giveUpKey = (
  ui: Ui,
  place: Place,
  image: ImageSummary,
  options: RestoreOptions,
  failure: Failure,
): Key | undefined => {
  const { drop = [], others } = options;
  const other =
    failure.reason === 'collision'
      ? others.find(({ id }) => !drop.includes(id) && failure.message.includes(id.slice(0, 8)))
      : undefined;
  if (other === undefined) return undefined;
  const name = `${other.kind} image ${other.id.slice(0, 8)} "${other.name}"`;
  const ask = (): void =>
    ui.open(
      questionScreen(ui, {
        title: 'Give up an image',
        style: 'danger',
        text: [
          `Give up the ${name}?`,
          'The restore will write over it, and it cannot be brought back. The plan is shown first; nothing is written before you agree to it.',
        ],
        choices: [
          { label: 'Keep it', hint: 'Goes back. Nothing is written.', action: () => {} },
          {
            label: 'Give it up',
            hint: 'Goes on to the plan of a restore that destroys this image.',
            action: () => startRestore(ui, place, image, { ...options, drop: [...drop, other.id] }),
          },
        ],
      }),
    );
  return {
    names: ['g'],
    title: 'Give up image',
    hint: `Plans a restore that destroys the ${name}, which lies in the way.`,
    action: ask,
  };
};

export const startRestore = (ui: Ui, place: Place, image: ImageSummary, options: RestoreOptions): void => {
  const { salvage = false, companions = false, others, drop = [] } = options;
  const values = {
    image: image.id,
    ...(drop.length === 0 ? {} : { drop }),
    ...(companions ? { companions } : {}),
    ...(salvage ? { salvage } : {}),
  };
  const operation: Operation<RestoreResult> = {
    title: 'Restore',
    noun: 'the restore',
    map: mapOf(
      image,
      others.filter(({ id, state }) => state === 'committed' && !drop.includes(id)),
    ),
    marks: RESTORE_MARKS,
    sentences: {
      scan: 'Looking for the image and its siblings once more. Only reading.',
      'verify-image': 'Checking every byte of the image before anything is written.',
      relocate: 'Copying another image to where it is not in the way. Both copies are whole.',
      write: 'Bringing the partition back. The image itself is not touched.',
      'read-back': 'Reading back what was written, and comparing it with the image.',
    },
    invocation: { command: 'restore', target: place.target, values },
    writes: true,
    typed: true,
    start: (confirm, jobOptions) =>
      ui.jobs.restore(
        {
          target: place.target,
          image: image.id,
          drop,
          ...(companions ? { companions } : {}),
          salvage,
          verifyAfter: true,
          dryRun: false,
          confirm,
        },
        jobOptions,
      ),
    report: (result, phases, width) =>
      restoreReport(result, { phases, width, to: place.target, verifyAfter: true }),
    remedy: (failure) => giveUpKey(ui, place, image, options, failure),
    verdict: ({ lost }) =>
      lost.length === 0
        ? { text: 'The partition is back.', style: 'good' }
        : { text: 'The partition is back, but not all of it: the image is damaged.', style: 'warning' },
  };
  runOperation(ui, operation);
};

/** With `repair`, what can be mended is mended in between. */
export const startVerify = (ui: Ui, place: Place, image: ImageSummary, repair = false): void => {
  const operation: Operation<VerifyResult> = {
    title: repair ? 'Repair' : 'Verify',
    noun: repair ? 'the repair' : 'the check',
    map: mapOf(image, []),
    marks: CREATE_MARKS,
    sentences: {
      scan: 'Looking for the image once more. Only reading.',
      'verify-slots': 'Checking the slots of the image. Only reading.',
      'verify-image': 'Checking every byte that the image holds. Only reading.',
      mend: 'Writing where each slot of the image lies. Cut off, it can be run again.',
    },
    invocation: {
      command: 'verify',
      target: place.target,
      values: { image: image.id, ...(repair ? { repair } : {}) },
    },
    writes: repair,
    typed: false,
    start: (_confirm, jobOptions) =>
      ui.jobs.verify({ target: place.target, image: image.id, repair }, jobOptions),
    report: (result, _phases, width) => verifyReport(result, width),
    verdict: ({ problems }) =>
      problems.length === 0
        ? { text: 'The image is whole: every byte of it was checked.', style: 'good' }
        : { text: 'The image has problems.', style: 'danger' },
  };
  runOperation(ui, operation);
};

export const startRemove = (ui: Ui, place: Place, image: ImageSummary): void => {
  const operation: Operation<RemoveResult> = {
    title: 'Remove',
    noun: 'the removal',
    map: mapOf(image, []),
    marks: CREATE_MARKS,
    sentences: { scan: 'Looking for the image once more. Only reading.' },
    invocation: { command: 'remove', target: place.target, values: { image: image.id } },
    writes: true,
    typed: true,
    start: (confirm, jobOptions) =>
      ui.jobs.remove({ target: place.target, image: image.id, dryRun: false, confirm }, jobOptions),
    report: (result) => removeReport(result),
    verdict: () => ({ text: 'The image is removed.', style: 'good' }),
  };
  runOperation(ui, operation);
};

/** What the form of the create screen asks for. */
export interface CreateChoices {
  readonly name: string;
  readonly kind: CreateRequest['kind'];
  readonly codec: CreateRequest['codec']['codec'];
  readonly keepOld: boolean;
}

export const startCreate = (
  ui: Ui,
  target: {
    readonly path: string;
    readonly partition?: number;
    readonly offset: number;
    readonly size: number;
  },
  choices: CreateChoices,
): void => {
  const { kind, codec, keepOld } = choices;
  const name = choices.name.trim();
  const choice = codecChoice(codec, undefined)!;
  const which = target.partition === undefined ? {} : { partition: target.partition };
  const named = name === '' ? {} : { name };
  const operation: Operation<CreateResult> = {
    title: 'Create',
    noun: 'making the image',
    map: new TouchMap(target.offset, target.size),
    marks: CREATE_MARKS,
    sentences: {
      check: 'Checking that the file system is sound. Only reading.',
      estimate: 'Estimating how large the image will be. Only reading.',
      capture: 'Reading what is in use, and writing the image into free space.',
      'read-back': 'Reading back the image that was written.',
      claim: 'Listing the image in the file system.',
    },
    invocation: {
      command: 'create',
      target: target.path,
      values: { ...which, ...named, kind, codec, level: choice.level, ...(keepOld ? { keepOld } : {}) },
    },
    writes: true,
    typed: false,
    start: (confirm, jobOptions) =>
      ui.jobs.create(
        {
          target: target.path,
          ...which,
          ...named,
          kind,
          codec: choice,
          keepOld,
          replaceFirst: false,
          forceFactory: false,
          dryRun: false,
          confirm,
        },
        jobOptions,
      ),
    report: (result, phases, width) => createReport(result, { phases, width }),
    verdict: () => ({ text: 'The image is made.', style: 'good' }),
  };
  runOperation(ui, operation);
};

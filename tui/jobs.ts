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
import { type Operation, runOperation } from './operation.ts';
import type { Place } from './place.ts';
import type { Ui } from './screen.ts';
import { TouchMap } from './touch-map.ts';
import { CREATE_MARKS, RESTORE_MARKS } from './widgets/cell-map.ts';

/** The four jobs that work on an image, as screens start them. */

const mapOf = (image: ImageSummary, others: readonly ImageSummary[]): TouchMap => {
  const map = new TouchMap(image.partition.offset, image.partition.size);
  for (const each of [image, ...others]) map.addImage(each.extents);
  return map;
};

export const startRestore = (
  ui: Ui,
  place: Place,
  image: ImageSummary,
  options: { readonly others: readonly ImageSummary[]; readonly salvage?: boolean },
): void => {
  const { salvage = false, others } = options;
  const values = { image: image.id, ...(salvage ? { salvage } : {}) };
  const operation: Operation<RestoreResult> = {
    title: 'Restore',
    verb: 'restore',
    map: mapOf(
      image,
      others.filter(({ state }) => state === 'committed'),
    ),
    marks: RESTORE_MARKS,
    sentences: {
      scan: 'Looking for the image and its siblings once more. Only reading.',
      'verify-image': 'Checking every byte of the image before anything is written.',
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
          drop: [],
          salvage,
          verifyAfter: true,
          dryRun: false,
          confirm,
        },
        jobOptions,
      ),
    report: (result, phases, width) =>
      restoreReport(result, { phases, width, to: place.target, verifyAfter: true }),
    verdict: ({ lost }) =>
      lost.length === 0
        ? { text: 'The partition is back.', style: 'good' }
        : { text: 'The partition is back, but not all of it: the image is damaged.', style: 'warning' },
  };
  runOperation(ui, operation);
};

export const startVerify = (ui: Ui, place: Place, image: ImageSummary): void => {
  const operation: Operation<VerifyResult> = {
    title: 'Verify',
    verb: 'verify',
    map: mapOf(image, []),
    marks: CREATE_MARKS,
    sentences: {
      scan: 'Looking for the image once more. Only reading.',
      'verify-slots': 'Checking the slots of the image. Only reading.',
      'verify-image': 'Checking every byte that the image holds. Only reading.',
    },
    invocation: { command: 'verify', target: place.target, values: { image: image.id } },
    writes: false,
    typed: false,
    start: (_confirm, jobOptions) =>
      ui.jobs.verify({ target: place.target, image: image.id, repair: false }, jobOptions),
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
    verb: 'remove the image',
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
    title: 'Create image',
    verb: 'create the image',
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

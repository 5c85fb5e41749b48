import type { Problem } from '../fs/filesystem.ts';
import type { Phase } from '../job/context.ts';
import type { LostFile } from '../job/lost-files.ts';
import type {
  CreateResult,
  ImageSummary,
  InfoResult,
  RemoveResult,
  RestoreResult,
  Stats,
  VerifyResult,
} from '../job/results.ts';
import { formatBytes } from '../units.ts';
import { count, exactBytes, facts, formatDuration, formatTime, printable, wrap } from './text.ts';

/** Closing reports for people. They claim nothing that the job did not say or do. */

export interface ReportOptions {
  readonly width: number;
  /** Phases that the job went through. */
  readonly phases: ReadonlySet<Phase>;
}

const title = (image: ImageSummary): string =>
  `image ${image.id.slice(0, 8)}${image.name === '' ? '' : ` "${printable(image.name)}"`}`;

/** TARGET, or the partition of it that the image is of. */
const placeOf = (target: string, { partition }: ImageSummary): string =>
  partition.offset > 0 && partition.number !== null
    ? `partition ${partition.number} of ${printable(target)}`
    : printable(target);

const labelled = ({ label }: ImageSummary): string => (label === '' ? '' : ` (label "${printable(label)}")`);

const capitalised = (text: string): string => (text.startsWith('partition ') ? `P${text.slice(1)}` : text);

const NOTHING_WRITTEN = 'Nothing was written.';

const statLines = (stats: Stats): string[] => [
  `${formatBytes(stats.bytesRead)} read and ${formatBytes(stats.bytesWritten)} written in ${formatDuration(stats.seconds)}; at most ${formatBytes(stats.peakRss)} of memory.`,
];

/** A read-back throws when it finds a difference: one that took place found none. */
const readBackLines = ({ phases }: ReportOptions): string[] =>
  phases.has('read-back') ? ['What was written was read back from the disk: it is the same.'] : [];

const stateLines = (image: ImageSummary): string[] =>
  image.state === 'committed'
    ? []
    : [`Its state is "${image.state}"${image.reason === undefined ? '' : `: ${printable(image.reason)}`}.`];

export const createReport = (result: CreateResult, options: ReportOptions): string[] => {
  const { image, stats, replaced, written, target } = result;
  if (!written) return [NOTHING_WRITTEN, ...statLines(stats)];
  return [
    `The ${image.kind} ${title(image)} is now inside ${placeOf(target, image)}${labelled(image)}.`,
    `${formatBytes(image.usedBytes)} in use, stored in ${formatBytes(image.storedBytes)}, in ${count(image.extents.length, 'piece')} on the disk.`,
    ...stateLines(image),
    ...(replaced.length === 0
      ? []
      : [`It replaces ${replaced.map((id) => id.slice(0, 8)).join(', ')}, which was removed.`]),
    ...readBackLines(options),
    ...statLines(stats),
  ];
};

const TABLE: Record<RestoreResult['partitionTable'], string> = {
  kept: 'The partition table was kept.',
  added: 'The partition was added to the partition table.',
  rebuilt:
    'The partition table was rebuilt. Other partitions in it came back as entries only: their contents are not in this image.',
  none: 'It is a new file, which holds the partition and nothing else.',
};

const companionLines = ({ companions = [] }: RestoreResult): string[] =>
  companions.length === 0 ? [] : [`Written beside the partition: ${companions.join(', ')}.`];

const keptLines = ({ imagesKept }: RestoreResult): string[] =>
  imagesKept.length === 0
    ? []
    : [`Still there: ${imagesKept.map((id) => `image ${id.slice(0, 8)}`).join(', ')}.`];

/** Stretches that are shown one by one; `--json` has them all. */
const MOST_LOST = 20;
/** Of one file. */
const MOST_RANGES = 4;

const ALSO: Readonly<Record<NonNullable<LostFile['also']>, string>> = {
  record: 'all that the file system knows of it',
  map: 'where the rest of it lies',
  names: 'names of files in it',
};

const lostFileLine = ({ path, stream, ranges, lostBytes, also }: LostFile): string => {
  const shown = ranges.slice(0, MOST_RANGES).map(({ start, length }) => `${start} to ${start + length - 1}`);
  const parts = [
    ...(ranges.length === 0
      ? []
      : [`${count(lostBytes, 'byte')}: ${shown.join(', ')}${ranges.length > shown.length ? ', ...' : ''}`]),
    ...(also === undefined ? [] : [ALSO[also]]),
  ];
  return `  ${printable(stream === undefined ? path : `${path}:${stream}`)} (${parts.join('; ')})`;
};

const lostNameLines = ({ lostNames, unlisted }: RestoreResult): string[] => {
  if (lostNames === undefined) return [];
  const { files, fileCount, elsewhere, elsewhereBytes, unreadable } = lostNames;
  const shown = files.slice(0, MOST_LOST);
  const paths = new Set(shown.map(({ path }) => path)).size;
  return [
    ...(shown.length === 0 ? [] : ['Lost of files and folders, with the bytes of each:']),
    ...shown.map(lostFileLine),
    ...(fileCount > paths ? [`  and ${count(fileCount - paths, 'more file')}; --json names up to 1024`] : []),
    ...(elsewhere.length === 0
      ? []
      : [
          `${formatBytes(elsewhereBytes)} of it belong to the file system itself, or to files whose names are lost${unreadable === undefined ? '' : ` (${printable(unreadable)})`}.`,
        ]),
    ...(unlisted === undefined
      ? []
      : [
          `The restored file system does NOT list the images (${printable(unlisted)}): they lie in clusters that it takes for free. Copy what you need before anything is written to it.`,
        ]),
  ];
};

const lostLines = (result: RestoreResult): string[] => {
  const { lost, lostFrames, lostBytes } = result;
  if (lostFrames === 0) return [];
  const shown = lost.slice(0, MOST_LOST);
  return [
    `NOT restored, because the image is damaged there: ${formatBytes(lostBytes)} in ${count(lostFrames, 'frame')}:`,
    ...shown.map(({ start, length }) => `  ${length} bytes at byte ${start}`),
    ...(shown.length < lost.length ? [`  and ${count(lost.length - shown.length, 'more place')}`] : []),
    ...lostNameLines(result),
  ];
};

export const restoreReport = (
  result: RestoreResult,
  options: ReportOptions & { readonly to: string; readonly verifyAfter: boolean },
): string[] => {
  const { image, stats, written } = result;
  if (!written) return [NOTHING_WRITTEN, ...lostLines(result), ...statLines(stats)];
  const whole = result.lostFrames === 0 ? '' : ', but not all of it';
  return [
    `${capitalised(options.to === result.target ? placeOf(options.to, image) : printable(options.to))}${labelled(image)} is restored from the ${image.kind} ${title(image)}, made ${formatTime(image.created)}${whole}.`,
    TABLE[result.partitionTable],
    ...companionLines(result),
    ...keptLines(result),
    ...lostLines(result),
    ...(options.verifyAfter
      ? readBackLines(options)
      : ['What was written was not read back (--no-verify-after).']),
    ...statLines(stats),
  ];
};

export const removeReport = ({ image, stats, written, target }: RemoveResult): string[] => [
  written ? `The ${image.kind} ${title(image)} is removed from ${placeOf(target, image)}.` : NOTHING_WRITTEN,
  ...statLines(stats),
];

const problemLines = (problem: Problem, width: number): string[] => {
  const where = problem.where === '' ? '' : ` (${problem.where})`;
  const text = `${problem.code}: ${problem.message}${where}`;
  return [
    wrap(printable(text), { width, first: '  - ', rest: '    ' }),
    ...(problem.wayOut === undefined
      ? []
      : [wrap(printable(problem.wayOut), { width, first: '    ', rest: '    ' })]),
  ];
};

const DAMAGED =
  'What to do: make a new image if the partition itself is well (holdfast create); if it is not, what is whole of this one can be brought back with holdfast restore --salvage. Places, anchors and commit records are mended by holdfast verify --repair.';

const repairedLines = ({ repaired }: VerifyResult): string[] => {
  if (repaired === undefined) return [];
  return repaired.length === 0
    ? ['There was nothing that a repair could mend.']
    : ['Mended:', ...repaired.map((line) => `  - ${line}`)];
};

export const verifyReport = (result: VerifyResult, width: number): string[] => {
  const { image, stats, problems } = result;
  return [
    problems.length === 0
      ? `The ${image.kind} ${title(image)}: no problem found.`
      : `The ${image.kind} ${title(image)}: ${count(problems.length, 'problem')}.`,
    ...repairedLines(result),
    ...stateLines(image),
    ...problems.flatMap((problem) => problemLines(problem, width)),
    ...(problems.length === 0 ? [] : [wrap(DAMAGED, { width })]),
    ...statLines(stats),
  ];
};

const imageFacts = (image: ImageSummary): [string, string][] => [
  ['id', image.id],
  ['name', printable(image.name)],
  ['kind', `${image.kind}, number ${image.sequence}`],
  ['created', formatTime(image.created)],
  ['generation', String(image.generation)],
  ['state', image.reason === undefined ? image.state : `${image.state}: ${printable(image.reason)}`],
  ['found by', image.foundBy],
  ['file system', `${image.filesystem}, ${formatBytes(image.clusterSize)} clusters`],
  ['label', printable(image.label)],
  [
    'partition',
    `${image.partition.number ?? '(no number)'}, at byte ${image.partition.offset}, ${exactBytes(image.partition.size)}`,
  ],
  ['in use', exactBytes(image.usedBytes)],
  ['stored', `${exactBytes(image.storedBytes)}, in ${count(image.extents.length, 'piece')} on the disk`],
];

export const infoReport = (result: InfoResult): string[] => [
  ...facts([
    ...imageFacts(result.image),
    ...result.facts.map(([name, value]): [string, string] => [printable(name), printable(value)]),
  ]),
  ...(result.aidOut === undefined
    ? []
    : [`A recovery aid was written to ${printable(result.aidOut)}. Keep it on another disk.`]),
];

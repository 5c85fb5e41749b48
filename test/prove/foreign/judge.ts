import { fsckFat } from '../../fs/fat/fsck.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { everythingSaid, run } from '../../support/run.ts';
import { alone, type Subject } from './subject.ts';

/** What other people's programs say of a volume, without what changes with every file that is added. */
export interface Verdict {
  readonly clean: boolean;
  /**
   * Exit codes and every line that was said but for names of files and programs, totals (how many files, how many clusters are in
   * use) and offers to shrink. Of two counts that should be the same, the difference stands here: both change with what is stored.
   */
  readonly lines: readonly string[];
}

const FILE_NAME = /(?:\/[^\s:]+)+/g;
const linesOf = (said: string, dropped: readonly RegExp[]): string[] =>
  said
    .split('\n')
    .map((line) => line.replace(/^\$ .*$/, '').trimEnd())
    .filter((line) => line !== '' && !dropped.some((pattern) => pattern.test(line)))
    .map((line) => line.replace(FILE_NAME, 'VOLUME'));

/** `(12, counted=14)`. */
const asDifference = (line: string): string =>
  line.replace(
    /\((\d+)(, counted=)(\d+)\)/,
    (_, said: string, _words, counted: string) => `(${Number(said) - Number(counted)} too many)`,
  );

const NOT_OF_EXT = [
  /^e2fsck \d/,
  /^standard (output|error):$/,
  /: \d+\/\d+ files \(.*\), \d+\/\d+ blocks$/,
  /^\s*now = /,
];
const byE2fsck = (path: string): Verdict => {
  const result = run('e2fsck', ['-f', '-n', path]);
  const lines = linesOf(everythingSaid(result), NOT_OF_EXT).map((line) =>
    // e2fsck begins lines with the volume's label, if it has one.
    asDifference(line.replace(/^.*: \*{4,}/, 'VOLUME: ****')),
  );
  return { clean: result.exit === 0 && !lines.some((line) => /skipping journal recovery/.test(line)), lines };
};

const NOT_OF_FAT = [/^fsck\.fat \d/, /^standard (output|error):$/, /: \d+ files?, \d+\/\d+ clusters$/];
/** FSInfo's count of free clusters is a hint that everybody may have wrong: whether it is wrong counts, by how much does not. */
const withoutHint = (line: string): string => line.replace(/^(\s*Free cluster summary \w+) \(.*\)$/, '$1');

const byFsckFat = (cleanup: Cleanup, path: string): Verdict => {
  const { clean, output } = fatVerdict(cleanup, path);
  return { clean, lines: linesOf(output, NOT_OF_FAT).map(withoutHint) };
};

/** A boot sector full of nonsense cannot be asked for a FAT that is not kept alike: then fsck.fat has to do with what it sees. */
const fatVerdict = (cleanup: Cleanup, path: string): { readonly clean: boolean; readonly output: string } => {
  try {
    return fsckFat(cleanup, path);
  } catch {
    const result = run('fsck.fat', ['-n', path]);
    return { clean: result.exit === 0, output: everythingSaid(result) };
  }
};

const NOT_OF_NTFS = [
  /^(Device name|NTFS volume version|Cluster size|Current volume size|Current device size|Space in use)\s*:/,
  /^(ntfsresize v|Collecting |You might resize|Please make a test run|You can|or \d)/,
  /^standard (output|error):$/,
];
/** ntfsresize says "Space in use" once it has compared all runs with $Bitmap, and found them right. */
const byNtfs3g = (path: string): Verdict => {
  const fix = run('ntfsfix', ['-n', path]);
  const resize = run('ntfsresize', ['--info', '--force', '--no-progress-bar', path]);
  const counted = /^Space in use/m.test(resize.stdout);
  const sound = fix.exit === 0 && !/not match|FAILED|corrupt/i.test(fix.stdout + fix.stderr);
  const lines = [fix, resize].flatMap((result) => linesOf(everythingSaid(result), NOT_OF_NTFS));
  return {
    clean: sound && counted,
    lines: [...lines, counted ? 'clusters accounted for' : 'clusters not accounted for'],
  };
};

/** Asks the file system's own judges; none of them writes. */
export const judge = (cleanup: Cleanup, path: string, subject: Subject): Verdict => {
  const { family } = subject;
  if (family === 'none') return { clean: false, lines: [] };
  const volume = alone(cleanup, path, subject);
  if (family === 'ext') return byE2fsck(volume);
  return family === 'fat' ? byFsckFat(cleanup, volume) : byNtfs3g(volume);
};

/** What one verdict has that the other has not, for people; empty where they are the same. */
export const verdictChanges = (before: Verdict, after: Verdict): string[] => {
  const missing = (from: Verdict, to: Verdict, sign: string): string[] =>
    from.lines.filter((line) => !to.lines.includes(line)).map((line) => `${sign} ${line}`);
  const changes = [...missing(before, after, '-'), ...missing(after, before, '+')];
  if (changes.length === 0 && before.lines.length !== after.lines.length)
    return [`${before.lines.length} lines, then ${after.lines.length}`];
  return changes;
};

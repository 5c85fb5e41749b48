import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { mountFile } from '../support/loop.ts';
import { noiseSource } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../support/volume.ts';
import { type Command, holdfast, type Outcome, wordsOf } from './real-jobs.ts';

/** Small, so that hundreds of jobs on copies of it cost little; 1 KiB blocks fill their bitmap to the last bit. */
export const VOLUME_SIZE = 8 * MIB;
export const BLOCK_SIZE = 1024;
/** Named `file 0`, ... */
export const FILES = 24;

export interface Samples {
  readonly folder: string;
  /** A volume with some files, without an image. */
  readonly plain: string;
  /** The same with one image in it. */
  readonly imaged: string;
  readonly image: ImageSummary;
  /** A copy of one of them under a name of its own. */
  copy(of: 'plain' | 'imaged', name: string): string;
}

/** Makes both volumes. Every test works on copies. */
export const makeSamples = async (
  cleanup: Cleanup,
  options: Partial<VolumeOptions> = {},
): Promise<Samples> => {
  const folder = temporaryFolder(cleanup);
  const plain = makeVolume(join(folder, 'plain'), {
    size: VOLUME_SIZE,
    blockSize: BLOCK_SIZE,
    more: ['-N', '256'],
    ...options,
  });
  const mount = mountFile(cleanup, plain);
  const next = noiseSource('bad input');
  for (let index = 0; index < FILES; index += 1)
    writeFileSync(join(mount.path, `file ${index}`), next(index * 700));
  mount.unmount();
  const imaged = join(folder, 'imaged');
  copyFileSync(plain, imaged);
  const made = await holdfast(wordsOf('create', imaged));
  if (made.exit !== 0) throw new Error(made.stderr);
  const image = made.document['image'] as ImageSummary;
  const copy: Samples['copy'] = (of, name) => {
    const path = join(folder, name);
    copyFileSync(of === 'plain' ? plain : imaged, path);
    return path;
  };
  return { folder, plain, imaged, image, copy };
};

const bytesOf = (path: string): Buffer | undefined => (existsSync(path) ? readFileSync(path) : undefined);

export interface Expected {
  readonly exit: number;
  /** `kind/reason` of the error. */
  readonly error?: string;
  /** What its message must name. */
  readonly message?: RegExp;
}

/** Runs a command line; what `files` hold must be the same afterwards. */
export const mustNotChange = async (
  t: ExecutionContext,
  argv: readonly string[],
  files: readonly string[],
  expected: Expected,
): Promise<Outcome> => {
  const before = files.map(bytesOf);
  const outcome = await holdfast(argv);
  const said = `${argv.join(' ')}\n${outcome.stdout}${outcome.stderr}`;
  t.is(outcome.exit, expected.exit, said);
  const { error } = outcome.document;
  if (expected.error !== undefined) {
    t.is(`${error?.kind}/${error?.reason}`, expected.error, said);
    t.is(error?.code, expected.exit, said);
    t.regex(outcome.stderr, /^holdfast: \S/m, 'the text too says what is wrong');
  }
  if (expected.message !== undefined) t.regex(error?.message ?? outcome.stderr, expected.message, said);
  for (const [index, file] of files.entries()) {
    const [old, now] = [before[index], bytesOf(file)];
    t.true(
      old === undefined ? now === undefined : now?.equals(old) === true,
      `${file} was changed by\n${said}`,
    );
  }
  return outcome;
};

/** The same for a command with its usual options and `--json` on one target. */
export const refusedOn = (
  t: ExecutionContext,
  command: Command,
  target: string,
  expected: Expected,
  ...more: string[]
): Promise<Outcome> => mustNotChange(t, wordsOf(command, target, ...more), [target], expected);

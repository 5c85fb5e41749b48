import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageResult, ListResult } from '../../rescue/job/results.ts';
import type { Extent } from '../../rescue/units.ts';
import { type Cleanup, withCleanup } from '../support/cleanup.ts';
import { duplicate } from '../support/duplicate.ts';
import { attachLoop } from '../support/loop.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import { type Measurement, measure } from './measure.ts';
import { forget, mustBeTheSame, type Subject } from './subject.ts';

/** One image made and brought back, both checked. */
export interface Round {
  readonly create: Measurement;
  readonly restore: Measurement;
  /** Bytes of the image. */
  readonly stored: number;
  /** The highest resident size that our program reports of itself (getrusage), bytes. */
  readonly ownPeak?: { readonly create: number; readonly restore: number };
}

export const SIDES = ['holdfast', 'peer'] as const;
export type Side = (typeof SIDES)[number];

const MAIN = join(import.meta.dirname, '..', '..', 'rescue', 'main.ts');

/** Runs `body` on a loop device of a file that the page cache has forgotten. */
const onDevice = <T>(file: string, body: (device: string, cleanup: Cleanup) => Promise<T> | T): Promise<T> =>
  withCleanup(async (cleanup) => {
    forget(file);
    return await body(attachLoop(cleanup, file).device, cleanup);
  });

const parse = <T>(text: string): T => JSON.parse(text) as T;

/** The words that start our program, for each job: Node's options may differ. */
export interface Program {
  readonly create: readonly string[];
  readonly restore: readonly string[];
}

/** From the source, or the executable at this path. */
export const programAt = (path: string | undefined): Program => {
  const words = path === undefined ? [process.execPath, MAIN] : [path];
  return { create: words, restore: words };
};

/** From the source, with a profile of every thread in a folder for each job. */
export const profiledProgram = (folders: { readonly create: string; readonly restore: string }): Program => {
  const words = (folder: string) => [process.execPath, '--cpu-prof', `--cpu-prof-dir=${folder}`, MAIN];
  return { create: words(folders.create), restore: words(folders.restore) };
};

/**
 * `holdfast create`, noise over all but the image, `holdfast restore`. Both read back what they wrote, and restore
 * first checks the whole image: that is within the times.
 */
export const holdfastRound = async (subject: Subject, program: Program): Promise<Round> => {
  const volume = duplicate(subject.pristine, join(subject.folder, 'holdfast'));
  // The last word: everything is on the disk under the loop device.
  const script = 'file=$1; shift; "$@"; sync "$file"';
  const job = (cleanup: Cleanup, ...words: string[]) => measure(cleanup, script, [volume, ...words]);
  const create = await onDevice(volume, (device, cleanup) =>
    job(cleanup, ...program.create, 'create', device, '--json', '--progress', 'none'),
  );
  const made = parse<ImageResult>(create.stdout);
  await onDevice(volume, (device) => {
    subject.kind.judge(device);
    overwriteWithNoise(device, extentsOf(made.image));
  });
  const restore = await onDevice(volume, (device, cleanup) =>
    job(cleanup, ...program.restore, 'restore', device, '--yes', '--json', '--progress', 'none'),
  );
  await onDevice(volume, (device, cleanup) => mustBeTheSame(cleanup, subject, device));
  rmSync(volume);
  return {
    create,
    restore,
    stored: extentsOf(made.image).reduce((sum, { length }) => sum + length, 0),
    ownPeak: {
      create: made.stats.peakRss,
      restore: parse<ImageResult>(restore.stdout).stats.peakRss,
    },
  };
};

const extentsOf = ({ extents }: ListResult['images'][number]): Extent[] =>
  extents.map(([start, length]) => ({ start, length }));

/** The peer's program with zstd to a file, and back onto a device full of noise. */
export const peerRound = async (subject: Subject): Promise<Round> => {
  const { peer } = subject.kind;
  const image = join(subject.folder, 'peer.zst');
  const log = join(subject.folder, 'peer.log');
  const volume = duplicate(subject.pristine, join(subject.folder, 'peer'));
  const create = await onDevice(volume, (device, cleanup) =>
    measure(cleanup, `${peer.create}; sync "$3"`, [log, device, image]),
  );
  await onDevice(volume, (device) => void overwriteWithNoise(device, []));
  forget(image);
  const restore = await onDevice(volume, (device, cleanup) =>
    measure(cleanup, `${peer.restore}; sync "$2"; sync "$4"`, [log, device, image, volume]),
  );
  await onDevice(volume, (device, cleanup) => mustBeTheSame(cleanup, subject, device));
  const stored = statSync(image).size;
  mustRun('rm', ['-f', volume, image]);
  return { create, restore, stored };
};

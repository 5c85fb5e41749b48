import { type Cleanup, withCleanup } from '../support/cleanup.ts';
import { attachLoop } from '../support/loop.ts';
import { bringTo, type Cache } from './cache.ts';
import { type Measurement, type MeasureOptions, measure } from './measure.ts';
import type { Program } from './program.ts';

/**
 * Runs `body` with a loop device of a file; `cache`: how much of the file the page cache holds at first. Cold, the device passes everything
 * on to the disk, so that it costs what a disk costs, and not a second copy of every byte.
 */
export const onDevice = <T>(
  file: string,
  cache: Cache,
  body: (device: string, cleanup: Cleanup) => Promise<T> | T,
): Promise<T> =>
  withCleanup(async (cleanup) => {
    bringTo(cache, file);
    return await body(attachLoop(cleanup, file, { direct: cache === 'cold' }).device, cleanup);
  });

/** A script that needs no volume, or brings its own. */
export const alone = (
  script: string,
  args: readonly string[],
  options: MeasureOptions = {},
): Promise<Measurement> => withCleanup((cleanup) => measure(cleanup, script, args, options));

const QUIET = ['--json', '--progress', 'none'];

/** Jobs after which all of the file must be on the disk within their time. The others write nothing. */
const WRITES = new Set(['create', 'restore']);

/** One job of our program on the volume or disk in this file. */
export const holdfastOn = (
  program: Program,
  file: string,
  cache: Cache,
  [job = '', ...words]: readonly string[],
): Promise<Measurement> =>
  onDevice(file, cache, (device, cleanup) => {
    const args = [...program.words(job), job, device, ...words, ...QUIET];
    const script = WRITES.has(job) ? 'file=$1; shift; "$@"; sync "$file"' : 'shift; "$@"';
    return measure(cleanup, script, [file, ...args], { device, onlyDevice: true });
  });

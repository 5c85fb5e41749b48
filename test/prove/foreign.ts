import { copyFileSync, mkdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { requireMachine } from '../demo/machine.ts';
import { withCleanup } from '../support/cleanup.ts';
import { mustRun } from '../support/run.ts';
import { makeSpecimens, SPECIMENS } from './foreign/collection.ts';
import { foreign, rowsOf } from './foreign/part.ts';
import { imagesBelow } from './foreign/subject.ts';
import { imageTable, linesOf } from './foreign/table.ts';
import { prove } from './runner.ts';

/**
 * Tries Holdfast on a folder of disk images, and prints a table.
 *
 *   node test/prove/foreign.ts DIR [--jobs N] [--only TEXT]
 *   node test/prove/foreign.ts --make DIR [--seed N]
 *
 * For a technician with a collection of disks that came in for repair: `dd`, `ddrescue` or any other program that copies a disk or a
 * partition as it is makes such images. DIR may have folders inside; any suffix will do, and packed files (.gz, .xz, .zst) are unpacked. Of a whole disk
 * every partition with ext2/3/4, FAT or NTFS is tried by itself. **Nothing is written into DIR**: all work is done on copies in the temporary folder (TMPDIR),
 * which needs room for four times the used part of the largest image for each process (--jobs, default one for each core). It takes root, for the machine's packages
 * only: nothing is mounted.
 *
 * What is done to each volume, and what has to hold:
 *
 * 1. The file system's own judge says what it thinks: `e2fsck -fn`, `fsck.fat -n`, `ntfsfix -n` and `ntfsresize --info`.
 * 2. `create`. If it refuses, it must say why and what to do, and not one byte of the image may have changed. That is the end of this one.
 * 3. Else: the judge says the same as before, word by word but for totals; the container lies where nothing was (by `dumpe2fs`, the tests' own reader of
 *    FATs, `ntfscat`); and nothing else of the volume or the disk changed but what the listing of the container takes.
 * 4. Noise over the whole volume but for the image. `restore`. Every byte that was in use is what it was, but for the listing; the judge says the same as at first.
 * 5. `verify` finds nothing. `remove`. All bytes in use are as they came, but where the listing was; the judge says the same once more.
 *
 * The table has one line per volume: what the judge thought of it, what `create` said, and what came of it. `left alone` is a volume that has images of
 * Holdfast already: they are not put at risk. Exit code 1 if anything did not hold, with a line for each, 2 if the program could not run. A line
 * "FAILED" is worth a report: it names the image, the byte and the step. The refusals are worth reading, too: they say what to repair.
 *
 * `--make DIR` fills a folder with the images that `npm run prove -- foreign` makes for itself (some of them packed), to look at, or to try this on.
 */

const main = async (): Promise<void> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      make: { type: 'string' },
      seed: { type: 'string', default: '1' },
      jobs: { type: 'string' },
      only: { type: 'string' },
    },
  });
  requireMachine();
  if (values.make !== undefined) {
    await makeCollection(values.make, wholeNumber('seed', values.seed));
    return;
  }
  const [folder, ...more] = positionals;
  if (folder === undefined || more.length > 0) throw new Error('name one folder of disk images');
  const files = imagesBelow(folder);
  const proof = await prove(
    {
      ...foreign,
      pieces: () => files.map((file) => ({ name: relative(folder, file), work: { file } })),
      report: (outcomes) => ({ figures: [], tables: [imageTable(rowsOf(outcomes))] }),
    },
    {
      depth: 'full',
      seed: 1,
      jobs: values.jobs === undefined ? undefined : wholeNumber('jobs', values.jobs),
      only: values.only,
      onOutcome: ({ piece, seconds }, done, of) =>
        process.stderr.write(`${done}/${of}: ${piece.name}, ${seconds.toFixed(1)} s\n`),
    },
  );
  for (const table of proof.report.tables) process.stdout.write(`${linesOf(table).join('\n')}\n`);
  for (const failure of proof.failures) process.stdout.write(`FAILED ${failure}\n`);
  if (proof.failures.length > 0) process.exitCode = 1;
};

const wholeNumber = (name: string, text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} ${text}: give 1, 2, 3, ...`);
  return value;
};

const PACKERS = [
  ['gzip', '-1', '-q'],
  ['xz', '-0', '-q'],
  ['zstd', '-1', '-q', '--rm'],
] as const;

/** Every fourth one stays as it is, the others are packed in turn. */
const makeCollection = (folder: string, seed: number): Promise<void> =>
  withCleanup((cleanup) => {
    mkdirSync(folder, { recursive: true });
    const names = SPECIMENS.map(({ name }) => name);
    let count = 0;
    for (const { specimen, path } of makeSpecimens(cleanup, names, seed)) {
      const to = join(folder, `${specimen.name.replace(/[^\p{L}\p{N}$`.,-]+/gu, ' ')}.img`);
      copyFileSync(path, to);
      const packer = PACKERS[count % (PACKERS.length + 1)];
      if (packer !== undefined) mustRun(packer[0], [...packer.slice(1), to]);
      count += 1;
    }
    process.stderr.write(`${count} disk images\n`);
  });

await main().catch((error: unknown) => {
  process.stderr.write(
    `The disks could not be tried: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exitCode = 2;
});

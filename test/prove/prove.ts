import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { requireMachine } from '../demo/machine.ts';
import { run } from '../support/run.ts';
import { sectionLines, withSection } from './document.ts';
import { PARTS, partNamed } from './parts.ts';
import { prove } from './runner.ts';

/**
 * `npm run prove`: the figures of test/RELIABILITY.md.
 *
 *   node test/prove/prove.ts [--sample] [--seed N] [--jobs N] [--only TEXT] [--write] [PART]...
 *
 * All parts, unless some are named. --sample: as little as `npm test` does. --seed: other places and other bytes. --jobs: processes at once (one for each
 * core). --only: pieces whose name has this in it. --write: put the figures into the document. Progress is on standard error. Exit code 1 if anything does not hold.
 */
const DOCUMENT = join(import.meta.dirname, '..', 'RELIABILITY.md');

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const wholeNumber = (name: string, text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} ${text}: give 1, 2, 3, ...`);
  return value;
};

const main = async (): Promise<void> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      sample: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      jobs: { type: 'string' },
      only: { type: 'string' },
      write: { type: 'boolean', default: false },
    },
  });
  const parts = positionals.length === 0 ? PARTS : positionals.map(partNamed);
  if (values.write && (values.sample || values.only !== undefined))
    throw new Error('--write takes whole proofs only: leave out --sample and --only');
  requireMachine();
  const commit = run('git', ['-C', import.meta.dirname, 'rev-parse', '--short', 'HEAD']).stdout.trim();
  const on = `${new Date().toISOString().slice(0, 10)}${commit === '' ? '' : `, commit ${commit}`}`;
  for (const part of parts) {
    const proof = await prove(part, {
      depth: values.sample ? 'sample' : 'full',
      seed: wholeNumber('seed', values.seed),
      jobs: values.jobs === undefined ? undefined : wholeNumber('jobs', values.jobs),
      only: values.only,
      onOutcome: ({ piece, result, seconds }, done, of) => {
        const faults = result.faults.length === 0 ? '' : `, ${result.faults.length} FAULTS`;
        say(`${part.name} ${done}/${of}: ${piece.name}, ${seconds.toFixed(1)} s${faults}`);
        // At once: the end may be hours away.
        for (const fault of result.faults) say(`FAULT ${part.name}: ${piece.name}: ${fault}`);
      },
    });
    const lines = sectionLines(proof, on);
    process.stdout.write(`${[`## ${part.name}`, '', ...lines, ''].join('\n')}\n`);
    for (const failure of proof.failures) process.stdout.write(`FAILED ${part.name}: ${failure}\n`);
    if (proof.failures.length > 0) process.exitCode = 1;
    if (values.write) writeFileSync(DOCUMENT, withSection(readFileSync(DOCUMENT, 'utf8'), part.name, lines));
  }
};

await main().catch((error: unknown) => {
  say(`The proof could not be run: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
});

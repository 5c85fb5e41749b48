import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plain } from '../part.ts';

/**
 * Inputs that once broke something, or that somebody thought of: `test/fixtures/hostile/*.txt`. The first lines, which begin with
 * `#`, say what it is; then the target, and the input as its parser writes it down, as JSON. What is generated at run time
 * (the seed) is named, only the changed bytes are there.
 */
const FOLDER = join(import.meta.dirname, '..', '..', 'fixtures', 'hostile');

export interface Fixture {
  readonly name: string;
  readonly remark: string;
  readonly target: string;
  readonly input: Plain;
}

/** As it goes into a file, but for the remark. */
export const fixtureLines = (target: string, input: Plain): string[] => [target, JSON.stringify(input)];

export const parseFixture = (name: string, text: string): Fixture => {
  const lines = text.split('\n').filter((line) => line !== '');
  const remark = lines.filter((line) => line.startsWith('#'));
  const [target, input, ...more] = lines.slice(remark.length);
  if (remark.length === 0 || target === undefined || input === undefined || more.length > 0)
    throw new Error(`${name}: a remark, a target and an input are wanted`);
  return { name, remark: remark.join('\n'), target, input: JSON.parse(input) as Plain };
};

export const fixtures = (): Fixture[] =>
  readdirSync(FOLDER)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .map((name) => parseFixture(name, readFileSync(join(FOLDER, name), 'utf8')));

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { complement, normalise, subtract } from '../../../rescue/bytes/runs.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import type { RestoreResult } from '../../../rescue/job/results.ts';
import { type Extent, KIB, MIB } from '../../../rescue/units.ts';
import { extentsOf } from '../../job/cycle.ts';
import { listImages, makeImageAt, NOW, restoreImage, verifyImage } from '../../job/requests.ts';
import { overwriteWithNoise } from '../../support/noise.ts';
import { run } from '../../support/run.ts';
import { dice, type Ledger, planChanges } from './changes.ts';
import type { EnduranceVolume, Files } from './volumes.ts';

const MAIN = join(import.meta.dirname, '..', '..', '..', 'rescue', 'main.ts');
const DAY = 86_400;

/** Files take at most this share: an old image and a new one of them have to fit beside. */
const BUDGET = 0.2;

export const WRECKS = ['everything', 'ranges', 'beginning', 'both ends', 'one place'] as const;
export type Wreck = (typeof WRECKS)[number];

/** What the noise is written over; the image is always left out. */
const wreckedRanges = (wreck: Wreck, size: number, roll: () => number): Extent[] => {
  const start: Extent = { start: 0, length: 64 * KIB };
  const somewhere = (most: number): Extent => {
    const length = 512 + Math.floor(roll() * most);
    return { start: Math.floor(roll() * (size - length)), length };
  };
  if (wreck === 'everything') return [{ start: 0, length: size }];
  if (wreck === 'beginning') return [{ start: 0, length: 2 * MIB }];
  if (wreck === 'both ends') return [start, { start: size - 64 * KIB, length: 64 * KIB }];
  if (wreck === 'one place') return [somewhere(4 * MIB)];
  return Array.from({ length: 1 + Math.floor(roll() * 40) }, () => somewhere(256 * KIB));
};

const damage = (path: string, ranges: readonly Extent[], image: readonly Extent[], seed: string): void => {
  const whole = { start: 0, length: statSync(path).size };
  const hit = [...subtract(normalise(ranges), normalise(image))];
  overwriteWithNoise(path, [...complement(hit, whole)], seed);
};

const difference = (was: Files, is: Files): string[] =>
  [...new Set([...was.keys(), ...is.keys()])]
    .filter((path) => was.get(path) !== is.get(path))
    .map((path) => `${path}: was ${was.get(path) ?? 'absent'}, is ${is.get(path) ?? 'absent'}`)
    .slice(0, 5);

/** One volume on its way through the days. */
export class Endurance {
  readonly #volume: EnduranceVolume;
  readonly #path: string;
  readonly #seed: string;
  readonly #ledger: Ledger = new Map();
  readonly counts: Record<string, number> = {};

  constructor(volume: EnduranceVolume, path: string, seed: string) {
    this.#volume = volume;
    this.#path = path;
    this.#seed = seed;
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** Starts the program, and kills it some time later, if it has not ended by then. */
  #killed(milliseconds: number, words: readonly string[]): void {
    const before = statSync(this.#path).mtimeMs;
    const args = [MAIN, ...words, '--yes', '--json', '--progress', 'none'];
    const { signal } = run(process.execPath, args, { timeout: Math.ceil(milliseconds) });
    if (signal === null) return;
    this.#count('killed');
    if (statSync(this.#path).mtimeMs !== before) this.#count('killed while writing');
  }

  /**
   * As `restore` does it unasked. A file system that is damaged, but not where it is recognised, may seem never to have listed the image: then
   * the program says that a person has to name it. Throws if it wants anything else.
   */
  async #restore(id: string): Promise<RestoreResult> {
    try {
      return await restoreImage(this.#path);
    } catch (error) {
      if (!isHoldfastError(error, 'not-found') || error.detail.wayOut?.includes(id.slice(0, 8)) !== true)
        throw error;
      this.#count('named by hand');
      return await restoreImage(this.#path, { image: id });
    }
  }

  /** Returns what is wrong after this cycle. */
  async cycle(index: number): Promise<string[]> {
    const volume = this.#volume;
    const path = this.#path;
    const seed = `${this.#seed}, cycle ${index}`;
    const roll = dice(`${seed} wreck`);
    await volume.change(path, planChanges(this.#ledger, volume.size * BUDGET, seed));
    const files = await volume.files(path);
    if (roll() < 0.2) this.#killed(400 + roll() * 1600, ['create', path, '--min-free', '64K']);
    const { image } = await makeImageAt(NOW + index * DAY, path, { minFree: 64 * KIB });
    const faults = volume.faults(path).map((each) => `after create: ${each}`);
    faults.push(...difference(files, await volume.files(path)).map((each) => `after create: ${each}`));
    const clusters = JSON.stringify(volume.clusters(path));

    const wreck = WRECKS[Math.floor(roll() * WRECKS.length)]!;
    damage(path, wreckedRanges(wreck, statSync(path).size, roll), extentsOf(image.extents), seed);
    this.#count(wreck);
    if (roll() < 0.2) this.#killed(400 + roll() * 1600, ['restore', path]);
    const restored = await this.#restore(image.id);
    const say = (text: string): number => faults.push(`after ${wreck} was wrecked and restored: ${text}`);
    if (restored.image.id !== image.id) say(`image ${restored.image.id} was restored, not ${image.id}`);
    for (const each of volume.faults(path)) say(each);
    for (const each of difference(files, await volume.files(path))) {
      this.#count('files that differ');
      say(each);
    }
    const now = JSON.stringify(volume.clusters(path));
    if (now !== clusters) {
      this.#count('cycles that leaked');
      say(`clusters in use were ${clusters}, are ${now}`);
    }
    const { images } = await listImages(path);
    if (images.length !== 1 || images[0]!.id !== image.id || images[0]!.state !== 'committed')
      say(`images are ${JSON.stringify(images)}`);
    const { problems } = await verifyImage(path);
    if (problems.length > 0) say(`verify: ${JSON.stringify(problems)}`);
    this.#count('cycles');
    return faults.map((each) => `cycle ${index}: ${each}`);
  }
}

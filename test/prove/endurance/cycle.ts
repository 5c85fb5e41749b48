import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { complement, normalise, subtract } from '../../../rescue/bytes/runs.ts';
import { type Extent, KIB, MIB } from '../../../rescue/units.ts';
import { extentsOf } from '../../job/cycle.ts';
import { listImages, makeImageAt, NOW, restoreImage, verifyImage } from '../../job/requests.ts';
import { overwriteWithNoise } from '../../support/noise.ts';
import { dice, type Ledger, planChanges } from './changes.ts';
import type { EnduranceVolume, Files } from './volumes.ts';

const MAIN = join(import.meta.dirname, '..', '..', '..', 'rescue', 'main.ts');
const DAY = 86_400;

/** Files take at most this share: an old image and a new one of them have to fit beside. */
const BUDGET = 0.2;

/** Share of the creates and of the restores that are killed first, and of the killed creates after which the owner goes on. */
const KILLED = 0.25;
const OWNER_GOES_ON = 0.5;
/** Milliseconds from the first write until it is killed. */
const LONGEST_WAIT = 400;

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

  /** Starts the program and kills it some time after its first write, if it has not ended by then. Says whether it did. */
  async #killed(milliseconds: number, words: readonly string[]): Promise<boolean> {
    const written = (): number => statSync(this.#path).mtimeMs;
    const before = written();
    const child = spawn(process.execPath, [MAIN, ...words, '--yes', '--json', '--progress', 'none'], {
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    const watch = setInterval(() => {
      if (written() === before) return;
      clearInterval(watch);
      setTimeout(() => child.kill('SIGKILL'), milliseconds);
    }, 2);
    const [, signal] = await ended;
    clearInterval(watch);
    if (signal !== 'SIGKILL') return false;
    this.#count('killed');
    return true;
  }

  /** The owner finds the volume as a killed `create` left it, and goes on with other changes. */
  async #ownerGoesOn(files: Files, seed: string): Promise<string[]> {
    const volume = this.#volume;
    const faults = volume.comeUp(this.#path);
    if (faults === undefined) return [];
    this.#count('owner went on');
    faults.push(...difference(files, await volume.files(this.#path)));
    await volume.change(
      this.#path,
      planChanges(this.#ledger, volume.size * BUDGET, `${seed}, after it was killed`),
    );
    return faults.map((each) => `after a create was killed, and the file system's own check: ${each}`);
  }

  /** Returns what is wrong after this cycle. */
  async cycle(index: number): Promise<string[]> {
    const volume = this.#volume;
    const path = this.#path;
    const seed = `${this.#seed}, cycle ${index}`;
    const roll = dice(`${seed} wreck`);
    await volume.change(path, planChanges(this.#ledger, volume.size * BUDGET, seed));
    let files = await volume.files(path);
    const faults: string[] = [];
    if (roll() < KILLED) {
      const isKilled = await this.#killed(roll() * LONGEST_WAIT, ['create', path, '--min-free', '64K']);
      if (isKilled && roll() < OWNER_GOES_ON) {
        faults.push(...(await this.#ownerGoesOn(files, seed)));
        files = await volume.files(path);
      }
    }
    const { image } = await makeImageAt(NOW + index * DAY, path, { minFree: 64 * KIB });
    faults.push(...volume.faults(path).map((each) => `after create: ${each}`));
    faults.push(...difference(files, await volume.files(path)).map((each) => `after create: ${each}`));
    const clusters = JSON.stringify(volume.clusters(path));

    const wreck = WRECKS[Math.floor(roll() * WRECKS.length)]!;
    damage(path, wreckedRanges(wreck, statSync(path).size, roll), extentsOf(image.extents), seed);
    this.#count(wreck);
    if (roll() < KILLED) await this.#killed(roll() * LONGEST_WAIT, ['restore', path]);
    const restored = await restoreImage(path);
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

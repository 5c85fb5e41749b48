import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageResult, ListResult } from '../../../rescue/job/results.ts';
import { forget } from '../../bench/cache.ts';
import { measure } from '../../bench/measure.ts';
import { type Cleanup, withCleanup } from '../../support/cleanup.ts';
import { attachLoop } from '../../support/loop.ts';
import { compareByPrograms } from './compare.ts';
import { HOUR, PROGRAMS, type ScaleKind } from './kinds.ts';

export const SIDES = ['small', 'large'] as const;
export type Side = (typeof SIDES)[number];

/** What is measured, in this order. */
export const COMMANDS = ['create', 'list', 'verify', 'restore'] as const;
export type Command = (typeof COMMANDS)[number];

/** What one run took. */
export interface Taken {
  readonly seconds: number;
  /** CPU seconds of all threads. */
  readonly cpu: number;
  /** Highest resident size by the kernel's count, bytes. */
  readonly peak: number;
}

export interface SideResult {
  /** Bytes in use, by allocation. */
  used: number;
  /** Bytes of the image. */
  stored: number;
  /** Files compared after the last restore. */
  compared: number;
  readonly taken: Record<Command, Taken[]>;
}

/** One volume with the same files as the other side's, and what was seen of it. */
export class ScaleSide {
  readonly result: SideResult = {
    used: 0,
    stored: 0,
    compared: 0,
    taken: { create: [], list: [], verify: [], restore: [] },
  };
  readonly faults: string[] = [];
  readonly #kind: ScaleKind;
  readonly #side: Side;
  readonly #program: string;
  readonly #volume: string;
  readonly #restored: string;

  constructor(kind: ScaleKind, side: Side, folder: string, program: string) {
    this.#kind = kind;
    this.#side = side;
    this.#program = program;
    this.#volume = join(folder, side);
    this.#restored = join(folder, `${side}.restored`);
  }

  async make(cleanup: Cleanup): Promise<void> {
    this.#kind.make(this.#volume, this.#kind[this.#side]);
    await this.#kind.fill(cleanup, this.#volume);
    this.#judge('after it was filled', this.#volume);
  }

  /** Runs the program on a loop device of the volume, nothing of which is in memory. Returns its document. */
  async #take<T>(command: Command, ...words: string[]): Promise<T> {
    return await withCleanup(async (cleanup) => {
      forget(this.#volume);
      const { device } = attachLoop(cleanup, this.#volume);
      const all = [this.#program, command, device, ...words, '--json', '--progress', 'none'];
      const { seconds, cpu, peak, stdout } = await measure(cleanup, '"$@"', all);
      this.result.taken[command].push({ seconds, cpu, peak });
      return JSON.parse(stdout) as T;
    });
  }

  /** create, list, verify. Each round's image replaces the one before. */
  async imageRound(): Promise<void> {
    const { image } = await this.#take<ImageResult>('create', '--yes');
    this.result.used = image.usedBytes;
    this.result.stored = image.storedBytes;
    this.#mustBeListed('list', await this.#take<ListResult>('list'), image.id);
    const { problems } = await this.#take<{ problems: unknown[] }>('verify');
    if (problems.length > 0) this.#fault(`verify: ${JSON.stringify(problems)}`);
  }

  /** restore into a file that is made for it. */
  async restoreRound(): Promise<void> {
    rmSync(this.#restored, { force: true });
    await this.#take('restore', '--to', this.#restored, '--yes');
  }

  /** Whether the source stands, and what was restored is the same. */
  async check(): Promise<void> {
    this.#judge('with an image in it', this.#volume);
    this.#judge('restored', this.#restored);
    const kind = this.#kind;
    const undos: (() => void)[] = [];
    const cleanup = { teardown: (undo: () => void) => undos.push(undo) };
    try {
      const [was, is] = [kind.show(cleanup, this.#volume), kind.show(cleanup, this.#restored)];
      const { files, differences } = await compareByPrograms(
        was.path,
        is.path,
        { ignore: ['.holdfast'], inodes: was.mounted },
        { programs: PROGRAMS, timeout: HOUR },
      );
      this.result.compared = files;
      for (const line of differences) this.#fault(`restored: ${line}`);
      was.hide();
      is.hide();
    } finally {
      for (const undo of undos.reverse()) undo();
      rmSync(this.#restored, { force: true });
    }
  }

  /** Gives back the room that it takes. */
  remove(): void {
    for (const path of [this.#volume, this.#restored]) if (existsSync(path)) rmSync(path);
  }

  #mustBeListed(command: Command, { images }: ListResult, id: string): void {
    const committed = images.filter(({ state }) => state === 'committed');
    if (committed.length !== 1 || committed[0]!.id !== id)
      this.#fault(`${command}: ${JSON.stringify(images)}`);
  }

  #judge(when: string, path: string): void {
    for (const fault of this.#kind.faults(path)) this.#fault(`${when}: ${fault}`);
  }

  #fault(text: string): void {
    this.faults.push(`${this.#side} volume, ${text}`);
  }
}

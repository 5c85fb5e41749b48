import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { subtract, totalLength } from '../../rescue/bytes/runs.ts';
import type { ImageResult, ImageSummary } from '../../rescue/job/results.ts';
import type { Extent } from '../../rescue/units.ts';
import { duplicate } from '../support/duplicate.ts';
import { overwriteOnly } from '../support/noise.ts';
import { mustRun } from '../support/run.ts';
import type { Cache } from './cache.ts';
import { holdfastOn, onDevice } from './jobs.ts';
import { type Measurement, measure } from './measure.ts';
import { gather } from './packed.ts';
import type { Program } from './program.ts';
import { mustBeTheSame, type Subject } from './subject.ts';

/** A volume of ours with an image in it. */
export interface Imaged {
  readonly file: string;
  readonly image: ImageSummary;
}

export const extentsOf = ({ extents }: ImageSummary): Extent[] =>
  extents.map(([start, length]) => ({ start, length }));

/** Bytes that an image takes on the disk. */
export const storedIn = (image: ImageSummary): number => totalLength(extentsOf(image));

/**
 * The volumes and images on which the rows of one file system play. What a row needs of an earlier one is made, untimed, if that one was
 * not asked for.
 */
export class Stage {
  readonly subject: Subject;
  readonly program: Program;
  #imaged: Imaged | undefined;
  #hasPeerImage = false;
  #peerLength: number | undefined;
  #packed: string | undefined;
  #target: string | undefined;

  constructor(subject: Subject, program: Program) {
    this.subject = subject;
    this.program = program;
  }

  path(name: string): string {
    return join(this.subject.folder, name);
  }

  /** A fresh copy of the volume. */
  copy(name: string): string {
    return duplicate(this.subject.pristine, this.path(name));
  }

  /** One job of our program on the volume in this file, synced. */
  holdfast(file: string, cache: Cache, words: readonly string[]): Promise<Measurement> {
    return holdfastOn(this.program, file, cache, words);
  }

  /** A script of the peer: `$1` a log, `$2` the device, `$3` its image. Says what the log says where it fails. */
  peer(file: string, cache: Cache, script: string, image: string): Promise<Measurement> {
    const log = this.path('peer.log');
    return onDevice(file, cache, async (device, cleanup) => {
      try {
        return await measure(cleanup, script, [log, device, image, file], { device });
      } catch (error) {
        throw new Error(`${(error as Error).message}\n${readFileSync(log, 'utf8')}`, { cause: error });
      }
    });
  }

  /** Throws unless the volume in this file is sound and holds the same files as ever. */
  check(file: string): Promise<void> {
    // In memory before: a file system asks for its files one after the other, and none of this is timed.
    return onDevice(file, 'warm', (device, cleanup) => mustBeTheSame(cleanup, this.subject, device));
  }

  /** Throws unless the file system in this file is sound. */
  judge(file: string): Promise<void> {
    return onDevice(file, 'cold', (device, cleanup) => this.subject.kind.judge(cleanup, device));
  }

  /** Noise over everything that is in use but the image. */
  destroy(file: string, image?: ImageSummary): void {
    const { used } = this.subject;
    overwriteOnly(file, image === undefined ? used : subtract(used, extentsOf(image)));
  }

  /** The volume with an image of zstd level 1 and everything as it was: takes the place of an earlier one. */
  keep(imaged: Imaged): void {
    if (this.#imaged !== undefined && this.#imaged.file !== imaged.file) rmSync(this.#imaged.file);
    this.#imaged = imaged;
  }

  async imaged(): Promise<Imaged> {
    if (this.#imaged === undefined) {
      const file = this.copy('imaged');
      const { stdout } = await this.holdfast(file, 'warm', ['create']);
      this.#imaged = { file, image: (JSON.parse(stdout) as ImageResult).image };
    }
    return this.#imaged;
  }

  get peerImagePath(): string {
    return this.path('peer.zst');
  }

  keepPeerImage(): void {
    this.#hasPeerImage = true;
  }

  async peerImage(): Promise<string> {
    if (!this.#hasPeerImage)
      await this.peer(this.subject.pristine, 'warm', this.subject.kind.peer.create, this.peerImagePath);
    this.#hasPeerImage = true;
    return this.peerImagePath;
  }

  /** Bytes that the peer's compressed image unpacks to. It is the same for each that it makes of this volume, and counted once. */
  async peerLength(): Promise<number> {
    const image = await this.peerImage();
    this.#peerLength ??= Number(mustRun('sh', ['-c', 'zstd -dcq "$1" | wc -c', 'sh', image]).stdout);
    return this.#peerLength;
  }

  /** A volume for others to restore to, with room on the disk for everything that is in use. */
  target(): string {
    this.#target ??= this.copy('target');
    return this.#target;
  }

  /** All bytes in use, one behind the other, in one file. */
  packed(): string {
    if (this.#packed === undefined) {
      this.#packed = this.path('packed');
      gather(this.subject.pristine, this.subject.used, this.#packed);
    }
    return this.#packed;
  }

  /** Takes away files of a run that is over. */
  remove(...files: string[]): void {
    mustRun('rm', ['-f', ...files]);
  }

  sizeOf(file: string): number {
    return statSync(file).size;
  }
}

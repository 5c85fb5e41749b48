import { rmSync, statSync } from 'node:fs';
import { complement, intersect, normalise, totalLength } from '../../../rescue/bytes/runs.ts';
import { type Failure, failureOf } from '../../../rescue/cli/exit.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import type { ImageSummary } from '../../../rescue/job/results.ts';
import type { Extent } from '../../../rescue/units.ts';
import { extentsOf } from '../../job/cycle.ts';
import { makeImage, NOW, removeImage, restoreImage, verifyImage } from '../../job/requests.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { partitionsOf } from '../../support/disk.ts';
import { duplicate } from '../../support/duplicate.ts';
import { partitionTableSound } from '../../support/judges.ts';
import { digestOf, firstDifference, overwriteWithNoise, sameBytes } from '../../support/noise.ts';
import { judge, type Verdict, verdictChanges } from './judge.ts';
import {
  claimAsCreate,
  claimAsRestore,
  contentOfFiles,
  leftOut,
  listingOf,
  listsContainers,
  locatorRecordPlace,
  releaseAsRemove,
  without,
} from './stated.ts';
import { alone, type Subject } from './subject.ts';
import { usedExtents } from './used.ts';

/** One row of the table. */
export interface Examined {
  readonly name: string;
  readonly fileSystem: string;
  readonly before: 'clean' | 'not clean' | 'no judge';
  readonly outcome: 'restored' | 'refused' | 'left alone';
  /** What `create` said: the code of its refusal, or the size of the image. */
  readonly said: string;
  /** Of the volume after create, restore and remove, against the one before; a dash where nothing was made. */
  readonly after: 'the same' | 'CHANGED' | '-';
  /** Bytes in use that were compared after the restore. */
  readonly compared: number;
  readonly faults: readonly string[];
}

/** The jobs that are proved; a test puts a faulty one in a place. */
export const JOBS = { create: makeImage, restore: restoreImage, remove: removeImage } as const;
export type Jobs = typeof JOBS;

/** Examines one volume in a file of its own, which is destroyed on the way. */
export const examine = async (
  cleanup: Cleanup,
  file: string,
  subject: Subject,
  jobs: Jobs = JOBS,
): Promise<Examined> => {
  const pristine = duplicate(file, `${file}.pristine`);
  const verdict = judge(cleanup, pristine, subject);
  const row = {
    name: subject.name,
    fileSystem: subject.fileSystem,
    before: subject.family === 'none' ? 'no judge' : verdict.clean ? 'clean' : 'not clean',
    compared: 0,
    after: '-',
  } as const;
  try {
    if (listsContainers(pristine, subject))
      return { ...row, outcome: 'left alone', said: 'holds images already', faults: [] };
    const made = await createOrRefuse(file, pristine, subject, jobs);
    if ('refusal' in made)
      return { ...row, outcome: 'refused', said: made.refusal.reason, faults: made.faults };
    const cycle = new Cycle(cleanup, { file, pristine, subject, jobs, verdict, image: made.image });
    await cycle.run().catch((error: unknown) => {
      cycle.faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    });
    return {
      ...row,
      outcome: 'restored',
      said: `image of ${Math.ceil(made.image.storedBytes / 1024)} KiB`,
      after: cycle.verdictChanged ? 'CHANGED' : 'the same',
      compared: cycle.compared,
      faults: cycle.faults,
    };
  } finally {
    rmSync(pristine, { force: true });
  }
};

type Made =
  | { readonly image: ImageSummary }
  | { readonly refusal: Failure; readonly faults: readonly string[] };

const whichOf = ({ partition }: Subject): { readonly partition?: number } =>
  partition === undefined ? {} : { partition };

const createOrRefuse = async (
  file: string,
  pristine: string,
  subject: Subject,
  jobs: Jobs,
): Promise<Made> => {
  try {
    return { image: (await jobs.create(file, whichOf(subject))).image };
  } catch (error) {
    const refusal = failureOf(error);
    const faults: string[] = [];
    const said = `${refusal.exit} (${refusal.kind}, ${refusal.reason}): ${refusal.message}`;
    if (refusal.exit !== 'refused' && refusal.exit !== 'usage')
      faults.push(`create neither worked nor refused: ${said}`);
    if (isHoldfastError(error, 'refused') && error.detail.wayOut === undefined)
      faults.push(`create named no way out: ${said}`);
    if (!sameBytes(file, pristine)) faults.push(`create refused after it had written: ${said}`);
    return { refusal, faults };
  }
};

interface Begun {
  readonly file: string;
  readonly pristine: string;
  readonly subject: Subject;
  readonly jobs: Jobs;
  readonly verdict: Verdict;
  readonly image: ImageSummary;
}

/** What has to hold once there is an image. Positions are bytes of the volume unless they are said to be of the file. */
class Cycle {
  readonly faults: string[] = [];
  verdictChanged = false;
  compared = 0;
  readonly #cleanup: Cleanup;
  readonly #begun: Begun;
  readonly #container: readonly Extent[];

  constructor(cleanup: Cleanup, begun: Begun) {
    this.#cleanup = cleanup;
    this.#begun = begun;
    const { start } = begun.subject;
    this.#container = normalise(
      extentsOf(begun.image.extents).map((each) => ({ start: each.start - start, length: each.length })),
    );
  }

  async run(): Promise<void> {
    const { file, pristine, subject, jobs, image } = this.#begun;
    if (subject.family === 'none') {
      this.faults.push('create made an image of something that nobody else knows');
      return;
    }
    const used = usedExtents(subject.family, alone(this.#cleanup, pristine, subject), subject.size);
    const exempt = leftOut(pristine, subject);
    const listing = listingOf(file, subject, image.id);
    if ([...intersect(this.#container, used)].length > 0)
      this.faults.push('the container lies where something is in use');
    this.#verdictMustStay('create');

    const expected = duplicate(pristine, `${file}.expected`);
    const claimed = claimAsCreate(expected, subject, listing, NOW);
    if ([...intersect(claimed, contentOfFiles(pristine, subject))].length > 0)
      this.faults.push('the listing changes the content of a file');
    this.#everywhereAs(expected, 'create');
    rmSync(expected);

    const sealed = digestOf(file, extentsOf(image.sealedExtents));
    overwriteWithNoise(file, [...extentsOf(image.extents), ...this.#besidesVolume()], 'foreign');
    const restored = await jobs.restore(file, { image: image.id, ...whichOf(subject) });
    if (!restored.imagesKept.includes(image.id)) this.faults.push('the restore did not keep the image');
    if (digestOf(file, extentsOf(image.sealedExtents)) !== sealed)
      this.faults.push('the restore wrote into the image');
    this.#verdictMustStay('restore');
    const listed = duplicate(pristine, `${file}.listed`);
    const inRestore = claimAsRestore(listed, subject, listing, { time: NOW, diskOffset: subject.start });
    const compared = without([...used, ...inRestore], this.#container, this.#record('restore'), exempt);
    this.compared = totalLength(compared);
    this.#sameAs(listed, compared, 'restore');
    this.#sameAs(
      pristine,
      without(used, inRestore, this.#record('restore'), exempt),
      'restore, against the volume as it came',
    );
    this.#outsideAs(pristine, 'restore', this.#damagedTable());
    rmSync(listed);
    const { problems } = await verifyImage(file, { image: image.id, ...whichOf(subject) });
    if (problems.length > 0) this.faults.push(`verify: ${problems.map(({ message }) => message).join('; ')}`);

    const released = duplicate(file, `${file}.released`);
    const inRemove = releaseAsRemove(released, subject, listing, NOW);
    await jobs.remove(file, { image: image.id, ...whichOf(subject) });
    this.#everywhereAs(released, 'remove');
    rmSync(released);
    this.#sameAs(
      pristine,
      without(used, inRestore, inRemove, this.#record('remove'), exempt),
      'remove, against the volume as it came',
    );
    this.#verdictMustStay('remove');
  }

  #verdictMustStay(when: string): void {
    const { file, subject, verdict } = this.#begun;
    const changes = verdictChanges(verdict, judge(this.#cleanup, file, subject));
    if (changes.length === 0) return;
    this.verdictChanged = true;
    this.faults.push(`the verdict changed with the ${when}: ${changes.join(' | ')}`);
  }

  #record(when: string): readonly Extent[] {
    const { file, pristine, subject } = this.#begun;
    const { place, fault } = locatorRecordPlace(file, pristine, subject);
    if (fault !== undefined) this.faults.push(`${fault} (${when})`);
    return place;
  }

  /** Of the file. */
  #besidesVolume(): Extent[] {
    const { file, subject } = this.#begun;
    const volume = { start: subject.start, length: subject.size };
    return [...complement([volume], { start: 0, length: statSync(file).size })];
  }

  #inFile(extents: readonly Extent[]): Extent[] {
    const { start } = this.#begun.subject;
    return extents.map((each) => ({ start: start + each.start, length: each.length }));
  }

  #sameAs(other: string, extents: readonly Extent[], when: string): void {
    const at = firstDifference(this.#begun.file, other, this.#inFile(extents));
    if (at !== undefined) this.faults.push(`byte ${at} of the file is not what it must be after ${when}`);
  }

  /** A restore mends a GPT of which one copy is damaged: of the file, all that lies in no partition; nothing where the table is sound. */
  #damagedTable(): Extent[] {
    const { file, pristine, subject } = this.#begun;
    if (subject.partition === undefined || partitionTableSound(pristine).clean) return [];
    const places = partitionsOf(pristine);
    if (JSON.stringify(places) !== JSON.stringify(partitionsOf(file)))
      this.faults.push('the restore changed the partition table');
    const partitions = normalise(places.map(({ start, size }) => ({ start, length: size })));
    return [...complement(partitions, { start: 0, length: statSync(file).size })];
  }

  #outsideAs(other: string, when: string, mended: readonly Extent[] = []): void {
    const at = firstDifference(this.#begun.file, other, without(this.#besidesVolume(), mended));
    if (at !== undefined)
      this.faults.push(`byte ${at} of the file, outside of the volume, changed with the ${when}`);
  }

  /** The whole volume but for the container and the locator record; and nothing beside it. */
  #everywhereAs(other: string, when: string): void {
    const whole = [{ start: 0, length: this.#begun.subject.size }];
    const gone = this.#record(when);
    // After a remove the sector is zeros again: where it was is known from the copy.
    const { place } = locatorRecordPlace(other, this.#begun.pristine, this.#begun.subject);
    this.#sameAs(other, without(whole, this.#container, gone, place), when);
    this.#outsideAs(other, when);
  }
}

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { complement, intersect, normalise, type Span, subtract } from '../../../rescue/bytes/runs.ts';
import { BOOT_AREA } from '../../../rescue/fs/filesystem.ts';
import { parseLocatorRecord } from '../../../rescue/image/locator-record.ts';
import type { ImageSummary } from '../../../rescue/job/results.ts';
import { bytesAt } from '../../fs/fat/patching.ts';
import { extentsOf } from '../../job/cycle.ts';
import { makeImage, restoreImage } from '../../job/requests.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { duplicate } from '../../support/duplicate.ts';
import { overwriteWithNoise } from '../../support/noise.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { differences } from './compare.ts';
import type { FilePlaces } from './places.ts';
import { readWhole, type Whole } from './truth.ts';
import type { Kind } from './volumes.ts';

/** A volume with an image, and all that trials of damage are held against. */
export interface Stage {
  readonly kind: Kind;
  readonly folder: string;
  /** As it was before the image was made. */
  readonly pristine: string;
  /** Noise everywhere but in the container, which is whole. */
  readonly wrecked: string;
  /** The same, restored from the whole container: what a damaged one is to bring back but for what is lost. */
  readonly restored: string;
  readonly image: ImageSummary;
  readonly whole: Whole;
  readonly files: readonly FilePlaces[];
  /** Sectors that the claim of the image changes. */
  readonly claimed: readonly Span[];
  /** The locator record's sector, which says what a search would find: of a damaged image, it may say less. */
  readonly locator: readonly Span[];
}

const locatorPlaces = (path: string): Span[] => {
  const found: Span[] = [];
  for (let start = 0; start < BOOT_AREA; start += 512)
    if (parseLocatorRecord(bytesAt(path, start, 512)) !== undefined) found.push({ start, length: 512 });
  return found;
};

/** Throws if what a whole container brings back is not sound and complete: then nothing is proved about damaged ones. */
export const setStage = async (cleanup: Cleanup, kind: Kind, seed: string): Promise<Stage> => {
  const folder = temporaryFolder(cleanup);
  const at = (name: string): string => join(folder, name);
  kind.make(cleanup, at('pristine'), seed);
  const files = kind.places(cleanup, at('pristine'));
  duplicate(at('pristine'), at('wrecked'));
  const { image } = await makeImage(at('wrecked'));
  const whole = readWhole(at('wrecked'), image);
  overwriteWithNoise(at('wrecked'), extentsOf(image.extents), seed);
  duplicate(at('wrecked'), at('restored'));
  const restored = await restoreImage(at('restored'));
  if (restored.lostFrames !== 0) throw new Error('the whole container has lost frames');
  kind.judge(cleanup, at('restored'));
  const held = normalise([...whole.held, ...whole.extents]);
  const free = [...complement(held, { start: 0, length: Number.MAX_SAFE_INTEGER })];
  const changed = differences(at('pristine'), at('restored'));
  const byNoise = differences(at('wrecked'), at('restored'));
  // Of free clusters those in which there is something else than the noise.
  const claimed = [...subtract(changed, free), ...intersect(byNoise, free)];
  const stage = {
    claimed: normalise(claimed),
    kind,
    folder,
    image,
    whole,
    files,
    locator: locatorPlaces(at('restored')),
  };
  return { ...stage, pristine: at('pristine'), wrecked: at('wrecked'), restored: at('restored') };
};

/** A wrecked volume with the container as it was, to be damaged; `body` gets its path. */
export const onCopy = async <T>(stage: Stage, body: (path: string) => Promise<T>): Promise<T> => {
  const path = duplicate(stage.wrecked, join(stage.folder, 'trial'));
  try {
    return await body(path);
  } finally {
    rmSync(path);
  }
};

import { complement } from '../../../../rescue/bytes/runs.ts';
import type { FileSystemDriver } from '../../../../rescue/fs/filesystem.ts';
import type { Patch } from '../../../../rescue/fs/patch.ts';
import { decodePatch, encodePatch } from '../../../../rescue/image/patch-coding.ts';
import type { Run } from '../../../../rescue/units.ts';
import { NOTHING, TIME } from '../../../fs/editing.ts';
import { readSteps } from '../../../fs/hostile.ts';
import { type DiskSeed, diskParser } from '../disk-parser.ts';
import type { Draft } from '../draft.ts';
import { Outcome } from '../outcome.ts';
import { type AnyParser, anyParser } from '../target.ts';

/** The first free clusters at or behind a place, in two pieces if there are two. */
const freeFrom = (free: Iterable<Run>, wanted: number): Run[] => {
  const taken: Run[] = [];
  for (const { start, length } of free) {
    if (length < 1) continue;
    taken.push({ start: start + length - 1, length: 1 });
    if (taken.length === wanted) break;
  }
  return taken;
};

type Change = 'claim' | 'release';

/**
 * The whole reading path of a file system: open, allocation, walk, check, ..., and a patch that it would make: a claim of free
 * clusters with its log emptied and its place put right, or the release of what it lists. Nothing of that is written.
 */
const readVolume = (driver: FileSystemDriver, draft: Draft, change: Change): string => {
  const outcome = new Outcome();
  readSteps(driver, draft, (step) => {
    const complaints = outcome.try(step);
    if (complaints !== undefined && complaints > 0) outcome.note('complaints');
  });
  const keep = (patch: Patch): void => {
    outcome.note(change);
    // What a journal would hold of it can be read back.
    decodePatch(encodePatch(patch), draft.size);
  };
  if (change === 'release')
    outcome.try(() =>
      keep(driver.patch(draft, (editor) => driver.release(editor, { name: 'a', time: TIME }))),
    );
  else
    outcome.try(() => {
      const system = driver.open(draft);
      const whole = { start: 0, length: system.geometry.clusterCount };
      const runs = freeFrom(complement(system.allocation(), whole), 3);
      if (runs.length === 0) {
        outcome.note('full');
        return;
      }
      keep(
        driver.patch(draft, (editor) => {
          driver.claim(editor, { name: 'new', runs, time: TIME, avoid: NOTHING });
          driver.emptyLog(editor);
          driver.moved(editor, { from: 0, to: 1024 * 1024 });
        }),
      );
    });
  return outcome.toString();
};

/** Each volume twice: half of the inputs are claimed in, the other half released from. */
export const volumeParser = (driver: FileSystemDriver, volumes: readonly DiskSeed[]): AnyParser => {
  const changes = new Map<DiskSeed, Change>();
  for (const volume of volumes)
    for (const change of ['claim', 'release'] as const)
      changes.set({ ...volume, name: `${volume.name}, ${change}` }, change);
  return anyParser(
    diskParser([...changes.keys()], (draft, seed) => readVolume(driver, draft, changes.get(seed)!)),
  );
};

import { join } from 'node:path';
import { isHoldfastError } from '../../../../rescue/errors.ts';
import { restoreImage } from '../../../job/requests.ts';
import { jobsOn, runWith } from '../../../live/unattended-run.ts';
import type { Cleanup } from '../../../support/cleanup.ts';
import { duplicate } from '../../../support/duplicate.ts';
import { attachLoop } from '../../../support/loop.ts';
import { sameBytes } from '../../../support/noise.ts';
import { temporaryFolder } from '../../../support/temporary.ts';
import type { PieceResult } from '../../part.ts';

/** A disk with an image on it that must not be believed. */
export interface Staged {
  readonly file: string;
  /** Images that the run without a person is asked for: `latest`, ids. */
  readonly unattended: readonly string[];
  /** Images that `restore` is asked for. */
  readonly attended: readonly string[];
}

export interface Scene {
  readonly name: string;
  /** `disk` does not exist yet; other files may be made beside it. */
  stage(cleanup: Cleanup, disk: string): Promise<Staged>;
}

/** What asking for one image led to, if it must not have: somebody restored something, or wrote something. */
const wrongWith = (what: string, restored: boolean, same: boolean, said: string): string[] => [
  ...(restored ? [`${what}: restored: ${said}`] : []),
  ...(same ? [] : [`${what}: the disk is not as it was: ${said}`]),
];

/** Asks for the images in every way that a person is not asked; the disk has to be the same afterwards, to the byte. */
export const playScene = async ({ stage }: Scene, cleanup: Cleanup): Promise<PieceResult> => {
  const { file, unattended, attended } = await stage(cleanup, join(temporaryFolder(cleanup), 'disk'));
  const before = duplicate(file, `${file}.before`);
  const faults: string[] = [];
  const loop = attachLoop(cleanup, file);
  for (const image of unattended) {
    const options = `holdfast.countdown=0 holdfast.image=${image}`;
    const { outcome, said } = await runWith({ jobs: jobsOn([loop]), options });
    // Through the loop device: its cache may hold what the file does not yet.
    const same = sameBytes(before, loop.device);
    faults.push(...wrongWith(`unattended, ${image}`, outcome.result === 'ok', same, said));
  }
  loop.detach();
  for (const image of attended) {
    let restored = true;
    let said = '';
    try {
      await restoreImage(file, { image });
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      restored = false;
      said = error.message;
    }
    faults.push(...wrongWith(`restore ${image}`, restored, sameBytes(before, file), said));
  }
  return {
    counts: {
      scenes: 1,
      'requests in scenes': unattended.length + attended.length,
      'believed in scenes': faults.length,
    },
    faults,
  };
};

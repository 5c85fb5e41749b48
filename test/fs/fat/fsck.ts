import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../../support/cleanup.ts';
import type { Verdict } from '../../support/judges.ts';
import { everythingSaid, mustRun, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import type { MtoolsPlace } from './mtools.ts';
import { bytesAt, patchBytes, placesOf } from './patching.ts';

/**
 * `fsck.fat -n`: a full check that changes nothing. It does not know of FATs that are not kept alike: with mirroring off it is
 * shown a copy in which the active one stands in the place of all.
 */
export const fsckFat = (
  cleanup: Cleanup,
  path: string,
  place: MtoolsPlace & { readonly size?: number } = {},
): Verdict => {
  const { offset = 0 } = place;
  const flags = bytesAt(path, offset + 40, 1)[0]!;
  const { bits } = placesOf(path, offset);
  const unmirrored = bits === 32 && (flags & 0x80) !== 0;
  let subject = path;
  if (offset > 0 || unmirrored) {
    subject = join(temporaryFolder(cleanup), 'volume');
    if (offset === 0) copyFileSync(path, subject);
    else
      mustRun('dd', [
        `if=${path}`,
        `of=${subject}`,
        'bs=64K',
        'conv=sparse',
        'iflag=skip_bytes,count_bytes',
        `skip=${offset}`,
        ...(place.size === undefined ? [] : [`count=${place.size}`]),
      ]);
    if (unmirrored) likeMirrored(subject, flags & 0x0f);
  }
  const result = run('fsck.fat', ['-n', subject]);
  return { clean: result.exit === 0, output: everythingSaid(result) };
};

const likeMirrored = (copy: string, active: number): void => {
  const { tables, tableLength, sectorSize } = placesOf(copy);
  const table = bytesAt(copy, tables[active]!, tableLength);
  for (const at of tables) patchBytes(copy, at, table);
  const backup = bytesAt(copy, 50, 2).readUInt16LE() * sectorSize;
  for (const boot of [0, backup]) patchBytes(copy, boot + 40, Uint8Array.of(0));
};

/** Clusters in use and in all, as `fsck.fat -n` counts them in its last line. */
export const clustersByFsck = (verdict: Verdict): { readonly used: number; readonly all: number } => {
  const match = /(\d+)\/(\d+) clusters/.exec(verdict.output);
  if (match === null) throw new Error(`fsck.fat did not count:\n${verdict.output}`);
  return { used: Number(match[1]), all: Number(match[2]) };
};

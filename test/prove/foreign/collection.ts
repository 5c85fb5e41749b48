import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../../support/cleanup.ts';
import { duplicate } from '../../support/duplicate.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { DISK_SPECIMENS } from './disk-specimens.ts';
import { EXT_SPECIMENS } from './ext-specimens.ts';
import { FAT_SPECIMENS } from './fat-specimens.ts';
import { NTFS_SPECIMENS } from './ntfs-specimens.ts';
import { type Collection, diceOf, type Make, type Specimen } from './specimen.ts';

const COLLECTIONS: readonly Collection[] = [EXT_SPECIMENS, FAT_SPECIMENS, NTFS_SPECIMENS, DISK_SPECIMENS];

/** A base by the collection that has it: two may have one of the same name. */
interface Placed {
  readonly specimen: Specimen;
  readonly make: Make;
}

const ALL: readonly Placed[] = COLLECTIONS.flatMap(({ bases, specimens }) =>
  specimens.map((specimen) => {
    const make = bases[specimen.base];
    if (make === undefined) throw new Error(`${specimen.name}: there is no base ${specimen.base}`);
    return { specimen, make };
  }),
);
const BY_NAME = new Map(ALL.map((each) => [each.specimen.name, each]));
if (BY_NAME.size !== ALL.length) throw new Error('two specimens have one name');

export const SPECIMENS: readonly Specimen[] = ALL.map(({ specimen }) => specimen);

/**
 * Makes disk images by their names, in files `1`, `2`, ... of a temporary folder, one after the other: each is gone when the next comes.
 * A base that several in a row are made from is made once.
 */
export function* makeSpecimens(
  cleanup: Cleanup,
  names: readonly string[],
  seed: number,
): Generator<{ readonly specimen: Specimen; readonly path: string }> {
  const folder = temporaryFolder(cleanup);
  const base = join(folder, 'base');
  let made: Make | undefined;
  for (const [index, name] of names.entries()) {
    const placed = BY_NAME.get(name);
    if (placed === undefined) throw new Error(`there is no specimen ${name}`);
    const { specimen, make } = placed;
    if (make !== made) {
      rmSync(base, { force: true });
      make(cleanup, base);
      made = make;
    }
    const path = duplicate(base, join(folder, String(index + 1)));
    specimen.damage?.(path, diceOf(seed, name));
    yield { specimen, path };
    rmSync(path, { force: true });
  }
}

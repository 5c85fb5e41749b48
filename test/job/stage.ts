import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../support/cleanup.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { attachLoop, mountFile } from '../support/loop.ts';
import { noiseSource } from '../support/noise.ts';
import { type PopulateOptions, populate } from '../support/populate.ts';
import { run } from '../support/run.ts';
import { snapshot, type Tree } from '../support/tree.ts';

/** A disk or a partition in a file, and where in it the volume lies. */
export interface Stage {
  readonly file: string;
  /** Bytes from the start of the file; 0 when the file is the partition. */
  readonly start: number;
  readonly size: number;
  /** As TARGET's `--partition`; undefined when the file is the partition. */
  readonly partition?: number;
  readonly sectorSize?: number;
  /** As after `mount -o`. */
  readonly mount?: readonly string[];
}

export type Mounted = ReturnType<typeof mountFile>;

/** Mounts the stage's volume through the kernel, on a loop device of its own. */
export const mountStage = (cleanup: Cleanup, stage: Stage, readOnly = false): Mounted =>
  mountFile(cleanup, stage.file, {
    readOnly,
    ...(stage.start === 0 ? {} : { offset: stage.start, size: stage.size }),
    ...(stage.sectorSize === undefined ? {} : { sectorSize: stage.sectorSize }),
    ...(stage.mount === undefined || readOnly ? {} : { options: stage.mount }),
  });

export const stageMustBeClean = ({ file, start }: Stage): void =>
  mustBeClean(e2fsckClean(file, { offset: start }));

/** Fills the volume with a real tree through the kernel; `more` may add to it. Returns the tree. */
export const fillStage = (
  cleanup: Cleanup,
  stage: Stage,
  options: PopulateOptions = {},
  more?: (top: string) => void,
): Tree => {
  const mount = mountStage(cleanup, stage);
  populate(mount.path, { size: 3 * 1024 * 1024, entries: 300, ...options });
  more?.(mount.path);
  mount.unmount();
  return treeOf(cleanup, stage);
};

/** The tree as the kernel shows it on a read-only mount. */
export const treeOf = (cleanup: Cleanup, stage: Stage): Tree => {
  const mount = mountStage(cleanup, stage, true);
  const tree = snapshot(mount.path);
  mount.unmount();
  return tree;
};

/** What an owner does on an ordinary day: writes, overwrites, renames and deletes. */
export const workOn = (cleanup: Cleanup, stage: Stage): void => {
  const mount = mountStage(cleanup, stage);
  const next = noiseSource('work');
  mkdirSync(join(mount.path, 'later', 'deeper'), { recursive: true });
  for (let index = 0; index < 60; index += 1)
    writeFileSync(join(mount.path, 'later', 'deeper', `new ${index}`), next(index * 331));
  writeFileSync(join(mount.path, 'at the top'), next(300_000));
  writeFileSync(join(mount.path, 'tree', 'sizes', '4096'), next(9000));
  rmSync(join(mount.path, 'tree', 'many'), { recursive: true });
  rmSync(join(mount.path, 'tree', 'fragmented', 'left'));
  mount.unmount();
};

/** What `sfdisk` reads from the disk around the partition; '' where there is no table. */
export const tableOf = (cleanup: Cleanup, { file, sectorSize }: Stage): string => {
  // sfdisk takes a file for a disk of 512-byte sectors.
  const loop =
    sectorSize === undefined || sectorSize === 512 ? undefined : attachLoop(cleanup, file, { sectorSize });
  const path = loop?.device ?? file;
  const { exit, stdout } = run('sfdisk', ['--dump', path]);
  loop?.detach();
  return exit === 0 ? stdout.replaceAll(path, 'DISK') : '';
};

import { readFileSync, writeFileSync } from 'node:fs';
import type { Device } from '../../../rescue/device/device.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import type { Editor, Patch, PatchWrite } from '../../../rescue/fs/patch.ts';
import type { Run } from '../../../rescue/units.ts';
import { mustRun } from '../../support/run.ts';
import { freeRuns, NOTHING, TIME } from '../editing.ts';

export const applyPatch = (device: Device, patch: Patch<PatchWrite>): void => {
  for (const phase of patch.phases) {
    for (const { offset, before, after, scratch } of phase) {
      const found = device.read(offset, before.length);
      if (scratch !== true && Buffer.compare(found, before) !== 0)
        throw new Error(`the patch expects other bytes at ${offset}`);
      device.write(offset, after);
    }
  }
};

/** The volume of a file in memory: edit it, write it back to be judged. */
export class Volume {
  readonly path: string;
  readonly device: MemoryDevice;

  constructor(path: string) {
    this.path = path;
    this.device = MemoryDevice.of(readFileSync(path));
  }

  save(path = this.path): void {
    writeFileSync(path, this.device.read(0, this.device.size));
  }

  edit(edit: (editor: Editor) => void): Patch {
    const patch = extDriver.patch(this.device, edit);
    applyPatch(this.device, patch);
    this.save();
    return patch;
  }

  claim(name: string, runs: readonly Run[], avoid: { has(cluster: number): boolean } = NOTHING): Patch {
    return this.edit((editor) => extDriver.claim(editor, { name, runs, time: TIME, avoid }));
  }

  release(name: string): Patch {
    return this.edit((editor) => extDriver.release(editor, { name, time: TIME + 1 }));
  }

  free(): Run[] {
    return freeRuns(extDriver, this.device);
  }
}

/** One debugfs request on a file. */
export const debugfs = (path: string, request: string): string =>
  mustRun('debugfs', ['-R', request, path]).stdout;

/** Blocks of a file as debugfs lists them, in order, joined: extents or a block map alike. */
export const blocksOf = (path: string, file: string): Run[] => {
  const runs: { start: number; length: number }[] = [];
  for (const word of debugfs(path, `blocks ${file}`).split(/\s+/)) {
    const block = Number(word);
    if (word === '' || block === 0) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.length === block) last.length += 1;
    else runs.push({ start: block, length: 1 });
  }
  return runs;
};

/** Joined where they touch, in the given order. */
export const joined = (runs: readonly Run[], ratio = 1): Run[] => {
  const result: { start: number; length: number }[] = [];
  for (const { start, length } of runs) {
    const last = result.at(-1);
    if (last !== undefined && last.start + last.length === start * ratio) last.length += length * ratio;
    else result.push({ start: start * ratio, length: length * ratio });
  }
  return result;
};

/** Free blocks and inodes as the superblock counts them. */
export const freeCounts = (path: string): string =>
  mustRun('dumpe2fs', ['-h', path])
    .stdout.split('\n')
    .filter((line) => /^Free (blocks|inodes):/.test(line))
    .join(' ');

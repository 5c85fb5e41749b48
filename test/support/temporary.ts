import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backingOf } from './backing.ts';
import type { Cleanup } from './cleanup.ts';
import { run } from './run.ts';

/**
 * Folder names carry the process that made them, so that what a killed run left behind (mounts and loop devices
 * included) can be told from what is in use, and is removed by the next run. Process ids mean nothing across
 * containers that share a temporary folder, hence the id of the process namespace in front.
 */
const PREFIX = 'holdfast-test-';
const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
const ownPrefix = `${PREFIX}${namespace}-${process.pid}-`;

/** A new empty folder, removed with everything in it at the end of the test, failed or not. */
export const temporaryFolder = (cleanup: Cleanup): string => {
  sweepOnce();
  const folder = mkdtempSync(join(tmpdir(), ownPrefix));
  cleanup.teardown(() => {
    // Never delete through a mount that could not be undone.
    const mounted = mountPointsAt(folder);
    if (mounted.length > 0) throw new Error(`left alone, still mounted: ${mounted.join(', ')}`);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  return folder;
};

let swept = false;
const sweepOnce = (): void => {
  if (swept) return;
  swept = true;
  sweepAbandoned();
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
};

/** `/proc/self/mountinfo` writes blanks and the like in names as octal escapes. */
const mountPointsAt = (folder: string): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      ),
    )
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .reverse();

/** Removes what killed test runs left: only folders of this module whose process is gone. Gives their paths. */
export const sweepAbandoned = (): string[] => {
  const removed: string[] = [];
  for (const name of readdirSync(tmpdir())) {
    const match = new RegExp(`^${PREFIX}${namespace}-(\\d+)-`).exec(name);
    if (match === null || isAlive(Number(match[1]))) continue;
    const folder = join(tmpdir(), name);
    if (statSync(folder, { throwIfNoEntry: false })?.uid !== process.getuid?.()) continue;
    for (const point of mountPointsAt(folder)) run('umount', [point]);
    const loops = run('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE']).stdout;
    for (const line of loops.split('\n')) {
      const [device, backing] = line.split(' ');
      // Another process may have done it since, and the device be somebody's again.
      const isIts = device !== undefined && backing?.startsWith(`${folder}/`) === true;
      if (isIts && backingOf(device)?.startsWith(`${folder}/`) === true) run('losetup', ['-d', device]);
    }
    if (mountPointsAt(folder).length > 0) continue;
    rmSync(folder, { recursive: true, force: true });
    removed.push(folder);
  }
  return removed;
};

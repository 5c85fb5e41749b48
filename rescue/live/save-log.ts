import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { blockNumberOf } from '../device/block-facts.ts';
import { tryProgram } from '../device/programs.ts';
import { ioError, refused } from '../errors.ts';
import { disks } from '../job/disks.ts';

/** Saving the log of the live system, which otherwise is gone with the power. */

/** `DEVICE:/path` or `/path`; see the option `holdfast.log`. */
const partsOf = (destination: string): { readonly device: string | undefined; readonly path: string } => {
  const [, device, path] = /^((?:\/dev\/|LABEL=|UUID=)[^:]+):(\/.+)$/.exec(destination) ?? [];
  return device === undefined || path === undefined
    ? { device: undefined, path: destination }
    : { device, path };
};

/** The node of a partition that was named by tag, by the usual program (findfs(8), also in busybox). */
const nodeOf = (device: string): string => {
  if (device.startsWith('/dev/')) return device;
  const found = spawnSync('findfs', [device], { encoding: 'utf8' });
  const node = found.stdout?.trim() ?? '';
  if (found.status === 0 && node !== '') return node;
  throw refused(`there is no partition ${device} for the log`, { code: 'log.no-device' });
};

/** The path itself, or with a number before its extension: an older log is not overwritten. */
export const freeName = (path: string): string => {
  const [, stem, extension] = /^(.*?)(\.[^./]*)?$/s.exec(path)!;
  for (let number = 0; ; number += 1) {
    const name = number === 0 ? path : `${stem}-${number}${extension ?? ''}`;
    if (!existsSync(name)) return name;
  }
};

const copyTo = async (log: string, path: string): Promise<string> => {
  mkdirSync(dirname(path), { recursive: true });
  const name = freeName(path);
  await copyFile(log, name);
  return name;
};

/**
 * Copies the log to `destination`; a partition is mounted for it (FAT only: nothing else may be changed by a mount) and
 * unmounted again. Returns where it is. Throws `refused` (`log.no-device`) or `io` (`log.mount`, ...).
 */
export const saveLog = async (log: string, destination: string): Promise<string> => {
  const { device, path } = partsOf(destination);
  if (device === undefined) return copyTo(log, path);
  const node = nodeOf(device);
  if (blockNumberOf(node) === undefined) throw refused(`${node} is no partition`, { code: 'log.no-device' });
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-log-'));
  try {
    const trouble = tryProgram('mount', ['-t', 'vfat', '-o', 'rw,noexec,nosuid', node, folder]);
    if (trouble !== undefined) {
      throw ioError(`${node} cannot be mounted for the log: ${trouble}`, {
        code: 'log.mount',
        wayOut: 'The log can be saved to a partition with a FAT file system.',
      });
    }
    const saved = await copyTo(log, join(folder, path)).catch((error: unknown) => {
      tryProgram('umount', [folder]);
      throw error;
    });
    const left = tryProgram('umount', [folder]);
    if (left !== undefined) throw ioError(`${node} cannot be unmounted: ${left}`, { code: 'log.unmount' });
    return `${node}:${join(dirname(path), basename(saved))}`;
  } finally {
    rmdirSync(folder);
  }
};

/** File in which a log is saved on whatever partition there is. */
const USUAL_NAME = '/holdfast.log';

/** Partitions with a FAT file system, those of the rescue stick first. */
const fatPartitions = async (): Promise<string[]> => {
  const found = (await disks()).disks;
  return [...found.filter(({ medium }) => medium), ...found.filter(({ medium }) => !medium)].flatMap((disk) =>
    disk.partitions.flatMap(({ path, content }) =>
      path !== null && /^FAT/i.test(content.name) ? [path] : [],
    ),
  );
};

/** Saves the log to the first FAT partition that takes it. Throws `refused` (`log.no-device`) with what each one said. */
export const saveLogAnywhere = async (log: string): Promise<string> => {
  const said: string[] = [];
  for (const path of await fatPartitions()) {
    try {
      return await saveLog(log, `${path}:${USUAL_NAME}`);
    } catch (error) {
      said.push((error as Error).message);
    }
  }
  throw refused('no partition with a FAT file system takes the log', {
    code: 'log.no-device',
    ...(said.length === 0 ? {} : { found: said.join('; ') }),
    wayOut: `Plug in a stick with FAT and try again. Until the power goes, the log is in ${log}.`,
  });
};

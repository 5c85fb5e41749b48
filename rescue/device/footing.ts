import { readFileSync, statSync } from 'node:fs';
import type { ByteOffset } from '../units.ts';
import { blockNumberOf, readBlockDeviceFacts } from './block-facts.ts';

/** What a file or block device stands on in the end: two names of the same bytes have the same base. */
export interface Footing {
  /** Equal for two paths if and only if they lead to the same disk or the same file. */
  readonly base: string;
  /** Where the path's first byte lies in it. */
  readonly offset: ByteOffset;
}

/** Loop devices may lie on files, files on loop devices, and so on; no sane stack is deeper. */
const DEPTH_LIMIT = 8;

const loopOffset = (name: string): ByteOffset => {
  try {
    return Number(readFileSync(`/sys/block/${name}/loop/offset`, 'utf8'));
  } catch {
    return 0;
  }
};

/** Follows links, partitions to their disk, and loop devices to their file. The path must exist. */
export const footingOf = (path: string, depth = 0): Footing => {
  const number = blockNumberOf(path);
  if (number === undefined) {
    const { dev, ino } = statSync(path, { bigint: true });
    return { base: `file ${dev}:${ino}`, offset: 0 };
  }
  const facts = readBlockDeviceFacts(path);
  if (depth < DEPTH_LIMIT && facts.partition !== undefined) {
    const disk = footingOf(facts.partition.parentPath, depth + 1);
    return { base: disk.base, offset: disk.offset + facts.partition.offset };
  }
  // The file may have been deleted since: then nobody else can name it.
  const file = facts.backingFile;
  if (depth < DEPTH_LIMIT && file !== undefined && statSync(file, { throwIfNoEntry: false }) !== undefined) {
    const below = footingOf(file, depth + 1);
    return { base: below.base, offset: below.offset + loopOffset(facts.name) };
  }
  return { base: `block ${number}`, offset: 0 };
};

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** Bytes that processes read and wrote, by the kernel's count (proc(5), `/proc/PID/io`). */
export interface Transferred {
  /** Fetched from a disk or loop device: `read_bytes`. What came from the page cache is not in it. */
  readonly fromDisk: number;
  /** Handed on to a disk or loop device: `write_bytes`, counted when a page is made dirty. */
  readonly toDisk: number;
  /** Asked for by system calls, page cache and pipes included: `rchar` and `wchar`. */
  readonly read: number;
  readonly written: number;
}

/** Throws for a text that lacks one of the counts. */
export const parseIo = (io: string): Transferred => {
  const count = (field: string): number => {
    const digits = new RegExp(`^${field}: (\\d+)$`, 'm').exec(io)?.[1];
    if (digits === undefined) throw new Error(`/proc/PID/io has no ${field}: ${io}`);
    return Number(digits);
  };
  return {
    fromDisk: count('read_bytes'),
    toDisk: count('write_bytes'),
    read: count('rchar'),
    written: count('wchar'),
  };
};

/** proc(5): CPU times are in clock ticks, of which Linux shows user space 100 a second on all common machines. */
const TICKS = 100;

/**
 * Seconds of user and system time from `/proc/PID/stat`: of the process itself (`utime`, `stime`, fields 14 and 15), or of all children that it
 * has waited for (`cutime`, `cstime`, fields 16 and 17).
 */
export const parseCpu = (stat: string, of: 'itself' | 'children'): number => {
  // The name, in parentheses, may hold blanks: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const first = of === 'itself' ? 11 : 13;
  return (Number(fields[first]) + Number(fields[first + 1])) / TICKS;
};

/** What a block device was asked for, whoever asked. Bytes. */
export interface DeviceTraffic {
  readonly read: number;
  readonly written: number;
}

/** Linux counts a device's traffic in sectors of 512 bytes, whatever its own are (Documentation/block/stat.rst). */
const SECTOR = 512;

/** Since the device exists: take one before and one after, and the difference. */
export const deviceTraffic = (device: string): DeviceTraffic => {
  const fields = readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
    .trim()
    .split(/\s+/)
    .map(Number);
  // Reads, merged reads, sectors read, milliseconds; then the same of writes.
  return { read: (fields[2] ?? 0) * SECTOR, written: (fields[6] ?? 0) * SECTOR };
};

export const trafficSince = (device: string, before: DeviceTraffic): DeviceTraffic => {
  const now = deviceTraffic(device);
  return { read: now.read - before.read, written: now.written - before.written };
};

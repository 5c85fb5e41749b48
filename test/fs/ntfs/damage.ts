import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import type { Attribute } from '../../../rescue/fs/ntfs/attribute.ts';
import { openContent } from '../../../rescue/fs/ntfs/content.ts';
import type { NtfsFile } from '../../../rescue/fs/ntfs/file.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import {
  AT_BITMAP,
  AT_DATA,
  AT_INDEX_ALLOCATION,
  FILE_BITMAP,
  FILE_MFT,
  INDEX_BLOCK,
  MIRRORED_RECORDS,
  NAME_INDEX,
  RECORD_HEADER,
  STRIDE,
} from '../../../rescue/fs/ntfs/layout.ts';
import { removeUpdateSequence } from '../../../rescue/fs/ntfs/update-sequence.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { type MakeOptions, makeNtfs, mountNtfs } from './volumes.ts';

/** A small volume in memory that holds one of everything. */
export const smallVolume = (cleanup: Cleanup, clusterSize = 4096): MemoryDevice => {
  const path = join(temporaryFolder(cleanup), 'volume');
  makeSmallVolume(cleanup, path, { size: 6 * MIB, clusterSize });
  return MemoryDevice.of(Uint8Array.from(readFileSync(path)));
};

/** The same in a file. */
export const makeSmallVolume = (cleanup: Cleanup, path: string, options: MakeOptions): void => {
  makeNtfs(path, options);
  const mount = mountNtfs(cleanup, path);
  const at = (...parts: string[]): string => join(mount.path, ...parts);
  for (const name of ['a', 'b']) writeFileSync(at(name), name.repeat(9000));
  mkdirSync(at('few'));
  for (const name of ['one', 'two', 'three']) writeFileSync(at('few', name), name);
  mkdirSync(at('many'));
  for (let index = 0; index < 90; index += 1)
    writeFileSync(at('many', `a name that takes some room ${index}`), '');
  writeFileSync(at('linked'), 'x'.repeat(5000));
  for (let index = 0; index < 10; index += 1) linkSync(at('linked'), at(`${index} ${'long'.repeat(40)}`));
  writeFileSync(at('linked:stream'), 'y'.repeat(5000));
  mkdirSync(at('.holdfast'));
  writeFileSync(at('.holdfast', 'a.hfi'), new Uint8Array(50_000));
  mount.unmount();
};

/** Replaces the last word of every stride by the update sequence number, as on the disk. */
export const addUpdateSequence = (bytes: Uint8Array): void => {
  const start = RECORD_HEADER.get(bytes, 'usa_ofs');
  for (let stride = 0; stride < bytes.length / STRIDE; stride += 1) {
    const at = (stride + 1) * STRIDE - 2;
    bytes.copyWithin(start + 2 * (stride + 1), at, at + 2);
    bytes.copyWithin(at, start, start + 2);
  }
};

/** A volume in memory, to be changed on purpose. Every change is written; what is read next sees it. */
export class Damaged {
  readonly device: MemoryDevice;

  constructor(device: MemoryDevice) {
    this.device = device.snapshot();
  }

  get volume(): NtfsVolume {
    return new NtfsVolume(this.device);
  }

  /** Number of the record of a file. */
  node(path: string): number {
    const entry = [...openNtfs(this.device).walk()].find((each) => each.path === path);
    if (entry === undefined) throw new Error(`there is no ${path}`);
    return entry.node;
  }

  file(path: string): NtfsFile {
    return this.volume.file(this.node(path));
  }

  attribute(path: string, type: number, name = ''): Attribute {
    const found = this.file(path).find(type, name);
    if (found === undefined) throw new Error(`${path} has no attribute 0x${type.toString(16)}`);
    return found;
  }

  /** Changes a record, and its copy in $MFTMirr. */
  record(number: number, change: (bytes: Uint8Array) => void): void {
    const { volume } = this;
    const { bytes } = volume.record(number);
    change(bytes);
    addUpdateSequence(bytes);
    this.device.write(volume.recordOffset(number), bytes);
    if (number < MIRRORED_RECORDS)
      this.device.write(
        volume.clusterOffset(volume.parameters.mirrorCluster) + number * volume.recordSize,
        bytes,
      );
  }

  /** Changes the first block of a folder's index. */
  indexBlock(path: string, change: (bytes: Uint8Array, header: number) => void): void {
    const { volume } = this;
    const blocks = openContent(volume.file(this.node(path)), AT_INDEX_ALLOCATION, NAME_INDEX)!;
    const bytes = new Uint8Array(4096);
    blocks.readInto(0, bytes);
    removeUpdateSequence(bytes, { structure: 'block', offset: 0 });
    change(bytes, INDEX_BLOCK.size);
    addUpdateSequence(bytes);
    this.device.write(blocks.position(0), bytes);
  }

  /** Sets or clears a bit of $Bitmap or of the bitmap of $MFT. */
  bit(which: 'clusters' | 'records', bit: number, value: boolean): void {
    const { volume } = this;
    const file = volume.file(which === 'clusters' ? FILE_BITMAP : FILE_MFT);
    const content = openContent(file, which === 'clusters' ? AT_DATA : AT_BITMAP, '')!;
    const position = content.position(bit >>> 3);
    const [byte] = this.device.read(position, 1);
    const mask = 1 << (bit & 7);
    this.device.write(position, Uint8Array.of(value ? byte! | mask : byte! & ~mask));
  }

  /** Flips bits of one byte, wherever it is. */
  flip(position: number, mask = 0x01): void {
    const [byte] = this.device.read(position, 1);
    this.device.write(position, Uint8Array.of(byte! ^ mask));
  }
}

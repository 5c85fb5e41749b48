import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** A disk whose boot sector is this code, in the real mode of a BIOS machine. */
export const diskWith = (cleanup: Cleanup, code: readonly number[], signature = [0x55, 0xaa]): string => {
  const sector = Buffer.alloc(512);
  sector.set(code, 0);
  sector.set(signature, 510);
  const path = join(temporaryFolder(cleanup), 'disk');
  writeFileSync(path, sector);
  truncateSync(path, MIB);
  return path;
};

/** `jmp $` */
export const LOOP = [0xeb, 0xfe];

/**
 * Sends a text to the first serial port (`mov dx, 0x3f8`; `mov al, ...; out dx, al` for each byte), without interrupts
 * (`cli`), on which the firmware sends the rest of its own words.
 */
export const say = (text: string): number[] => [
  ...[0xfa, 0xba, 0xf8, 0x03],
  ...[...Buffer.from(text)].flatMap((byte) => [0xb0, byte, 0xee]),
];

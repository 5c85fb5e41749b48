import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpioArchive } from '../../iso/cpio.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/temporary.ts';

/**
 * The medium's initrd with this shell script in place of the program. The kernel unpacks one archive after the other,
 * and what comes later replaces what was there.
 */
export const withStandIn = (cleanup: Cleanup, initrd: string, script: string): string => {
  const path = join(temporaryFolder(cleanup), 'initrd');
  const content = Buffer.from(`#!/bin/sh\n${script}`);
  const archive = cpioArchive([{ path: 'bin/holdfast', kind: 'file', content, mode: 0o755 }], 0);
  const first = readFileSync(initrd);
  // An archive that is not compressed must begin at a multiple of four bytes.
  writeFileSync(path, Buffer.concat([first, Buffer.alloc((4 - (first.length % 4)) % 4), archive]));
  return path;
};

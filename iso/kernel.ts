import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DebianPackage, fetchPackage, unpackPackage } from './debian.ts';
import type { ModuleFolder } from './modules.ts';

export interface Kernel extends ModuleFolder {
  /** The file that a boot loader loads. */
  readonly image: string;
  readonly package: DebianPackage;
}

/** Debian's newest kernel, unpacked below `root`, a folder that exists and is empty. */
export const unpackKernel = (root: string): Kernel => {
  const from = fetchPackage('kernel');
  unpackPackage(from, root);
  const releases = readdirSync(join(root, 'lib/modules'));
  const [release] = releases;
  if (release === undefined || releases.length > 1)
    throw new Error(`expected one kernel in ${from.name}, found: ${releases.join(', ')}`);
  return { root, release, image: join(root, 'boot', `vmlinuz-${release}`), package: from };
};

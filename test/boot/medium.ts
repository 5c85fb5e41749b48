import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../../build/bundle.ts';
import { buildMedium } from '../../iso/build.ts';
import { fetchPackage } from '../../iso/debian.ts';
import { mustRun } from '../support/run.ts';

/**
 * The medium that the boot tests start, built once for all of them and kept in `node_modules/.cache` as long as nothing
 * that goes into it changes.
 */

const CACHE = join(PROJECT, 'node_modules/.cache/holdfast-medium');
const SOURCES = ['rescue/**/*.ts', 'tui/**/*', 'build/*.ts', 'iso/**/*', 'package-lock.json', 'LICENSE'];
/** What comes from this machine: tools and files that end up on the medium. */
const INSTALLED = [
  'libc6',
  'libstdc++6',
  'ncurses-base',
  'grub-pc-bin',
  'mtools',
  'xorriso',
  'zstd',
  'binutils',
];
const DOWNLOADED = [
  'kernel',
  'busybox-static',
  'shim-signed',
  'grub-efi-amd64-signed',
  'kbd',
  'console-data',
];

const keyOfInputs = (): string => {
  const hash = createHash('sha256');
  const files = globSync(SOURCES, { cwd: PROJECT, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name))
    .sort();
  for (const path of files) hash.update(`${path.slice(PROJECT.length)}\0`).update(readFileSync(path));
  for (const name of DOWNLOADED) hash.update(fetchPackage(name).digest);
  hash.update(mustRun('dpkg-query', ['-W', ...INSTALLED]).stdout);
  return hash.update(process.version).digest('hex').slice(0, 32);
};

export interface BuiltMedium {
  readonly iso: string;
  readonly vmlinuz: string;
  readonly initrd: string;
}

/** Paths of the medium's three files; do not write to them. */
export const builtMedium = async (): Promise<BuiltMedium> => {
  const folder = join(CACHE, keyOfInputs());
  if (!existsSync(folder)) {
    mkdirSync(CACHE, { recursive: true });
    for (const old of readdirSync(CACHE)) rmSync(join(CACHE, old), { recursive: true });
    await buildMedium(`${folder}.new`);
    renameSync(`${folder}.new`, folder);
  }
  const [iso, vmlinuz, initrd] = ['holdfast.iso', 'vmlinuz', 'initrd'].map((name) => join(folder, name));
  return { iso: iso!, vmlinuz: vmlinuz!, initrd: initrd! };
};

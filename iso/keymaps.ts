import { globSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runProgram } from '../build/program.ts';
import type { CpioEntry } from './cpio.ts';
import { type DebianPackage, fetchPackage, unpackPackage } from './debian.ts';

/** Keyboard layouts for the settings of the screen, in the binary form that busybox' loadkmap reads. */

/** By Debian's names: what common keyboards say, one or two each. */
const LAYOUTS = [
  ...['us', 'us-intl.iso15', 'uk', 'dvorak', 'cf', 'de', 'de-latin1-nodeadkeys', 'sg-latin1', 'fr_CH-latin1'],
  ...[
    'fr-latin9',
    'be2-latin1',
    'nl',
    'es',
    'la-latin1',
    'pt-latin1',
    'br-abnt2',
    'it',
    'dk',
    'no',
    'se-latin1',
  ],
  ...[
    'fi',
    'is-latin1',
    'et',
    'lv-latin7',
    'lt',
    'pl',
    'cz-us-qwertz',
    'sk-qwertz',
    'hu',
    'ro',
    'slovene',
    'croat',
  ],
  ...['trq', 'gr', 'bg', 'ru', 'ua-utf', 'il', 'jp106'],
] as const;

export interface Keymaps {
  readonly entries: readonly CpioEntry[];
  /** Whose files they are made from. */
  readonly packages: readonly DebianPackage[];
}

/** Makes them with Debian's own loadkeys, unpacked below `folder`, not installed. Throws if a layout is not there. */
export const keymaps = (folder: string): Keymaps => {
  mkdirSync(folder);
  const packages = ['kbd', 'console-data'].map(fetchPackage);
  for (const each of packages) unpackPackage(each, folder);
  const found = new Map(
    globSync('usr/share/keymaps/i386/*/*.kmap.gz', { cwd: folder }).map((path) => [
      basename(path, '.kmap.gz'),
      join(folder, path),
    ]),
  );
  const entries = LAYOUTS.map((name): CpioEntry => {
    const path = found.get(name);
    if (path === undefined) throw new Error(`Debian's console-data has no keyboard layout ${name}`);
    // --unicode: the screen of the medium is UTF-8.
    const content = runProgram(join(folder, 'bin/loadkeys'), ['--bkeymap', '--unicode', path]);
    return { path: `usr/share/keymaps/${name}.bmap`, kind: 'file', mode: 0o644, content };
  });
  return { entries, packages };
};

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Keyboard layouts of the console: files for `loadkmap`. */
export interface Keymaps {
  /** Names; empty with the reason where there are none. */
  list(): { readonly names: readonly string[]; readonly reason: string };
  load(name: string): Promise<void>;
}

const FOLDER = '/usr/share/keymaps';
const ENDING = '.bmap';

/** Busybox reads binary layouts from its standard input. */
const load = (folder: string, name: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = execFile('loadkmap', { timeout: 10_000 }, (error) => (error ? reject(error) : resolve()));
    child.stdin?.on('error', () => {});
    child.stdin?.end(readFileSync(join(folder, `${name}${ENDING}`)));
  });

export const systemKeymaps = (folder = FOLDER): Keymaps => ({
  list: () => {
    try {
      const names = readdirSync(folder)
        .filter((name) => name.endsWith(ENDING))
        .map((name) => name.slice(0, -ENDING.length))
        .sort();
      return { names, reason: names.length === 0 ? `no layouts (*${ENDING}) in ${folder}` : '' };
    } catch {
      return { names: [], reason: `no layouts here (${folder} is missing): the terminal's own is used` };
    }
  },
  load: (name) => load(folder, name),
});

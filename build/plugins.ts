import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Plugin } from 'esbuild';
import { DESCRIPTIONS, type Description } from '../tui/terminal.ts';

/** `text` with `from` replaced by `to`. Throws if it is not there: then the package is not the one that we know. */
const replaced = (text: string, from: string, to: string, path: string): string => {
  if (!text.includes(from)) throw new Error(`${path} has changed: "${from}" is not in it`);
  return text.replace(from, () => to);
};

/** Descriptions that blessed brings itself. The system's xterm is newer than what blessed can read. */
const OWN = new Set<Description>(['linux', 'xterm']);
/** Of Debian's package ncurses-base, which is on every system. */
const TERMINFO = '/lib/terminfo';
/** The form of terminfo(5) that blessed can read: 16-bit numbers. */
const MAGIC = 0x011a;

const descriptionOf = (name: Description, blessed: string): string => {
  const path = OWN.has(name) ? join(blessed, 'usr', name) : join(TERMINFO, name[0]!, name);
  const bytes = readFileSync(path);
  if (bytes.readUInt16LE(0) !== MAGIC)
    throw new Error(`${path} is no terminal description that blessed can read`);
  return bytes.toString('base64');
};

/**
 * blessed 0.1.81 loads its widgets by a computed `require`, and terminal descriptions from files beside its own and on
 * the system: an executable has neither. `widget.js` gets a list of its widgets instead, `tput.js` the descriptions
 * that `tui/terminal.ts` asks for. Its terminal emulator needs `term.js` and `pty.js`, which are not there and are never asked for.
 */
const BLESSED: Plugin = {
  name: 'blessed',
  setup: (build) => {
    build.onResolve({ filter: /^(term|pty)\.js$/ }, ({ path }) => ({ path, external: true }));
    build.onLoad({ filter: /blessed\/lib\/widget\.js$/ }, ({ path }) => {
      const widgets = readdirSync(join(path, '../widgets'))
        .sort()
        .map((name) => basename(name, '.js'))
        .map((name) => `  ${JSON.stringify(name)}: require('./widgets/${name}')`);
      const source = readFileSync(path, 'utf8');
      const table = `var WIDGETS = {\n${widgets.join(',\n')}\n};\n`;
      return { contents: table + replaced(source, "require('./widgets/' + file)", 'WIDGETS[file]', path) };
    });
    build.onLoad({ filter: /blessed\/lib\/tput\.js$/ }, ({ path }) => {
      const blessed = join(path, '../..');
      const table = DESCRIPTIONS.map((name) => `  ${name}: '${descriptionOf(name, blessed)}'`);
      const embedded = `var DESCRIPTIONS = {\n${table.join(',\n')}\n};\n`;
      const source = readFileSync(path, 'utf8');
      const from = '  file = path.normalize(this._prefix(term));\n  data = fs.readFileSync(file);';
      const to =
        "  file = term.split('/').pop();\n  data = Buffer.from(DESCRIPTIONS[file] || DESCRIPTIONS.xterm, 'base64');";
      return { contents: embedded + replaced(source, from, to, path) };
    });
  },
};

/**
 * esbuild plugins for packages that cannot be bundled as they are (computed `require`, files beside the source).
 * Each says which package needs it and why.
 */
export const PLUGINS: readonly Plugin[] = [BLESSED];

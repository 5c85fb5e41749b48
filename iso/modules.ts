import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runProgram } from '../build/program.ts';

/**
 * The kernel modules that go along. `features/NAME.modules` names them, one a line; `#` starts a comment. `CONFIG_NAME`
 * stands for code that can only be built in, and must be. What modules need is found out here: from `modules.dep`
 * (depmod(8)), and from the "soft" needs that each file states itself.
 */

export const FEATURES = join(import.meta.dirname, 'features');

export interface Wanted {
  readonly name: string;
  /** The list that names it. */
  readonly feature: string;
}

/** The names in all lists. Throws for a line that is not one name. */
export const wantedModules = (folder: string = FEATURES): Wanted[] =>
  readdirSync(folder)
    .filter((each) => each.endsWith('.modules'))
    .sort()
    .flatMap((file) =>
      readFileSync(join(folder, file), 'utf8')
        .split('\n')
        .map((line) => line.replace(/#.*/, '').trim())
        .filter((line) => line !== '')
        .map((name) => {
          if (!/^\w[\w-]*$/.test(name)) throw new Error(`${file}: '${name}' is not the name of a module`);
          return { name, feature: basename(file, '.modules') };
        }),
    );

/** The kernel takes `-` and `_` in a module's name for the same. */
const canonical = (name: string): string => name.replaceAll('-', '_');
const nameOf = (path: string): string => canonical(basename(path, '.ko'));

/** `modules.dep`: `file: what it needs, the last to be loaded first`; paths relative to its folder. */
const parseDependencies = (text: string): Map<string, { path: string; needs: readonly string[] }> => {
  const all = new Map<string, { path: string; needs: readonly string[] }>();
  for (const line of text.split('\n')) {
    const [path, needs] = line.split(':');
    if (path === undefined || needs === undefined) continue;
    all.set(nameOf(path), { path, needs: needs.split(' ').filter((word) => word !== '') });
  }
  return all;
};

/** What a module's file says in its section `.modinfo`: `softdep=pre: one two post: three`. */
const softNeeds = (file: Buffer): string[] => {
  const found: string[] = [];
  for (let at = file.indexOf('softdep='); at !== -1; at = file.indexOf('softdep=', at + 1)) {
    const text = file.subarray(at + 'softdep='.length, file.indexOf(0, at)).toString('latin1');
    found.push(...text.split(/\s+/).filter((word) => word !== '' && !/^(pre|post):$/.test(word)));
  }
  return found;
};

export interface ModuleFolder {
  /** The system root that holds `lib/modules/RELEASE` and `boot/config-RELEASE`. */
  readonly root: string;
  /** Kernel release, e.g. `6.1.0-56-amd64`. */
  readonly release: string;
}

export interface ResolvedModules {
  /** Paths below `lib/modules/RELEASE`, in an order in which they can be loaded. */
  readonly paths: readonly string[];
  /** Wanted, but part of the kernel itself. */
  readonly builtin: readonly string[];
}

/**
 * Finds the files of the modules and of all that they need. A name that the kernel knows neither as a module nor as
 * built in is an error: a rescue must not lack a driver because it was renamed. Runs depmod of `busybox`.
 */
export const resolveModules = (
  { root, release }: ModuleFolder,
  wanted: readonly Wanted[],
  busybox: string,
): ResolvedModules => {
  const folder = join(root, 'lib/modules', release);
  const lines = (name: string): string[] => readFileSync(join(folder, name), 'utf8').split('\n');
  // Made when the package is installed; this one is not.
  runProgram(busybox, ['depmod', '-b', root, release]);
  const known = parseDependencies(lines('modules.dep').join('\n'));
  const builtin = new Set(lines('modules.builtin').map(nameOf));
  const aliases = new Map<string, string[]>();
  for (const line of lines('modules.alias')) {
    const [, alias, name] = line.split(' ');
    if (alias !== undefined && name !== undefined)
      aliases.set(alias, [...(aliases.get(alias) ?? []), canonical(name)]);
  }
  // `crypto-crc32c` names what a module can do; the kernel has it built in if it says so here.
  const builtinInfo = readFileSync(join(folder, 'modules.builtin.modinfo'), 'latin1');
  const isBuiltin = (name: string): boolean =>
    builtin.has(canonical(name)) || builtinInfo.includes(`.alias=${name}\0`);
  const paths = new Set<string>();
  const add = (name: string, why: string): void => {
    const module = known.get(canonical(name));
    if (module === undefined) throw new Error(`kernel ${release} has no module ${name} (${why})`);
    if (paths.has(module.path)) return;
    for (const path of [...module.needs].reverse())
      if (!paths.has(path)) add(nameOf(path), `needed by ${name}`);
    for (const soft of softNeeds(readFileSync(join(folder, module.path)))) {
      if (known.has(canonical(soft))) add(soft, `needed by ${name}`);
      else if (aliases.has(soft))
        for (const each of aliases.get(soft)!) add(each, `${soft}, needed by ${name}`);
      else if (!isBuiltin(soft)) throw new Error(`kernel ${release} has no ${soft} (needed by ${name})`);
    }
    paths.add(module.path);
  };
  const configuration = new Set(readFileSync(join(root, 'boot', `config-${release}`), 'utf8').split('\n'));
  const already: string[] = [];
  for (const { name, feature } of wanted) {
    if (name.startsWith('CONFIG_')) {
      if (!configuration.has(`${name}=y`))
        throw new Error(`kernel ${release} is built without ${name} (in features/${feature}.modules)`);
      already.push(name);
    } else if (builtin.has(canonical(name))) already.push(name);
    else add(name, `in features/${feature}.modules`);
  }
  return { paths: [...paths], builtin: already };
};

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runProgram } from '../build/program.ts';
import { type CpioEntry, cpioArchive } from './cpio.ts';
import { type ModuleFolder, resolveModules, wantedModules } from './modules.ts';

export interface InitramfsParts {
  /** The unpacked kernel package. */
  readonly kernel: ModuleFolder;
  /** Paths of busybox and of the executable made by `build/binary.ts`. */
  readonly busybox: string;
  readonly holdfast: string;
  readonly keymaps: readonly CpioEntry[];
  /** An empty folder to work in. */
  readonly folder: string;
}

/** A part of the medium, for the size table: bytes before compression. */
export interface Part {
  readonly name: string;
  readonly entries: readonly CpioEntry[];
}

/** Terminals for which descriptions go along: the two consoles, and what a serial line may lead to. */
const TERMINALS = ['linux', 'vt100', 'vt102', 'vt220', 'xterm', 'xterm-256color', 'screen', 'tmux', 'dumb'];
/** Where Debian's ncurses-base has them. */
const TERMINFO = '/lib/terminfo';

const file = (path: string, content: Uint8Array | string, mode = 0o644): CpioEntry => ({
  path,
  kind: 'file',
  content: typeof content === 'string' ? Buffer.from(content) : content,
  mode,
});
const copy = (path: string, from: string, mode?: number): CpioEntry => file(path, readFileSync(from), mode);
const link = (path: string, target: string): CpioEntry => ({ path, kind: 'link', target });
const folder = (path: string, mode = 0o755): CpioEntry => ({ path, kind: 'folder', mode });

/** Folders, links and small files that every system has, and our own two scripts. */
const skeleton = (): CpioEntry[] => [
  ...['dev', 'proc', 'sys', 'run', 'bin', 'etc', 'mnt'].map((path) => folder(path)),
  folder('root', 0o700),
  folder('tmp', 0o1777),
  // Programs look for each other in all of these; the kernel, for /sbin/modprobe.
  ...['sbin', 'usr/bin', 'usr/sbin'].map((path) => link(path, '/bin')),
  link('etc/mtab', '/proc/mounts'),
  file('etc/passwd', 'root::0:0:root:/root:/bin/sh\n'),
  file('etc/group', 'root:x:0:\n'),
  // The kernel opens it for init's output before /dev is mounted.
  { path: 'dev/console', kind: 'device', major: 5, minor: 1 },
  copy('init', join(import.meta.dirname, 'init'), 0o755),
  copy('etc/profile', join(import.meta.dirname, 'profile')),
];

const busyboxAndApplets = (busybox: string): CpioEntry[] => {
  const applets = runProgram(busybox, ['--list']).toString().trim().split('\n');
  return [
    copy('bin/busybox', busybox, 0o755),
    ...applets.filter((name) => name !== 'busybox').map((name) => link(`bin/${name}`, 'busybox')),
  ];
};

/** Paths of the libraries that a program is linked with, the loader included. */
export const librariesOf = (program: string): string[] => {
  const said = runProgram('ldd', [program]).toString();
  if (said.includes('not found')) throw new Error(`libraries of ${program} are missing:\n${said}`);
  return [...said.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!);
};

const terminalDescriptions = (): CpioEntry[] =>
  TERMINALS.map((name) => {
    const path = join(TERMINFO, name[0]!, name);
    if (!existsSync(path)) throw new Error(`there is no terminal description ${path}`);
    return copy(path.slice(1), path);
  });

/** Modules, and the two tables that modprobe reads, made for just these. */
const modules = ({ kernel, busybox, folder }: InitramfsParts): CpioEntry[] => {
  const below = `lib/modules/${kernel.release}`;
  const { paths } = resolveModules(kernel, wantedModules(), busybox);
  const copies = paths.map((path) => {
    const from = join(kernel.root, below, path);
    const to = join(folder, below, path);
    mkdirSync(dirname(to), { recursive: true });
    // Linked, not copied: depmod only looks into them.
    runProgram('ln', [from, to]);
    return copy(join(below, path), from);
  });
  runProgram(busybox, ['depmod', '-b', folder, kernel.release]);
  const tables = ['modules.dep', 'modules.alias'].map((name) => join(below, name));
  return [...copies, ...tables.map((path) => copy(path, join(folder, path)))];
};

/** All that goes into the initramfs, by part. */
export const initramfsParts = (parts: InitramfsParts): Part[] => [
  { name: 'holdfast', entries: [copy('bin/holdfast', parts.holdfast, 0o755)] },
  {
    name: 'its libraries',
    entries: librariesOf(parts.holdfast).map((path) => copy(path.slice(1), path, 0o755)),
  },
  { name: 'kernel modules', entries: modules(parts) },
  { name: 'busybox', entries: busyboxAndApplets(parts.busybox) },
  { name: 'keyboard layouts', entries: parts.keymaps },
  { name: 'init, terminals', entries: [...skeleton(), ...terminalDescriptions()] },
];

/**
 * One compressed archive. Same entries, same bytes, whatever the number of processors: zstd cuts its input by level,
 * not by thread. Measured on 143 MiB: level 12 makes 41.2 MiB of it in 8 s of processor time, level 17 38.1 MiB in 63 s,
 * level 19 36.3 MiB in 92 s. xz would be smaller still, and keep every boot waiting.
 */
export const compressedArchive = (entries: readonly CpioEntry[], time: number): Buffer =>
  runProgram('zstd', ['-12', '-T0', '--stdout', '--quiet'], { input: cpioArchive(entries, time) });

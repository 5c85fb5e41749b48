import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PROJECT } from '../build/bundle.ts';
import { runProgram } from '../build/program.ts';

/**
 * Debian packages whose files go onto the medium (kernel, boot loaders, busybox). Each is downloaded with apt, which
 * checks it against the signed package lists, and unpacked, not installed: nothing of the builder's system changes.
 * Kept in `node_modules/.cache` (75 MB) and checked again at each use.
 */

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** SHA-256, hexadecimal, from the signed package lists. */
  readonly digest: string;
  /** The package itself. */
  readonly path: string;
}

type Facts = Omit<DebianPackage, 'path'>;

const CACHE = join(PROJECT, 'node_modules/.cache/holdfast-debian');

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The value of a field in what `apt-cache show` prints (deb-control(5)). */
const field = (said: string, name: string): string | undefined =>
  new RegExp(`^${name}: (.*)$`, 'm').exec(said)?.[1];

/** What the lists say about a package; empty if they do not know it. */
const show = (name: string): string => {
  try {
    return runProgram('apt-cache', ['show', '--no-all-versions', name]).toString();
  } catch {
    return '';
  }
};

/** The newest version that the package lists know; undefined if they know none, as on a machine without lists. */
const newest = (name: string): Facts | undefined => {
  const said = show(name);
  const version = field(said, 'Version');
  const digest = field(said, 'SHA256');
  // apt-get takes a name that it does not know for a pattern, and would download whatever matches.
  if (field(said, 'Package') !== name || version === undefined || digest === undefined) return undefined;
  return { name, version, digest };
};

/** Follows Debian's package that always depends on the newest kernel. */
const newestKernel = (): Facts | undefined => {
  const depends = field(show('linux-image-amd64'), 'Depends');
  const name = /\blinux-image-\d[\w.+-]*/.exec(depends ?? '')?.[0];
  return name === undefined ? undefined : newest(name);
};

const digestOfFile = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Downloads into the cache. Throws with all that apt said, or if what came is not what the lists promise. */
const download = ({ name, version, digest }: Facts, cached: string): void => {
  const folder = mkdtempSync(join(CACHE, '.download-'));
  try {
    // Into a folder of our own, which apt's own user could not write to.
    const words = ['-q', '-o', 'APT::Sandbox::User=root', 'download', `${name}=${version}`];
    runProgram('apt-get', words, { folder });
    const file = readdirSync(folder).find((each) => each.endsWith('.deb'));
    if (file === undefined) throw new Error(`apt-get downloaded nothing for ${name}`);
    if (digestOfFile(join(folder, file)) !== digest)
      throw new Error(`${basename(file)} is not what the package lists say`);
    // Versions of before are of no use any more.
    for (const each of readdirSync(CACHE)) if (each.startsWith(`${name}_`)) rmSync(join(CACHE, each));
    renameSync(join(folder, file), cached);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/**
 * The newest version of one package, or `kernel` for that of Debian's kernel. Throws, with all that apt said, if it
 * cannot be had.
 */
export const fetchPackage = (name: string): DebianPackage => {
  mkdirSync(CACHE, { recursive: true });
  const said: string[] = [];
  // Lists may be missing, or older than what the server still has: the second try is with new ones.
  for (const fresh of [false, true]) {
    try {
      if (fresh) runProgram('apt-get', ['-q', '-y', '-o', 'DPkg::Lock::Timeout=300', 'update']);
      const facts = name === 'kernel' ? newestKernel() : newest(name);
      if (facts === undefined) throw new Error(`the package lists do not know ${name}`);
      const path = join(CACHE, `${facts.name}_${facts.digest}.deb`);
      if (!existsSync(path) || digestOfFile(path) !== facts.digest) download(facts, path);
      return { ...facts, path };
    } catch (error) {
      said.push(messageOf(error));
    }
  }
  throw new Error(`Debian's package ${name} is needed, and apt does not bring it:\n${said.join('\n')}`);
};

/** Unpacks a package's files into a folder that exists: all, or those that tar's wildcards match (`./boot/*`). */
export const unpackPackage = (
  { path }: DebianPackage,
  folder: string,
  members: readonly string[] = [],
): void => {
  const script = 'package=$1; shift; set -o pipefail; dpkg-deb --fsys-tarfile "$package" | tar -x "$@"';
  runProgram('bash', ['-c', script, 'unpack', path, '-C', folder, '--wildcards', ...members]);
};

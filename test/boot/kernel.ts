import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PROJECT } from '../../build/bundle.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { everythingSaid, mustRun, type RunResult, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/**
 * Debian's kernel, for the machine that boots. It is downloaded with apt, which checks it against the signed package
 * lists, and unpacked, not installed. 70 MB, kept in `node_modules/.cache` and checked again at each use.
 */

const META_PACKAGE = 'linux-image-amd64';
const CACHE = join(PROJECT, 'node_modules/.cache/holdfast-boot');
const TEN_MINUTES = 600_000;

interface PackageFacts {
  readonly name: string;
  readonly version: string;
  /** SHA-256, hexadecimal, from the signed package lists. */
  readonly digest: string;
}

/** The value of a field in what `apt-cache show` prints (deb-control(5)). */
const field = (said: string, name: string): string | undefined =>
  new RegExp(`^${name}: (.*)$`, 'm').exec(said)?.[1];

const show = (name: string): RunResult => run('apt-cache', ['show', '--no-all-versions', name]);

/** The newest kernel that the package lists know; undefined if they know none, as on a machine without lists. */
const newestKernel = (): PackageFacts | undefined => {
  const depends = field(show(META_PACKAGE).stdout, 'Depends');
  const name = /\blinux-image-\d[\w.+-]*/.exec(depends ?? '')?.[0];
  if (name === undefined) return undefined;
  const said = show(name).stdout;
  const version = field(said, 'Version');
  const digest = field(said, 'SHA256');
  // apt-get takes a name that it does not know for a pattern, and would download whatever matches.
  if (field(said, 'Package') !== name || version === undefined || digest === undefined) return undefined;
  return { name, version, digest };
};

const digestOfFile = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

const updateLists = (): RunResult =>
  run('apt-get', ['-q', '-y', '-o', 'DPkg::Lock::Timeout=300', 'update'], { timeout: TEN_MINUTES });

const download = (cleanup: Cleanup, { name, version }: PackageFacts): { path?: string; said: string } => {
  const folder = temporaryFolder(cleanup);
  // Into a folder of our own, which apt's own user could not write to.
  const result = run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', `${name}=${version}`], {
    cwd: folder,
    timeout: TEN_MINUTES,
  });
  const file = readdirSync(folder).find((each) => each.endsWith('.deb'));
  const said = everythingSaid(result);
  return result.exit === 0 && file !== undefined ? { path: join(folder, file), said } : { said };
};

/** Path of the kernel's package. Throws, with all that apt said, if it cannot be had: there is no test without. */
const kernelPackage = (cleanup: Cleanup): string => {
  const said: string[] = [];
  // Lists may be missing, or older than what the server still has: the second try is with new ones.
  for (const fresh of [false, true]) {
    if (fresh) said.push(everythingSaid(updateLists()));
    const facts = newestKernel();
    if (facts === undefined) {
      said.push(`the package lists know no ${META_PACKAGE}`);
      continue;
    }
    const cached = join(CACHE, `${facts.digest}.deb`);
    if (existsSync(cached) && digestOfFile(cached) === facts.digest) return cached;
    const got = download(cleanup, facts);
    said.push(got.said);
    if (got.path === undefined) continue;
    if (digestOfFile(got.path) !== facts.digest) {
      said.push(`${basename(got.path)} is not what the package lists say`);
      continue;
    }
    rmSync(CACHE, { recursive: true, force: true });
    mkdirSync(CACHE, { recursive: true });
    // Not a rename: the temporary folder may be on another file system.
    mustRun('cp', [got.path, `${cached}.new`]);
    renameSync(`${cached}.new`, cached);
    return cached;
  }
  throw new Error(`The boot tests need Debian's kernel, and apt does not bring it:\n${said.join('\n')}`);
};

export interface Kernel {
  /** The file that a boot loader loads. */
  readonly image: string;
  /** Paths of the wanted modules and of all that they need, in the order in which they must be loaded. */
  readonly modules: readonly string[];
}

/** `modules.dep` (depmod(8)): `file: what it needs, the last to be loaded first`; paths relative to its folder. */
const parseDependencies = (text: string): Map<string, { path: string; needs: readonly string[] }> => {
  const all = new Map<string, { path: string; needs: readonly string[] }>();
  for (const line of text.split('\n')) {
    const [path, needs] = line.split(':');
    if (path === undefined || needs === undefined) continue;
    all.set(basename(path, '.ko'), { path, needs: needs.split(' ').filter((word) => word !== '') });
  }
  return all;
};

/** Without the drivers of everything else: a tenth of the files. */
const unpack = (archive: string, folder: string): void => {
  const drivers = ['block', 'virtio'].map((name) => `./lib/modules/*/kernel/drivers/${name}`);
  const others = ['crypto', 'fs/ext4', 'fs/jbd2', 'fs/mbcache.ko', 'lib'].map(
    (name) => `./lib/modules/*/kernel/${name}`,
  );
  const script = 'archive=$1; shift; set -o pipefail; dpkg-deb --fsys-tarfile "$archive" | tar -x "$@"';
  const tar = ['-C', folder, '--wildcards', './boot', './lib/modules/*/modules.*', ...drivers, ...others];
  mustRun('bash', ['-c', script, 'unpack', archive, ...tar], { timeout: TEN_MINUTES });
};

/** Debian's kernel with these modules, unpacked into a temporary folder. */
export const fetchKernel = (cleanup: Cleanup, wanted: readonly string[]): Kernel => {
  const root = temporaryFolder(cleanup);
  unpack(kernelPackage(cleanup), root);
  const [release] = readdirSync(join(root, 'lib/modules'));
  if (release === undefined) throw new Error('the kernel package holds no modules');
  const folder = join(root, 'lib/modules', release);
  // Made when the package is installed; this one is not.
  mustRun('busybox', ['depmod', '-b', root, release]);
  const known = parseDependencies(readFileSync(join(folder, 'modules.dep'), 'utf8'));
  const paths = new Set<string>();
  for (const name of wanted) {
    const module = known.get(name);
    if (module === undefined) throw new Error(`kernel ${release} has no module ${name}`);
    for (const path of [...module.needs].reverse()) paths.add(path);
    paths.add(module.path);
  }
  const image = join(root, 'boot', `vmlinuz-${release}`);
  return { image, modules: [...paths].map((path) => join(folder, path)) };
};

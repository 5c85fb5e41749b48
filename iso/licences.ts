import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { runProgram } from '../build/program.ts';
import { type DebianPackage, unpackPackage } from './debian.ts';
import { librariesOf } from './initramfs.ts';

/**
 * Whoever is given the medium is told what is on it: our own licences, and for each Debian package its version, with
 * which Debian's archive gives the source, and its copyright file with the licences that it refers to.
 */

const DOCUMENTS = '/usr/share/doc';
const COMMON = '/usr/share/common-licenses';

interface Notice {
  readonly name: string;
  readonly version: string;
  readonly text: string;
}

/** Of a package that was downloaded. */
const noticeOf = (each: DebianPackage, folder: string): Notice => {
  unpackPackage(each, folder, ['./usr/share/doc/*/copyright']);
  const text = readFileSync(join(folder, 'usr/share/doc', each.name, 'copyright'), 'utf8');
  return { name: each.name, version: each.version, text };
};

/**
 * The package that a file of this machine is from. /lib is a link to /usr/lib, and dpkg knows a file by the one of its
 * two paths that its package has.
 */
const packageOf = (path: string): string => {
  const paths = [path, path.startsWith('/usr/') ? path.slice('/usr'.length) : `/usr${path}`];
  for (const each of paths) {
    try {
      return runProgram('dpkg-query', ['--search', each]).toString().split(':')[0]!;
    } catch {
      // Then the other one.
    }
  }
  throw new Error(`no Debian package has ${path}: its licence is not known`);
};

/** Of the packages that this machine's files come from: libraries, terminal descriptions, GRUB for BIOS. */
const installedNotices = (files: readonly string[]): Notice[] =>
  [...new Set(files.map((path) => packageOf(realpathSync(path))))].map((name) => {
    const status = runProgram('dpkg-query', ['--status', name]).toString();
    const version = /^Version: (.*)$/m.exec(status)?.[1];
    if (version === undefined) throw new Error(`dpkg-query gives no version of ${name}:\n${status}`);
    return { name, version, text: readFileSync(join(DOCUMENTS, name, 'copyright'), 'utf8') };
  });

/** Writes `ours` to `output`, and beside it a file for each package, each licence, and the list of packages. */
export const writeLicences = (
  output: string,
  ours: string,
  downloaded: readonly DebianPackage[],
  holdfast: string,
): void => {
  const target = dirname(output);
  const folder = mkdtempSync(join(target, '.notices-'));
  try {
    const installed = [...librariesOf(holdfast), '/lib/terminfo/l/linux', '/usr/lib/grub/i386-pc/cdboot.img'];
    const notices = [...downloaded.map((each) => noticeOf(each, folder)), ...installedNotices(installed)];
    notices.sort((one, two) => (one.name < two.name ? -1 : 1));
    writeFileSync(output, ours);
    for (const { name, text } of notices) writeFileSync(join(target, `${name}.txt`), text);
    const list = notices.map(({ name, version }) => `${name} ${version}\n`).join('');
    writeFileSync(join(target, 'PACKAGES'), `Debian packages whose files are on this medium:\n\n${list}`);
    mkdirSync(join(target, 'common'));
    for (const name of readdirSync(COMMON))
      writeFileSync(join(target, 'common', name), readFileSync(join(COMMON, name)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/**
 * The archive that the kernel unpacks as its first root file system: cpio's "new ASCII" format, as in the kernel's
 * Documentation/driver-api/early-userspace/buffer-format.rst. Written here and not by cpio(1), so that owners, times,
 * inode numbers and order are the same everywhere, and device nodes need no root.
 */

export type CpioEntry =
  | { readonly path: string; readonly kind: 'folder'; readonly mode?: number }
  | { readonly path: string; readonly kind: 'file'; readonly content: Uint8Array; readonly mode?: number }
  | { readonly path: string; readonly kind: 'link'; readonly target: string }
  | { readonly path: string; readonly kind: 'device'; readonly major: number; readonly minor: number };

/** File type bits of `c_mode` (stat(2)). */
const TYPE = { folder: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 } as const;
/** Permissions where the entry does not say. */
const MODE = { folder: 0o755, file: 0o644, link: 0o777, device: 0o600 } as const;
const NONE = new Uint8Array();

interface Member {
  readonly path: string;
  /** `c_mode`: type and permissions. */
  readonly mode: number;
  readonly links: number;
  readonly content: Uint8Array;
  readonly device?: readonly [number, number];
}

const memberOf = (entry: CpioEntry): Member => {
  const { path, kind } = entry;
  const mode = TYPE[kind] | (('mode' in entry ? entry.mode : undefined) ?? MODE[kind]);
  if (kind === 'folder') return { path, mode, links: 2, content: NONE };
  if (kind === 'file') return { path, mode, links: 1, content: entry.content };
  if (kind === 'link') return { path, mode, links: 1, content: Buffer.from(entry.target) };
  return { path, mode, links: 1, content: NONE, device: [entry.major, entry.minor] };
};

/** Header, name, content; each of the two parts filled up with zeros to a multiple of four bytes. */
const packed = ({ path, mode, links, content, device }: Member, inode: number, time: number): Buffer[] => {
  const name = Buffer.from(`${path}\0`);
  const [major, minor] = device ?? [0, 0];
  // ino, mode, uid, gid, nlink, mtime, filesize, device's major and minor, rdev's, namesize, check
  const fields = [inode, mode, 0, 0, links, time, content.length, 0, 0, major, minor, name.length, 0];
  const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
  const fill = (length: number): Buffer => Buffer.alloc((4 - (length % 4)) % 4);
  return [
    Buffer.concat([Buffer.from(header), name, fill(header.length + name.length)]),
    Buffer.from(content.buffer, content.byteOffset, content.length),
    fill(content.length),
  ];
};

/** Folders that paths lead through and no entry names. */
const missingFolders = (entries: readonly CpioEntry[]): CpioEntry[] => {
  const named = new Set(entries.map(({ path }) => path));
  const missing = new Set<string>();
  for (const { path } of entries) {
    const parts = path.split('/');
    for (let length = 1; length < parts.length; length++) {
      const parent = parts.slice(0, length).join('/');
      if (!named.has(parent)) missing.add(parent);
    }
  }
  return [...missing].map((path) => ({ path, kind: 'folder' }));
};

/**
 * The archive of these entries, sorted by path, owned by root. `time` is everyone's modification time in seconds since
 * 1970. Throws if a path is not relative, or given twice.
 */
export const cpioArchive = (entries: readonly CpioEntry[], time: number): Buffer => {
  // Sorted by bytes, a folder comes before what is in it.
  const all = [...entries, ...missingFolders(entries)]
    .map(memberOf)
    .sort((one, two) => Buffer.compare(Buffer.from(one.path), Buffer.from(two.path)));
  const pieces = all.flatMap((member, index) => {
    if (member.path === '' || member.path.startsWith('/'))
      throw new Error(`'${member.path}' is not relative`);
    if (member.path === all[index - 1]?.path) throw new Error(`${member.path} is there twice`);
    return packed(member, index + 1, time);
  });
  const end = packed({ path: 'TRAILER!!!', mode: 0, links: 1, content: NONE }, 0, 0);
  return Buffer.concat([...pieces, ...end]);
};

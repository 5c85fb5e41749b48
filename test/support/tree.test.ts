import {
  appendFileSync,
  chmodSync,
  closeSync,
  lchownSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { duplicate } from './duplicate.ts';
import { e2fsckClean, mustBeClean } from './judges.ts';
import { mountFile } from './loop.ts';
import { populate } from './populate.ts';
import { mustRun } from './run.ts';
import { temporaryFolder } from './temporary.ts';
import { differences, snapshot } from './tree.ts';
import { makeVolume, type VolumeOptions } from './volume.ts';

const MIB = 1024 * 1024;

const VARIANTS: Record<string, Omit<VolumeOptions, 'size'>> = {
  'ext2 of 1 KiB blocks': { type: 'ext2', blockSize: 1024 },
  ext3: { type: 'ext3' },
  ext4: { blockSize: 4096 },
  'ext4 with bigalloc, inline_data and ea_inode': { features: ['bigalloc', 'inline_data', 'ea_inode'] },
};

for (const [name, variant] of Object.entries(VARIANTS))
  test(`a populated ${name} is sound and the same on the next mount`, (t) => {
    const file = makeVolume(join(temporaryFolder(t), 'volume'), { size: 48 * MIB, ...variant });
    const mount = mountFile(t, file);
    populate(mount.path, { size: 2 * MIB });
    const before = snapshot(mount.path);
    mount.unmount();
    mustBeClean(e2fsckClean(file));
    const after = snapshot(mountFile(t, file, { readOnly: true }).path);
    t.true(before.size > 1600);
    t.deepEqual(differences(before, after), []);
  });

test('the same seed makes the same tree, another seed another', (t) => {
  const folder = temporaryFolder(t);
  const make = (name: string, seed: string) => {
    const mount = mountFile(t, makeVolume(join(folder, name), { size: 24 * MIB }));
    populate(mount.path, { size: MIB, entries: 20, seed });
    return snapshot(mount.path);
  };
  const timeless = (lines: string[]): string[] =>
    lines.filter(
      (line) => !/: (ctime|generation|blocks|extents) was/.test(line) && !/lost\+found/.test(line),
    );
  const one = make('one', 'a');
  t.deepEqual(timeless(differences(one, make('two', 'a'), 100_000)), []);
  t.true(timeless(differences(one, make('three', 'b'), 100_000)).length > 50);
});

/** Each change that a comparison must notice, and what it must say of it. */
const CHANGES: Record<string, { change: (tree: string) => void; says: RegExp }> = {
  'one byte of content, with the old time put back': {
    change: (tree) => {
      const path = join(tree, 'sizes', '4096');
      const { atime, mtime } = statSync(path);
      const content = readFileSync(path);
      content[2000]! ^= 1;
      writeFileSync(path, content);
      utimesSync(path, atime, mtime);
    },
    says: /"tree\/sizes\/4096": content was/,
  },
  length: {
    change: (tree) => appendFileSync(join(tree, 'sizes', '0'), 'x'),
    says: /sizes\/0": size was 0, is 1/,
  },
  mode: { change: (tree) => chmodSync(join(tree, 'modes', '644'), 0o645), says: /mode was 644, is 645/ },
  'owner of a symbolic link': {
    change: (tree) => lchownSync(join(tree, 'links', 'symbolic'), 1000, 7),
    says: /owner was 1000:1000, is 1000:7/,
  },
  'time of a folder': {
    change: (tree) => utimesSync(join(tree, 'empty folder'), 5, 6),
    says: /empty folder": mtime was/,
  },
  'an extended attribute': {
    change: (tree) =>
      mustRun('setfattr', ['-n', 'user.note', '-v', 'kelq', join(tree, 'attributes', 'small')]),
    says: /xattr user\.note was 0x6b656c70, is 0x6b656c71/,
  },
  'an ACL': {
    change: (tree) => mustRun('setfacl', ['-m', 'u:1000:r', join(tree, 'attributes', 'acl')]),
    says: /xattr system\.posix_acl_access was/,
  },
  'a flag': {
    change: (tree) => mustRun('chattr', ['-d', join(tree, 'modes', 'no dump')]),
    says: /flags was/,
  },
  'a broken hard link': {
    change: (tree) => {
      unlinkSync(join(tree, 'links', 'target'));
      writeFileSync(join(tree, 'links', 'target'), 'target of links\n');
    },
    says: /same file as was/,
  },
  'a link target': {
    change: (tree) => {
      unlinkSync(join(tree, 'links', 'symbolic'));
      symlinkSync('tarket', join(tree, 'links', 'symbolic'));
    },
    says: /target was target, is tarket/,
  },
  'a device number': {
    change: (tree) => {
      unlinkSync(join(tree, 'special', 'character'));
      mustRun('mknod', [join(tree, 'special', 'character'), 'c', '1', '5']);
    },
    says: /device was/,
  },
  'a hole filled with zeros': {
    change: (tree) => {
      const handle = openSync(join(tree, 'sparse', 'islands'), 'r+');
      writeSync(handle, Buffer.alloc(4096), 0, 4096, 100 * 1024);
      closeSync(handle);
    },
    says: /islands": (blocks|extents) was/,
  },
  'a hole moved': {
    change: (tree) => {
      const path = join(tree, 'sparse', 'islands');
      const handle = openSync(path, 'r+');
      writeSync(handle, Buffer.alloc(4096), 0, 4096, 100 * 1024);
      closeSync(handle);
      mustRun('fallocate', ['--punch-hole', '--offset', '0', '--length', '4096', path]);
    },
    says: /islands": extents was/,
  },
  'a reserved part written': {
    change: (tree) => {
      const handle = openSync(join(tree, 'sparse', 'reserved, not written'), 'r+');
      writeSync(handle, Buffer.alloc(4096));
      closeSync(handle);
    },
    says: /reserved, not written": extents was/,
  },
  'a file renamed': {
    change: (tree) => renameSync(join(tree, 'odd names', '...'), join(tree, 'odd names', '....')),
    says: /\.\.\." is missing/,
  },
  'a file lost': {
    change: (tree) => rmSync(join(tree, 'many'), { recursive: true }),
    says: /"tree\/many" is missing/,
  },
  'a file gained': { change: (tree) => writeFileSync(join(tree, 'new'), ''), says: /"tree\/new" is new/ },
  'a file cut': {
    change: (tree) => truncateSync(join(tree, 'sizes', '1024'), 1023),
    says: /size was 1024, is 1023/,
  },
};

test('the comparison notices every kind of change', (t) => {
  const folder = temporaryFolder(t);
  const file = makeVolume(join(folder, 'volume'), { size: 16 * MIB });
  const mount = mountFile(t, file);
  populate(mount.path, { size: 256 * 1024, entries: 10 });
  const before = snapshot(mount.path);
  mount.unmount();
  for (const [name, { change, says }] of Object.entries(CHANGES)) {
    const copy = duplicate(file, join(folder, 'changed'));
    const changed = mountFile(t, copy);
    change(join(changed.path, 'tree'));
    mustRun('sync', ['--file-system', changed.path]);
    const lines = differences(before, snapshot(changed.path));
    changed.unmount();
    t.regex(lines.join('\n'), says, name);
  }
});

test('ignored paths and the top folder are left out unless asked for', (t) => {
  const mount = mountFile(t, makeVolume(join(temporaryFolder(t), 'volume'), { size: 4 * MIB }));
  const before = snapshot(mount.path);
  const strict = snapshot(mount.path, { topFolder: true, ignore: [] });
  mustRun('mkdir', [join(mount.path, '.holdfast')]);
  t.deepEqual(differences(before, snapshot(mount.path)), []);
  t.regex(
    differences(strict, snapshot(mount.path, { topFolder: true, ignore: [] })).join('\n'),
    /"\.": (mtime|links) was[\s\S]*"\.holdfast" is new/,
  );
});

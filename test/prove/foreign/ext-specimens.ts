import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { MIB } from '../../../rescue/units.ts';
import { ask, DAMAGES, damage, makeBase } from '../../fs/ext/damages.ts';
import { bytesAt, patchBytes } from '../../fs/fat/patching.ts';
import { mountFile } from '../../support/loop.ts';
import { noiseSource } from '../../support/noise.ts';
import { mustRun, run } from '../../support/run.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';
import type { Collection, Dice, Make, Specimen } from './specimen.ts';

/**
 * ext2, ext3 and ext4 volumes as nobody wants them: damaged with debugfs and by patching bytes, or made with features that hardly
 * anybody uses.
 */

const FILES = ['one', 'two', 'three', 'four', 'five'];

/** A tree that the damages know their way in: `folder/one` ..., a folder with an index, links, a file with attributes. */
const fill = (top: string): void => {
  const next = noiseSource('ext specimens');
  mkdirSync(join(top, 'folder', 'inner'), { recursive: true });
  for (const [index, name] of FILES.entries())
    writeFileSync(join(top, 'folder', name), next(3000 + 9000 * index));
  mkdirSync(join(top, 'many'));
  for (let index = 0; index < 150; index += 1)
    writeFileSync(
      join(top, 'many', `a name that takes some room, number ${index}`),
      index % 10 === 0 ? next(1500) : '',
    );
  mustRun('ln', [join(top, 'folder', 'one'), join(top, 'linked')]);
  mustRun('ln', ['-s', 'folder/two', join(top, 'symbolic')]);
  mustRun('ln', ['-s', `${'far/'.repeat(50)}away`, join(top, 'long symbolic')]);
  mustRun('mknod', [join(top, 'device'), 'c', '1', '3']);
  mustRun('mkfifo', [join(top, 'pipe')]);
  mustRun('setfattr', ['-n', 'user.large', '-v', 'x'.repeat(400), join(top, 'folder', 'three')]);
  // Many pieces: an extent tree of its own blocks, or indirect blocks.
  const handle = openSync(join(top, 'striped'), 'w');
  for (let index = 0; index < 60; index += 1) writeSync(handle, next(1024), 0, 1024, index * 8192);
  closeSync(handle);
  mustRun('fallocate', ['--length', '200000', join(top, 'folder', 'allocated')]);
};

const made =
  (options: Partial<VolumeOptions>, mount: readonly string[] | false = []): Make =>
  (cleanup, path) => {
    makeVolume(path, { size: 24 * MIB, blockSize: 1024, ...options });
    if (mount === false) return;
    const mounted = mountFile(cleanup, path, { options: mount });
    const type = options.type ?? 'ext4';
    if (type === 'ext4' && options.features?.includes('^extent') !== true) fill(mounted.path);
    else fillWithoutExtents(mounted.path);
    mounted.unmount();
  };

/** ext2 and ext3 cannot give clusters to a file without writing them. */
const fillWithoutExtents = (top: string): void => {
  const path = join(top, 'folder', 'allocated');
  mkdirSync(join(top, 'folder'));
  writeFileSync(path, new Uint8Array(1));
  try {
    fill(top);
  } catch (error) {
    if (!/fallocate/.test(String(error))) throw error;
  }
};

/** What a power cut leaves: a copy that is taken while the volume is mounted, with a file that is open but has no name any more. */
const cut =
  (options: Partial<VolumeOptions>): Make =>
  (cleanup, path) => {
    const whole = `${path}.whole`;
    made(options)(cleanup, whole);
    const mount = mountFile(cleanup, whole);
    const orphan = join(mount.path, 'orphan');
    const handle = openSync(orphan, 'w');
    try {
      writeSync(handle, noiseSource('orphan')(5000));
      rmSync(orphan);
      writeFileSync(join(mount.path, 'last words'), 'content');
      mustRun('sync', ['--file-system', mount.path]);
      mustRun('blockdev', ['--flushbufs', mount.device]);
      copyFileSync(whole, path);
    } finally {
      closeSync(handle);
    }
    mount.unmount();
    rmSync(whole);
  };

/** Filled first: not every kernel mounts volumes with quota files. */
const quotaOf =
  (...options: readonly string[]): Make =>
  (cleanup, path) => {
    made({})(cleanup, path);
    mustRun('tune2fs', [...options, path]);
  };

/** Volumes that are odd as they are. */
const ODD: Readonly<Record<string, Make>> = {
  bigalloc: made({ features: ['bigalloc'], size: 64 * MIB, more: ['-C', '16384'] }),
  'inline data': made({ features: ['inline_data'] }),
  'inline data, inodes of 1024 bytes': made({ features: ['inline_data'], more: ['-I', '1024'] }),
  meta_bg: made({ features: ['meta_bg', '^resize_inode'], size: 48 * MIB }),
  'no flexible groups': made({ features: ['^flex_bg'], size: 48 * MIB }),
  'blocks of 4 KiB': made({ blockSize: 4096, size: 48 * MIB }),
  'blocks of 2 KiB': made({ blockSize: 2048 }),
  sparse_super2: made({ features: ['sparse_super2', '^resize_inode'], size: 48 * MIB }),
  'a superblock in every group': made({ type: 'ext2', features: ['^sparse_super', '^resize_inode'] }),
  'encrypt and verity': made({ features: ['encrypt', 'verity'] }),
  casefold: made({ features: ['casefold'] }, false),
  quota: quotaOf('-O', 'quota'),
  'project quota': quotaOf('-O', 'project', '-Q', 'prjquota'),
  'multiple mount protection': made({ features: ['mmp'] }),
  'no journal': made({ features: ['^has_journal'] }),
  'original revision': made({ type: 'ext2', more: ['-r', '0'] }),
  'no file types': made({ type: 'ext2', features: ['^filetype', '^dir_index'] }),
  'block maps on ext4': made({ features: ['^extent', '^64bit'] }),
  'checksums of old': made({ features: ['^metadata_csum', 'uninit_bg'] }),
  'orphan file': made({ features: ['orphan_file'] }),
  'large attributes in inodes': made({ features: ['ea_inode'] }),
  'fast commits': made({ features: ['fast_commit'] }),
  'groups never used': made({ size: 64 * MIB, extended: ['lazy_itable_init=1', 'lazy_journal_init=1'] }, [
    'noinit_itable',
  ]),
  'blocks of 64 KiB': (_cleanup, path) => {
    makeVolume(path, { size: 64 * MIB, more: ['-b', '65536'] });
  },
  'a journal on another device': (_cleanup, path) => {
    makeVolume(path, { size: 24 * MIB, blockSize: 1024, features: ['^has_journal'] });
    mustRun('debugfs', ['-w', '-R', 'feature has_journal', path]);
    mustRun('debugfs', ['-w', '-R', 'ssv journal_dev 0x801', path]);
  },
  'test file system': made({ extended: ['test_fs'] }, false),
  'almost full': (cleanup, path) => {
    made({})(cleanup, path);
    const mount = mountFile(cleanup, path);
    run('dd', ['if=/dev/zero', `of=${join(mount.path, 'filler')}`, 'bs=64K', 'status=none']);
    mount.unmount();
  },
};

const BASES: Readonly<Record<string, Make>> = {
  'ext2, two files': (cleanup, path) => {
    makeBase(cleanup, path);
  },
  ext4: made({}),
  ext3: made({ type: 'ext3' }),
  ext2: made({ type: 'ext2' }),
  'ext4 without checksums': made({ features: ['^metadata_csum', '^uninit_bg'] }),
  'ext4 after a power cut': cut({}),
  'ext3 after a power cut': cut({ type: 'ext3' }),
  'ext2 after a power cut': cut({ type: 'ext2' }),
  'orphan file after a power cut': cut({ features: ['orphan_file'] }),
  ...ODD,
};

const debugfs =
  (...requests: readonly string[]) =>
  (path: string): void => {
    mustRun('debugfs', ['-w', '-f', '-', path], { input: `${requests.join('\n')}\n` });
  };

const flip = (path: string, offset: number, mask: number): void => {
  const [byte] = bytesAt(path, offset, 1);
  patchBytes(path, offset, Uint8Array.of(byte! ^ mask));
};

/** Where dumpe2fs sees a structure of group 0, in blocks. */
const blockOf = (
  path: string,
  structure: 'Block bitmap' | 'Inode bitmap' | 'Inode table' | 'Group descriptors',
): number => Number(new RegExp(`${structure} at (\\d+)`).exec(mustRun('dumpe2fs', [path]).stdout)![1]);

const BLOCK = 1024;
const flipIn =
  (structure: Parameters<typeof blockOf>[1], within: number) =>
  (path: string): void =>
    flip(path, blockOf(path, structure) * BLOCK + within, 0x10);
const flipInFile =
  (name: string, block: number, within: number) =>
  (path: string): void =>
    flip(path, Number(ask(path, `bmap ${name} ${block}`)) * BLOCK + within, 0x10);

/** A run of blocks that dumpe2fs calls free, in the last group. */
const freeBlocks = (path: string): number => {
  const free = [
    ...mustRun('dumpe2fs', [path]).stdout.matchAll(/^ {2}Free blocks: (?:.*, )?(\d+)-(\d+)$/gm),
  ].at(-1)!;
  return Number(free[1]) + 5;
};

/** Marks blocks as used that nobody owns, and corrects all counts: what a crash without a journal leaves. */
const leak = (path: string): void => {
  const first = freeBlocks(path);
  const dump = mustRun('dumpe2fs', [path]).stdout;
  const total = Number(/^Free blocks:\s+(\d+)/m.exec(dump)![1]);
  const groups = [...dump.matchAll(/^ {2}(\d+) free blocks, /gm)];
  const last = groups.length - 1;
  debugfs(
    `setb ${first} 20`,
    `set_bg ${last} free_blocks_count ${Number(groups[last]![1]) - 20}`,
    `set_bg ${last} checksum calc`,
    `ssv free_blocks_count ${total - 20}`,
  )(path);
};

const DAMAGED: readonly (readonly [
  kind: string,
  name: string,
  base: string,
  damage: (path: string, dice: Dice) => void,
])[] = [
  ['orphan inodes', 'a list of orphans', 'ext4', debugfs('ssv last_orphan 12')],
  ['orphan inodes', 'an inode without a name', 'ext4', debugfs('unlink folder/four')],
  ['orphan inodes', 'a folder without a name', 'ext3', debugfs('unlink folder/inner')],
  ['bitmap bits wrong', 'blocks that nobody owns', 'ext2', leak],
  ['bitmap bits wrong', 'blocks that nobody owns', 'ext4 without checksums', leak],
  ['bitmap bits wrong', 'an inode in use marked as free', 'ext3', debugfs('freei folder/two')],
  ['bitmap bits wrong', 'a free inode marked as in use', 'ext2', debugfs('seti <900>')],
  [
    'links to what is not there',
    'a name in a folder for an inode that is empty',
    'ext2',
    debugfs('clri folder/four'),
  ],
  [
    'links to what is not there',
    'a name in a folder for an inode that is empty',
    'ext4',
    debugfs('clri folder/four'),
  ],
  ['links to what is not there', 'a name that is there twice', 'ext3', debugfs('ln folder/two folder/two')],
  ['wrong counts in inodes', 'too many links', 'ext4', debugfs('sif folder/two links_count 7')],
  ['wrong counts in inodes', 'too few links', 'ext3', debugfs('sif linked links_count 1')],
  ['wrong counts in inodes', 'too many links of a folder', 'ext2', debugfs('sif many links_count 9')],
  ['wrong counts in inodes', 'blocks of a file', 'ext4', debugfs('sif folder/two blocks 9999')],
  ['wrong counts in inodes', 'blocks of a file', 'ext2', debugfs('sif folder/two blocks 2')],
  ['wrong sizes', 'a file that is shorter than its blocks', 'ext4', debugfs('sif folder/four size 10')],
  ['wrong sizes', 'a file that is longer than its blocks', 'ext3', debugfs('sif folder/four size 9000000')],
  ['wrong sizes', 'a folder of a strange size', 'ext2', debugfs('sif many size 700')],
  ['wrong kinds of inodes', 'a file that says it is a pipe', 'ext4', debugfs('sif folder/two mode 010644')],
  ['wrong kinds of inodes', 'a file of no kind', 'ext2', debugfs('sif folder/two mode 0644')],
  [
    'wrong kinds of inodes',
    'a folder that says it is a file',
    'ext3',
    debugfs('sif folder/inner mode 0100644'),
  ],
  ['wrong kinds of inodes', 'a file that says it is a folder', 'ext4', debugfs('sif folder/two mode 040755')],
  ['wrong kinds of inodes', 'a symbolic link of length 0', 'ext4', debugfs('sif symbolic size 0')],
  ['odd inodes', 'a deletion time of a file that is there', 'ext4', debugfs('sif folder/two dtime 5')],
  ['odd inodes', 'flags that nobody knows', 'ext4', debugfs('sif folder/two flags 0xc0880000')],
  ['odd inodes', 'too much extra room', 'ext4', debugfs('sif folder/two extra_isize 900')],
  ['odd inodes', 'attributes outside of the volume', 'ext4', debugfs('sif folder/three file_acl 999999')],
  ['odd inodes', 'immutable and append-only', 'ext4', debugfs('sif folder/two flags 0x80030')],
  [
    'times',
    'before 1970 and after 2400',
    'ext4',
    debugfs(
      'sif folder/two mtime @0x80000001',
      'sif folder/two mtime_extra 3',
      'sif folder atime @0xffffffff',
    ),
  ],
  [
    'times',
    'the last mount lies in the future',
    'ext3',
    debugfs('ssv mtime 0xfffffff0', 'ssv wtime 0xfffffff0'),
  ],
  ['times', 'a check is long overdue', 'ext2', debugfs('ssv checkinterval 100', 'ssv lastcheck 1000')],
  ['times', 'mounted more often than allowed', 'ext3', debugfs('ssv max_mnt_count 5', 'ssv mnt_count 900')],
  ['wrong checksums', 'of the superblock', 'ext4', (path) => flip(path, 1024 + 0x78, 1)],
  ['wrong checksums', 'of a group', 'ext4', flipIn('Group descriptors', 0x1e)],
  ['wrong checksums', 'of a block bitmap', 'ext4', flipIn('Block bitmap', 900)],
  ['wrong checksums', 'of an inode bitmap', 'ext4', flipIn('Inode bitmap', 200)],
  ['wrong checksums', 'of the root', 'ext4', flipIn('Inode table', 256 + 0x20)],
  ['wrong checksums', 'of a folder in the root', 'ext4', flipInFile('/folder', 0, 200)],
  ['wrong checksums', 'of the root folder', 'ext4', flipInFile('/', 0, 1020)],
  [
    'wrong group descriptors',
    'a bitmap where the inode table is',
    'ext4 without checksums',
    (path) => debugfs(`set_bg 1 block_bitmap ${blockOf(path, 'Inode table')}`)(path),
  ],
  [
    'wrong group descriptors',
    'uninitialised where it is in use',
    'ext4',
    debugfs('set_bg 0 flags 0x3', 'set_bg 0 checksum calc'),
  ],
  [
    'wrong group descriptors',
    'more unused inodes than there are',
    'ext4',
    debugfs('set_bg 0 itable_unused 60000', 'set_bg 0 checksum calc'),
  ],
  ['journal', 'to be replayed, says the superblock', 'ext3', debugfs('feature needs_recovery')],
  ['journal', 'without its magic', 'ext3', flipInFile('<8>', 0, 1)],
  ['journal', 'aborted', 'ext3', flipInFile('<8>', 0, 0x23)],
  ['journal', 'not empty, though the superblock does not say so', 'ext4', flipInFile('<8>', 0, 0x1f)],
  ['journal', 'its inode is empty', 'ext4', debugfs('clri <8>')],
  ['state', 'not cleanly unmounted', 'ext2', debugfs('ssv state 0')],
  ['state', 'errors recorded', 'ext4', debugfs('ssv state 3')],
  ['state', 'errors counted', 'ext4', debugfs('ssv error_count 12', 'ssv last_error_ino 13')],
  [
    'state',
    'continues on errors, default options of its own',
    'ext4',
    debugfs('ssv errors 1', 'set_super_value default_mount_opts 0x3f'),
  ],
  ['superblock', 'a feature that nobody knows', 'ext4', debugfs('ssv feature_incompat 0x800002c2')],
  [
    'superblock',
    'no block size that there is',
    'ext2',
    (path) => patchBytes(path, 1024 + 24, Uint8Array.of(77)),
  ],
  ['superblock', 'no inodes', 'ext2', (path) => patchBytes(path, 1024, new Uint8Array(4))],
  ['superblock', 'more reserved blocks than blocks', 'ext2', debugfs('ssv r_blocks_count 4000000')],
  ['superblock', 'lost, backups are there', 'ext4', (path) => patchBytes(path, 1024, new Uint8Array(1024))],
  [
    'superblock',
    'backups lost',
    'ext2',
    (path) => patchBytes(path, 8193 * BLOCK, noiseSource('backup')(BLOCK)),
  ],
  [
    'superblock',
    'a label of nonsense',
    'ext2',
    (path) => patchBytes(path, 1024 + 0x78, noiseSource('label')(16)),
  ],
  [
    'boot area',
    'full of somebody’s boot code',
    'ext4',
    (path) => patchBytes(path, 0, noiseSource('boot')(1024)),
  ],
  [
    'boot area',
    'a partition table in it',
    'ext4',
    (path) => {
      const table = Buffer.alloc(512);
      table.set([0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x10, 0, 0], 446);
      table.set([0x55, 0xaa], 510);
      patchBytes(path, 0, table);
    },
  ],
  ['folders', 'one without `.` and `..`', 'ext2', flipInFile('/folder/inner', 0, 6)],
  [
    'folders',
    'a length of 0 in one',
    'ext2',
    (path) => patchBytes(path, Number(ask(path, 'bmap /folder 0')) * BLOCK + 4, Uint8Array.of(0, 0)),
  ],
  [
    'folders',
    'one that leads up to another',
    'ext3',
    debugfs('unlink folder/inner/..', 'ln many folder/inner/..'),
  ],
  ['folders', 'a damaged index', 'ext3', flipInFile('/many', 0, 0x1c)],
  ['folders', 'index flag without an index', 'ext2', debugfs('sif folder flags 0x1000')],
  ['folders', 'no lost+found', 'ext4', debugfs('rmdir lost+found')],
  [
    'folders',
    'a name with a slash',
    'ext2',
    (path) => {
      const block = Number(ask(path, 'bmap /folder 0')) * BLOCK;
      const at = bytesAt(path, block, BLOCK).indexOf('three');
      patchBytes(path, block + at, Buffer.from('thr/e'));
    },
  ],
  ['maps of files', 'an extent tree without its magic', 'ext4', flipInFile('striped', 0, 0)],
  ['maps of files', 'an indirect block of nonsense', 'ext2', debugfs('sif striped block[IND] 77')],
  ['maps of files', 'an extent outside of the volume', 'ext4', debugfs('sif folder/two block[5] 0x7fffffff')],
  ['maps of files', 'blocks behind the end', 'ext2', debugfs('sif folder/two block[9] 12000', 'setb 12000')],
  [
    'bad blocks',
    'in the list of them',
    'ext2',
    (path) => {
      const first = freeBlocks(path);
      const list = `${path}.bad`;
      writeFileSync(list, `${first}\n${first + 3}\n`);
      run('e2fsck', ['-f', '-y', '-l', list, path]);
      rmSync(list);
    },
  ],
  [
    'resized',
    'grown',
    'ext4',
    (path) => {
      truncateSync(path, 40 * MIB);
      mustRun('resize2fs', ['-f', path]);
    },
  ],
  [
    'resized',
    'shrunk, in a file that is larger',
    'ext3',
    (path) => {
      run('e2fsck', ['-f', '-y', path]);
      mustRun('resize2fs', ['-f', path, '18M']);
    },
  ],
  ['cut short', 'half a block is missing', 'ext4', (path) => truncateSync(path, statSync(path).size - 512)],
  ['cut short', 'the second half is missing', 'ext3', (path) => truncateSync(path, 11 * MIB)],
  ['cut short', 'a single sector', 'ext2', (path) => truncateSync(path, 512)],
  [
    'packed or copied badly',
    'shifted by a sector',
    'ext4',
    (path) => {
      const bytes = readFileSync(path);
      writeFileSync(path, Buffer.concat([Buffer.alloc(512), bytes]));
    },
  ],
];

/** Flips a few bits in the metadata of the first group, wherever they fall. */
const chance = (path: string, dice: Dice): void => {
  const structures = ['Block bitmap', 'Inode bitmap', 'Inode table', 'Group descriptors'] as const;
  // Before the first flip: dumpe2fs ends with an error at a wrong checksum.
  const starts = structures.map((structure) => blockOf(path, structure) * BLOCK);
  for (let flips = 1 + dice(3); flips > 0; flips -= 1) {
    const which = dice(structures.length);
    const within = dice(structures[which] === 'Inode table' ? 20 * BLOCK : BLOCK / 4);
    flip(path, starts[which]! + within, 1 << dice(8));
  }
};

const named = ([kind, name, base, damage_]: (typeof DAMAGED)[number]): Specimen => ({
  kind: `ext: ${kind}`,
  name: `${base}: ${kind}: ${name}`,
  base,
  damage: damage_,
});

export const EXT_SPECIMENS: Collection = {
  bases: BASES,
  specimens: [
    ...Object.keys(ODD).map(
      (base): Specimen => ({ kind: 'ext: unusual features', name: `ext: ${base}`, base }),
    ),
    ...Object.keys(BASES)
      .filter((base) => base.endsWith('power cut'))
      .map((base): Specimen => ({ kind: 'ext: power cut while mounted', name: base, base })),
    ...DAMAGED.map(named),
    ...DAMAGES.map(
      ({ name, requests }): Specimen => ({
        kind: 'ext: contradictions that the check knows',
        name: `ext2: ${name}`,
        base: 'ext2, two files',
        damage: (path) => damage(path, requests),
      }),
    ),
    ...['ext2', 'ext4 without checksums', 'ext4'].flatMap((base) =>
      Array.from(
        { length: 4 },
        (_, index): Specimen => ({
          kind: 'ext: bits flipped by chance',
          name: `${base}: bits flipped by chance, ${index + 1}`,
          base,
          damage: chance,
        }),
      ),
    ),
  ],
};

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { buildExtentTree, fileExtents } from '../../../rescue/fs/ext/extent-tree.ts';
import { buildIndirectMap } from '../../../rescue/fs/ext/indirect-map.ts';
import { type LogFormat, transactionBlocks } from '../../../rescue/fs/ext/journal-log.ts';
import {
  DIRECTORY_ENTRY,
  EXT_MAGIC,
  GROUP_DESCRIPTOR,
  INODE,
  SUPERBLOCK,
} from '../../../rescue/fs/ext/layout.ts';
import { PatchBuilder } from '../../../rescue/fs/patch.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { NOTHING } from '../editing.ts';

/** Rows of 16 bytes that differ, as `offset: before -> after`; rows that were zero show a dash. */
const changedRows = (before: Uint8Array, after: Uint8Array): string[] => {
  const rows: string[] = [];
  for (let at = 0; at < after.length; at += 16) {
    const [old, now] = [before, after].map((bytes) =>
      Buffer.from(bytes.subarray(at, at + 16)).toString('hex'),
    );
    if (old !== now)
      rows.push(`${at.toString(16).padStart(4, '0')}: ${/^0*$/.test(old!) ? '-' : old} -> ${now}`);
  }
  return rows;
};
const rowsOf = (bytes: Uint8Array): string[] =>
  changedRows(new Uint8Array(bytes.length), bytes).map((row) => row.replace('- -> ', ''));

const entry = (inode: number, length: number, name: string, type: number): Buffer =>
  Buffer.concat([
    DIRECTORY_ENTRY.encode({ inode, rec_len: length, name_len: name.length, file_type: type }),
    Buffer.from(name.padEnd(length - 8, '\0'), 'latin1'),
  ]);

/**
 * An ext2 of 64 blocks of 1 KiB, by hand: superblock in block 1, descriptor 2, bitmaps 3 and 4, inode table 5 and 6,
 * root folder 7, lost+found 8; the rest is free.
 */
const smallVolume = (): MemoryDevice => {
  const device = new MemoryDevice(64 * 1024);
  const put = (block: number, bytes: Uint8Array, at = 0): void => device.write(block * 1024 + at, bytes);
  put(
    1,
    SUPERBLOCK.encode({
      s_inodes_count: 16,
      s_blocks_count_lo: 64,
      s_free_blocks_count_lo: 55,
      s_free_inodes_count: 5,
      s_first_data_block: 1,
      s_blocks_per_group: 8192,
      s_clusters_per_group: 8192,
      s_inodes_per_group: 16,
      s_magic: EXT_MAGIC,
      s_state: 1,
      s_errors: 1,
      s_rev_level: 1,
      s_first_ino: 11,
      s_inode_size: 128,
      s_feature_incompat: 2,
      s_feature_ro_compat: 1,
      s_uuid: new Uint8Array(16).fill(0x11),
      s_lastcheck: 1,
      s_wtime: 1,
      s_max_mnt_count: 0xffff,
    }),
  );
  put(
    2,
    GROUP_DESCRIPTOR.encode({
      bg_block_bitmap_lo: 3,
      bg_inode_bitmap_lo: 4,
      bg_inode_table_lo: 5,
      bg_free_blocks_count_lo: 55,
      bg_free_inodes_count_lo: 5,
      bg_used_dirs_count_lo: 2,
    }).subarray(0, 32),
  );
  // Bit 0 is block 1; blocks 1 to 8 are in use, and what lies behind block 63.
  put(3, new Uint8Array(1024).fill(0xff).fill(0, 1, 8));
  put(3, Uint8Array.of(0x80), 7);
  put(4, new Uint8Array(1024).fill(0xff));
  put(4, Uint8Array.of(0xff, 0x07), 0);
  const folder = (block: number, links: number): Uint8Array =>
    INODE.encode({
      i_mode: 0o40755,
      i_size_lo: 1024,
      i_links_count: links,
      i_blocks_lo: 2,
      i_block: Uint8Array.of(block, ...new Uint8Array(59)),
    }).subarray(0, 128);
  put(5, folder(7, 3), 128);
  put(6, folder(8, 2), 2 * 128);
  put(7, Buffer.concat([entry(2, 12, '.', 2), entry(2, 12, '..', 2), entry(11, 1000, 'lost+found', 2)]));
  put(8, Buffer.concat([entry(11, 12, '.', 2), entry(2, 1012, '..', 2)]));
  return device;
};

const bytesOf = (device: MemoryDevice): Uint8Array => device.read(0, device.size);

test('a claim on a small ext2, byte by byte', (t) => {
  const device = smallVolume();
  const path = join(temporaryFolder(t), 'volume');
  writeFileSync(path, bytesOf(device));
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  const builder = new PatchBuilder(device);
  // Fourteen blocks in two runs: two more than the inode points to by itself.
  const runs = [
    { start: 50, length: 13 },
    { start: 40, length: 1 },
  ];
  extDriver.claim(builder, { name: 'a', runs, time: 0x65e1_0000, avoid: NOTHING });
  const after = builder.read(0, builder.size);
  t.deepEqual(changedRows(bytesOf(device), after), [
    // superblock: 16 blocks and two inodes less
    '0400: 10000000400000000000000037000000 -> 10000000400000000000000027000000',
    '0410: 05000000010000000000000000000000 -> 03000000010000000000000000000000',
    // group descriptor: the same, and one directory more
    '0800: 03000000040000000500000037000500 -> 03000000040000000500000027000300',
    '0810: 02000000000000000000000000000000 -> 03000000000000000000000000000000',
    // block bitmap: 9 and 10 for folder and indirect block, 40, 50 to 62
    '0c00: ff00000000000080ffffffffffffffff -> ff0300008000febfffffffffffffffff',
    // inode bitmap: 12 and 13
    '1000: ff07ffffffffffffffffffffffffffff -> ff1fffffffffffffffffffffffffffff',
    // inode 2: one link more
    '1490: 00000000000000000000030002000000 -> 00000000000000000000040002000000',
    // inode 12: mode, size, times; links and sectors; flags; blocks 50 to 61, indirect 9; generation
    '1980: - -> 00810000003800000000e1650000e165',
    '1990: - -> 0000e16500000000000001001e000000',
    '19a0: - -> 50000000000000003200000033000000',
    '19b0: - -> 34000000350000003600000037000000',
    '19c0: - -> 38000000390000003a0000003b000000',
    '19d0: - -> 3c0000003d0000000900000000000000',
    '19e0: - -> 00000000eac359010000000000000000',
    // inode 13: the folder in block 10
    '1a00: - -> c0410000000400000000e1650000e165',
    '1a10: - -> 0000e165000000000000020002000000',
    '1a20: - -> 00000000000000000a00000000000000',
    '1a60: - -> 00000000f7b0b59e0000000000000000',
    // root folder: lost+found is cut to what it needs, .holdfast takes the rest
    '1c10: 0c0002022e2e00000b000000e8030a02 -> 0c0002022e2e00000b00000014000a02',
    '1c20: 6c6f73742b666f756e64000000000000 -> 6c6f73742b666f756e6400000d000000',
    '1c30: - -> d40309022e686f6c6466617374000000',
    // block 9: the last two blocks of the file
    '2400: - -> 3e000000280000000000000000000000',
    // block 10: the folder
    '2800: - -> 0d0000000c0001022e00000002000000',
    '2810: - -> 0c0002022e2e00000c000000e8030501',
    '2820: - -> 612e6866690000000000000000000000',
  ]);
  writeFileSync(path, after);
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
  const released = new PatchBuilder(builder);
  extDriver.release(released, { name: 'a', time: 0x65e2_0000 });
  t.deepEqual(changedRows(bytesOf(device), released.read(0, builder.size)), [
    // the inodes keep times and generation, and get a time of deletion
    '1980: - -> 00000000000000000000e1650000e165',
    '1990: - -> 0000e1650000e2650000000000000000',
    '19e0: - -> 00000000eac359010000000000000000',
    '1a00: - -> 00000000000000000000e1650000e165',
    '1a10: - -> 0000e1650000e2650000000000000000',
    '1a60: - -> 00000000f7b0b59e0000000000000000',
    // lost+found has all of the rest again; what lies in its slack and in free blocks is left
    '1c20: 6c6f73742b666f756e64000000000000 -> 6c6f73742b666f756e6400000d000000',
    '1c30: - -> d40309022e686f6c6466617374000000',
    '2400: - -> 3e000000280000000000000000000000',
    '2800: - -> 0d0000000c0001022e00000002000000',
    '2810: - -> 0c0002022e2e00000c000000e8030501',
    '2820: - -> 612e6866690000000000000000000000',
  ]);
  writeFileSync(path, released.read(0, builder.size));
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
});

test('an extent tree with one node', (t) => {
  const runs = [
    { start: 1000, length: 40000 },
    ...[0, 1, 2].map((index) => ({ start: 2 ** 32 + 10 * index, length: 2 })),
  ];
  const scheme = {
    metadataChecksums: true,
    groupChecksums: 'crc32c',
    checksumSeed: 0x12345678,
    uuidBytes: new Uint8Array(16),
  } as const;
  const { root, nodes } = buildExtentTree(fileExtents(runs), {
    scheme,
    owner: { number: 12, generation: 7 },
    blockSize: 1024,
    place: () => 0x77,
  });
  t.deepEqual(rowsOf(root), [
    // header: one index entry of four, depth 1; it points to block 0x77
    '0000: 0af30100040001000000000000000000',
    '0010: 77000000000000000000000000000000',
  ]);
  t.is(nodes.length, 1);
  t.deepEqual(rowsOf(nodes[0]!.content), [
    // five extents of 84; the first run is cut at 32768 blocks; block numbers of 33 bits; checksum at the end
    '0000: 0af30500540000000000000000000000',
    '0010: 00800000e803000000800000401c0000',
    '0020: e8830000409c00000200010000000000',
    '0030: 429c0000020001000a000000449c0000',
    '0040: 02000100140000000000000000000000',
    '03f0: 0000000000000000000000005d2c62d4',
  ]);
});

test('a block map with all depths', (t) => {
  // 12 direct, 256 single, 65536 double, 2 triple: 260 pointer blocks.
  let next = 200_000;
  const blocks = new Map<number, Uint8Array>();
  const root = buildIndirectMap([{ start: 100, length: 12 + 256 + 65536 + 2 }], {
    blockSize: 1024,
    place: () => next++,
    emit: ({ block, content }) => blocks.set(block, content),
  });
  t.deepEqual(rowsOf(root), [
    // blocks 100 to 111, then the three indirect blocks
    '0000: 64000000650000006600000067000000',
    '0010: 68000000690000006a0000006b000000',
    '0020: 6c0000006d0000006e0000006f000000',
    '0030: 400d0300410d0300420e0300',
  ]);
  t.is(blocks.size, 1 + 257 + 3);
  const last = [...blocks.keys()].sort((a, b) => b - a)[0]!;
  t.deepEqual(rowsOf(blocks.get(last)!), ['0000: 70010100710101000000000000000000']);
});

const formats: Record<string, { format: Partial<LogFormat>; expected: string[] }> = {
  'without checksums': {
    format: {},
    expected: [
      '0000: c03b3998000000010000010100000005',
      '0010: 00000000abababababababababababab',
      '0020: abababab000020000000000b00000000',
      '',
      '0000: c03b3998000000020000010100000000',
    ],
  },
  'checksums v1': {
    format: { commitChecksum: true },
    expected: [
      '0000: c03b3998000000010000010100000005',
      '0010: 00000000abababababababababababab',
      '0020: abababab000020000000000b00000000',
      '',
      '0000: c03b3998000000020000010101040000',
      '0010: 85c88626000000000000000000000000',
    ],
  },
  'checksums v2, 64bit': {
    format: { checksums: 2, is64bit: true },
    expected: [
      '0000: c03b3998000000010000010100000005',
      '0010: f1350000000000000000abababababab',
      '0020: abababababababababab00002000f135',
      '0030: 000b0000000000000000000000000000',
      '03f0: 00000000000000000000000068db015d',
      '',
      '0000: c03b3998000000020000010100000000',
      '0010: 8944dc37000000000000000000000000',
    ],
  },
  'checksums v3, 64bit': {
    format: { checksums: 3, is64bit: true },
    expected: [
      '0000: c03b3998000000010000010100000005',
      '0010: 0000000000000000db80f135abababab',
      '0020: abababababababababababab00002000',
      '0030: 0000000b00000000db80f13500000000',
      '03f0: 0000000000000000000000004061ed45',
      '',
      '0000: c03b3998000000020000010100000000',
      '0010: 8944dc37000000000000000000000000',
    ],
  },
};
for (const [what, { format, expected }] of Object.entries(formats)) {
  test(`a transaction of two blocks, the second one escaped: ${what}`, (t) => {
    const full = {
      blockSize: 1024,
      uuid: new Uint8Array(16).fill(0xab),
      is64bit: false,
      checksums: 0,
      commitChecksum: false,
      ...format,
    } as const;
    const magic = Buffer.concat([Buffer.from('c03b3998', 'hex'), new Uint8Array(1020)]);
    const blocks = [
      { block: 5, content: new Uint8Array(1024) },
      { block: 0x2000, content: magic },
    ];
    const log = [...transactionBlocks(full, 0x101, blocks)];
    t.is(log.length, 4);
    t.true(
      log[2]!.every((byte) => byte === 0),
      'the magic number is taken out',
    );
    t.deepEqual([...rowsOf(log[0]!), '', ...rowsOf(log[3]!)], expected);
  });
}

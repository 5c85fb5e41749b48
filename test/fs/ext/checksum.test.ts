import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { openFile } from '../../../rescue/device/file.ts';
import { readBlockBitmap, readInodeBitmap } from '../../../rescue/fs/ext/bitmaps.ts';
import * as checksum from '../../../rescue/fs/ext/checksum.ts';
import { crc16, crc32c } from '../../../rescue/fs/ext/crc.ts';
import { directoryBlocks, lookup } from '../../../rescue/fs/ext/directory.ts';
import { type Inode, readInode } from '../../../rescue/fs/ext/inode.ts';
import { JOURNAL_INODE, ROOT_INODE, SUPERBLOCK } from '../../../rescue/fs/ext/layout.ts';
import { dataRuns, readMapping } from '../../../rescue/fs/ext/mapping.ts';
import { ExtVolume } from '../../../rescue/fs/ext/volume.ts';
import { MIB } from '../../../rescue/units.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';

test('crc32c and crc16 give the published check values', (t) => {
  const digits = Buffer.from('123456789');
  // The usual CRC-32C inverts at the end (RFC 3720 B.4), CRC-16/ARC starts from 0.
  t.is((crc32c(0xffff_ffff, digits) ^ 0xffff_ffff) >>> 0, 0xe306_9283);
  t.is((crc32c(0xffff_ffff, new Uint8Array(32)) ^ 0xffff_ffff) >>> 0, 0x8a91_36aa);
  t.is(crc16(0, digits), 0xbb3d);
});

test('crc32c does not depend on how the bytes are cut', (t) => {
  const property = fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
    const at = Math.min(cut, bytes.length);
    const whole = crc32c(1, bytes);
    return crc32c(crc32c(1, bytes, 0, at), bytes, at) === whole;
  });
  t.notThrows(() => fc.assert(property));
});

const populated = (t: ExecutionContext, options: Partial<VolumeOptions>): ExtVolume => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 32 * MIB,
    blockSize: 1024,
    ...options,
  });
  const mount = mountFile(t, path);
  const many = join(mount.path, 'many');
  mkdirSync(many);
  for (let index = 0; index < 400; index += 1)
    writeFileSync(join(many, `a name that takes some room ${index}`), '');
  const holes = join(mount.path, 'holes');
  for (let index = 0; index < 200; index += 1)
    mustRun('dd', ['if=/dev/zero', `of=${holes}`, 'bs=1024', 'count=1', `seek=${index * 2}`, 'conv=notrunc']);
  writeFileSync(join(mount.path, 'attributes'), '');
  mustRun('setfattr', [
    '-n',
    'user.large',
    '-v',
    `0x${randomBytes(500).toString('hex')}`,
    join(mount.path, 'attributes'),
  ]);
  mount.unmount();
  const device = openFile(path);
  t.teardown(() => device.close());
  return new ExtVolume(device);
};

const byName = (volume: ExtVolume, name: string): Inode =>
  readInode(volume, lookup(volume, readInode(volume, ROOT_INODE), name)!.inode);

/**
 * Spoils the checksum that mke2fs or the kernel wrote, has ours set, and expects their bytes again.
 * `covered` gives what `ok` must reject when it is changed.
 */
const sameAsTheirs = (
  t: ExecutionContext,
  what: string,
  theirs: Uint8Array,
  hole: readonly [number, number],
  set: (bytes: Uint8Array) => void,
  ok: (bytes: Uint8Array) => boolean,
): void => {
  t.true(ok(theirs), what);
  const ours = Uint8Array.from(theirs);
  const [at, width] = hole;
  for (let index = at; index < at + width; index += 1) ours[index]! ^= 0x5a;
  t.false(ok(ours), what);
  set(ours);
  t.deepEqual(Buffer.from(ours), Buffer.from(theirs), what);
  const spoiled = Uint8Array.from(theirs);
  spoiled[0]! ^= 1;
  t.false(ok(spoiled), `${what}, first byte changed`);
};

const allChecksums = (t: ExecutionContext, options: Partial<VolumeOptions>): void => {
  const volume = populated(t, options);
  const scheme = volume.parameters;
  sameAsTheirs(
    t,
    'superblock',
    volume.superblock,
    [SUPERBLOCK.offsetOf('s_checksum'), 4],
    (bytes) => checksum.setSuperblockChecksum(scheme, bytes),
    (bytes) => checksum.superblockChecksumOk(scheme, bytes),
  );
  for (let index = 0; index < volume.groupCount; index += 1) {
    const group = volume.group(index);
    const set = (bytes: Uint8Array): void => checksum.setGroupChecksum(scheme, index, bytes);
    const ok = (bytes: Uint8Array): boolean => checksum.groupChecksumOk(scheme, index, bytes);
    sameAsTheirs(t, `group ${index}`, group.bytes, [0x1e, 2], set, ok);
    for (const kind of ['block', 'inode'] as const) {
      if (kind === 'block' ? group.blockUninitialised : group.inodeUninitialised) continue;
      const bitmap = kind === 'block' ? readBlockBitmap(volume, group) : readInodeBitmap(volume, group);
      const setBitmap = (bytes: Uint8Array): void => checksum.setBitmapChecksum(scheme, kind, bytes, bitmap);
      const bitmapOk = (bytes: Uint8Array): boolean => checksum.bitmapChecksumOk(scheme, kind, bytes, bitmap);
      const ours = Uint8Array.from(group.bytes);
      ours[kind === 'block' ? 0x18 : 0x1a]! ^= 1;
      t.false(bitmapOk(ours));
      setBitmap(ours);
      t.deepEqual(Buffer.from(ours), Buffer.from(group.bytes));
    }
  }
  for (const inode of [
    readInode(volume, ROOT_INODE),
    readInode(volume, JOURNAL_INODE),
    byName(volume, 'many'),
  ]) {
    const set = (bytes: Uint8Array): void => checksum.setInodeChecksum(scheme, inode.number, bytes);
    const ok = (bytes: Uint8Array): boolean => checksum.inodeChecksumOk(scheme, inode.number, bytes);
    sameAsTheirs(t, `inode ${inode.number}`, inode.bytes, [0x7c, 2], set, ok);
    if (inode.bytes.length > 128) sameAsTheirs(t, `inode ${inode.number}`, inode.bytes, [0x82, 2], set, ok);
  }
  const many = byName(volume, 'many');
  const kinds = new Set<string>();
  for (const { kind, bytes } of directoryBlocks(volume, many)) {
    kinds.add(kind);
    const [set, ok] =
      kind === 'leaf'
        ? [checksum.setDirectoryLeafChecksum, checksum.directoryLeafChecksumOk]
        : [checksum.setDxChecksum, checksum.dxChecksumOk];
    const hole = [bytes.length - 4, 4] as const;
    sameAsTheirs(
      t,
      kind,
      bytes,
      hole,
      (b) => set(scheme, many, b),
      (b) => ok(scheme, many, b),
    );
  }
  t.deepEqual([...kinds].sort(), ['index', 'leaf']);
  const holes = byName(volume, 'holes');
  const nodes = [...readMapping(volume, holes)].filter((item) => item.kind === 'node');
  t.true(nodes.length > 1);
  for (const { start } of nodes) {
    const bytes = volume.readBlock(start);
    const hole = [checksum.extentTailOffset(bytes), 4] as const;
    const set = (b: Uint8Array): void => checksum.setExtentBlockChecksum(scheme, holes, b);
    const ok = (b: Uint8Array): boolean => checksum.extentBlockChecksumOk(scheme, holes, b);
    sameAsTheirs(t, 'extent block', bytes, hole, set, ok);
  }
  const { attributeBlock } = byName(volume, 'attributes');
  t.true(attributeBlock > 0);
  sameAsTheirs(
    t,
    'attribute block',
    volume.readBlock(attributeBlock),
    [0x10, 4],
    (bytes) => checksum.setXattrBlockChecksum(scheme, attributeBlock, bytes),
    (bytes) => checksum.xattrBlockChecksumOk(scheme, attributeBlock, bytes),
  );
};

test('all checksums are those of mke2fs and the kernel', allChecksums, { features: ['metadata_csum'] });
test('the same with a seed', allChecksums, { features: ['metadata_csum_seed'] });
test('the same with short descriptors', allChecksums, { features: ['^64bit'] });
test('the same with inodes of 128 bytes', allChecksums, { more: ['-I', '128'] });

test('crc16 of descriptors is that of mke2fs', (t) => {
  for (const features of [
    ['^metadata_csum', 'uninit_bg'],
    ['^metadata_csum', 'uninit_bg', '^64bit'],
  ]) {
    const path = makeVolume(join(temporaryFolder(t), 'volume'), {
      size: 32 * MIB,
      blockSize: 1024,
      features,
    });
    const device = openFile(path);
    t.teardown(() => device.close());
    const volume = new ExtVolume(device);
    t.is(volume.parameters.groupChecksums, 'crc16');
    const set = (bytes: Uint8Array): void => checksum.setGroupChecksum(volume.parameters, 1, bytes);
    const ok = (bytes: Uint8Array): boolean => checksum.groupChecksumOk(volume.parameters, 1, bytes);
    sameAsTheirs(t, 'group 1', volume.group(1).bytes, [0x1e, 2], set, ok);
  }
});

test('orphan file and MMP block verify', (t) => {
  const path = makeVolume(join(temporaryFolder(t), 'volume'), {
    size: 16 * MIB,
    features: ['orphan_file', 'mmp'],
  });
  const device = openFile(path);
  t.teardown(() => device.close());
  const volume = new ExtVolume(device);
  const inode = readInode(volume, SUPERBLOCK.get(volume.superblock, 's_orphan_file_inum'));
  const blocks = [...dataRuns(volume, inode)].map((run) => run.start);
  t.true(blocks.length > 0);
  for (const block of blocks) {
    const bytes = volume.readBlock(block);
    t.true(checksum.orphanBlockChecksumOk(volume.parameters, inode, block, bytes));
    bytes[0]! ^= 1;
    t.false(checksum.orphanBlockChecksumOk(volume.parameters, inode, block, bytes));
  }
  const mmp = volume.readBlock(SUPERBLOCK.get(volume.superblock, 's_mmp_block'));
  t.true(checksum.mmpChecksumOk(volume.parameters, mmp));
  mmp[8]! ^= 1;
  t.false(checksum.mmpChecksumOk(volume.parameters, mmp));
});

import type { ReadableDevice } from '../../../../rescue/device/device.ts';
import {
  dxCountOffset,
  hasDirectoryTail,
  setBitmapChecksum,
  setDirectoryLeafChecksum,
  setDxChecksum,
  setExtentBlockChecksum,
  setGroupChecksum,
  setInodeChecksum,
  setSuperblockChecksum,
  setXattrBlockChecksum,
} from '../../../../rescue/fs/ext/checksum.ts';
import { type Inode, isDirectory, readInode, usesExtents } from '../../../../rescue/fs/ext/inode.ts';
import { setJournalSuperblockChecksum } from '../../../../rescue/fs/ext/journal-log.ts';
import {
  DIRECTORY_ENTRY,
  DX_COUNT_LIMIT,
  DX_ENTRY,
  DX_ROOT,
  EXTENT_HEADER,
  EXTENT_INDEX,
  EXTENT_LEAF,
  GROUP_DESCRIPTOR,
  INODE,
  JOURNAL_SUPERBLOCK,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
  XATTR_ENTRY,
  XATTR_HEADER,
} from '../../../../rescue/fs/ext/layout.ts';
import { readMapping } from '../../../../rescue/fs/ext/mapping.ts';
import { ExtVolume } from '../../../../rescue/fs/ext/volume.ts';
import { bytesAt, type Place, placeOf } from '../places.ts';

/** Inodes that are looked at: the reserved ones, and the first of the files. */
const MOST_INODES = 40;
/** Blocks of a folder, and entries of a block, that are looked at. */
const MOST_BLOCKS = 6;
const MOST_ENTRIES = 12;

type Seal = NonNullable<Place['seal']>;

/** A seal that takes a copy, makes its checksum right, and puts it back. */
const sealing =
  (at: number, length: number, set: (bytes: Uint8Array) => void): Seal =>
  (draft) => {
    const bytes = Uint8Array.from(draft.view(at, length));
    set(bytes);
    draft.put(at, bytes);
  };

/** Where the structures of an ext volume are, with what makes their checksums right. */
class ExtPlaces {
  readonly #volume: ExtVolume;
  readonly places: Place[] = [];

  constructor(device: ReadableDevice) {
    this.#volume = new ExtVolume(device);
    const { parameters } = this.#volume;
    this.#add(
      placeOf(
        SUPERBLOCK,
        SUPERBLOCK_OFFSET,
        sealing(SUPERBLOCK_OFFSET, 1024, (bytes) => setSuperblockChecksum(parameters, bytes)),
      ),
    );
    for (let group = 0; group < this.#volume.groupCount; group += 1) this.#group(group);
    let seen = 0;
    for (let number = 1; number <= parameters.inodeCount && seen < MOST_INODES; number += 1) {
      const inode = readInode(this.#volume, number);
      if (inode.bytes.every((byte) => byte === 0)) continue;
      seen += 1;
      this.#inode(inode);
    }
  }

  #add(place: Place): void {
    this.places.push(place);
  }

  #group(index: number): void {
    const { parameters } = this.#volume;
    const { offset, bytes, blockBitmap, inodeBitmap } = this.#volume.group(index);
    const seal = sealing(offset, bytes.length, (copy) => setGroupChecksum(parameters, index, copy));
    this.#add({ ...placeOf(GROUP_DESCRIPTOR, offset, seal), size: bytes.length });
    for (const [kind, block, bits] of [
      ['block', blockBitmap, parameters.clustersPerGroup],
      ['inode', inodeBitmap, parameters.inodesPerGroup],
    ] as const) {
      const at = this.#volume.blockOffset(block);
      const length = Math.floor(bits / 8);
      const sealBitmap: Seal = (draft) => {
        const descriptor = Uint8Array.from(draft.view(offset, bytes.length));
        setBitmapChecksum(parameters, kind, descriptor, draft.view(at, length));
        draft.put(offset, descriptor);
        seal(draft);
      };
      this.#add(bytesAt(`${kind} bitmap`, at, length, sealBitmap));
    }
  }

  #inode(inode: Inode): void {
    const { parameters } = this.#volume;
    const { number, offset, bytes } = inode;
    const seal = sealing(offset, bytes.length, (copy) => setInodeChecksum(parameters, number, copy));
    this.#add({ ...placeOf(INODE, offset, seal), size: Math.min(INODE.size, bytes.length) });
    if (bytes.length > INODE.size)
      this.#add(bytesAt('in-inode attributes', offset + INODE.size, bytes.length - INODE.size, seal));
    const map = offset + INODE.offsetOf('i_block');
    if (usesExtents(inode)) this.#extentNode(map, 60, seal);
    else this.#add(bytesAt('block map', map, 60, seal, 4));
    if (inode.attributeBlock !== 0) this.#attributes(inode.attributeBlock);
    let blocks = 0;
    for (const item of readMapping(this.#volume, inode)) {
      const at = this.#volume.blockOffset(item.start);
      if (item.kind === 'node') this.#node(at, inode);
      else if (isDirectory(inode))
        for (let block = 0; block < item.length && blocks < MOST_BLOCKS; block += 1, blocks += 1)
          this.#folderBlock(at + block * parameters.blockSize, inode);
      else if (number === 8 && blocks === 0) {
        blocks += 1;
        const resum: Seal = (draft) => {
          const copy = Uint8Array.from(draft.view(at, JOURNAL_SUPERBLOCK.size));
          setJournalSuperblockChecksum(copy);
          draft.put(at, copy);
        };
        this.#add(placeOf(JOURNAL_SUPERBLOCK, at, resum));
      }
    }
  }

  #extentNode(at: number, size: number, seal: Seal): void {
    this.#add(placeOf(EXTENT_HEADER, at, seal));
    for (
      let entry = at + EXTENT_HEADER.size;
      entry + EXTENT_LEAF.size <= at + Math.min(size, 60);
      entry += EXTENT_LEAF.size
    ) {
      this.#add(placeOf(EXTENT_LEAF, entry, seal));
      this.#add(placeOf(EXTENT_INDEX, entry, seal));
    }
  }

  #node(at: number, inode: Inode): void {
    const { parameters } = this.#volume;
    if (!usesExtents(inode)) {
      this.#add(bytesAt('indirect block', at, 256, undefined, 4));
      return;
    }
    const set = (bytes: Uint8Array): void => setExtentBlockChecksum(parameters, inode, bytes);
    this.#extentNode(at, parameters.blockSize, sealing(at, parameters.blockSize, set));
  }

  #attributes(block: number): void {
    const { parameters } = this.#volume;
    const at = this.#volume.blockOffset(block);
    const seal = sealing(at, parameters.blockSize, (bytes) =>
      setXattrBlockChecksum(parameters, block, bytes),
    );
    this.#add(placeOf(XATTR_HEADER, at, seal));
    this.#add(placeOf(XATTR_ENTRY, at + XATTR_HEADER.size, seal));
  }

  #folderBlock(at: number, inode: Inode): void {
    const { parameters, device } = this.#volume;
    const { blockSize } = parameters;
    const block = device.read(at, blockSize);
    const tree = dxCountOffset(block);
    if (tree !== undefined && !hasDirectoryTail(block)) {
      const seal = sealing(at, blockSize, (bytes) => setDxChecksum(parameters, inode, bytes));
      this.#add(placeOf(DX_ROOT, at, seal));
      this.#add(placeOf(DX_COUNT_LIMIT, at + tree, seal));
      for (let index = 1; index < 4; index += 1)
        this.#add(placeOf(DX_ENTRY, at + tree + index * DX_ENTRY.size, seal));
      return;
    }
    const seal = sealing(at, blockSize, (bytes) => setDirectoryLeafChecksum(parameters, inode, bytes));
    for (
      let entry = 0, count = 0;
      entry + DIRECTORY_ENTRY.size <= blockSize && count < MOST_ENTRIES;
      count += 1
    ) {
      this.#add(placeOf(DIRECTORY_ENTRY, at + entry, seal));
      entry += Math.max(DIRECTORY_ENTRY.size, DIRECTORY_ENTRY.get(block, 'rec_len', entry));
    }
  }
}

export const extPlaces = (device: ReadableDevice): readonly Place[] => new ExtPlaces(device).places;

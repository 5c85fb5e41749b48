import { corrupt, refused, unsupported } from '../../errors.ts';
import type { Cluster } from '../../units.ts';
import { setDirectoryLeafChecksum } from './checksum.ts';
import { directoryBlocks, entriesEnd, readDirectory } from './directory.ts';
import {
  type EntryList,
  insertEntry,
  type NewEntry,
  newLeaf,
  removeEntry,
  usedEntries,
} from './directory-leaf.ts';
import { emptyExtentRoot } from './extent-tree.ts';
import type { GroupEditor } from './group-editor.ts';
import { insertIntoIndex } from './htree-editor.ts';
import { type Inode, readInode, usesExtents, usesInlineData } from './inode.ts';
import { type InodeValues, setInodeValues, writeInode } from './inode-editor.ts';
import {
  FILE_TYPE_DIRECTORY,
  INODE_CASEFOLD,
  INODE_ENCRYPT,
  INODE_EXTENTS,
  INODE_INDEX,
  INODE_INLINE_DATA,
} from './layout.ts';
import { appendToBlockMap, appendToExtentTree } from './map-append.ts';
import { blockOf } from './mapping.ts';
import type { Phase, StagedEdits } from './staged-edits.ts';
import type { ExtVolume } from './volume.ts';
import { inlineParts } from './xattr.ts';
import { withoutInlineAttribute } from './xattr-editor.ts';

export interface EditContext {
  /** Over `edits`, so that it shows what was planned. */
  readonly volume: ExtVolume;
  readonly edits: StagedEdits;
  readonly groups: GroupEditor;
  readonly avoid: { has(cluster: Cluster): boolean };
}

/** Most links of a directory without dir_nlink: kernel docs, directory.rst; `EXT4_LINK_MAX`. */
const LINK_MAX = 65000;

/** Adds entries to an existing directory and removes them, whatever shape it has: linear, indexed, inline. */
export class DirectoryEditor {
  readonly context: EditContext;
  #inode: Inode;

  /** Throws `unsupported` (`claim.encrypted-directory`) where names are encrypted. */
  constructor(context: EditContext, inode: number) {
    this.context = context;
    this.#inode = readInode(context.volume, inode);
    if ((this.#inode.flags & INODE_ENCRYPT) !== 0) {
      throw unsupported('names in this directory are encrypted', {
        code: 'claim.encrypted-directory',
        structure: `ext directory ${inode}`,
        offset: this.#inode.offset,
      });
    }
  }

  get inode(): Inode {
    return this.#inode;
  }

  get #structure(): string {
    return `ext directory ${this.#inode.number}`;
  }

  /**
   * The inode that a name stands for, compared as this directory compares names.
   * In a case-insensitive one, another spelling of it is `refused` (`claim.name-taken`).
   */
  find(name: Uint8Array): number | undefined {
    const folded = (this.#inode.flags & INODE_CASEFOLD) !== 0;
    const wanted = Buffer.from(name);
    const lower = wanted.toString('latin1').toLowerCase();
    for (const entry of readDirectory(this.context.volume, this.#inode)) {
      if (wanted.equals(entry.name)) return entry.inode;
      if (!folded || Buffer.from(entry.name).toString('latin1').toLowerCase() !== lower) continue;
      throw refused(`the name is taken in another spelling: ${Buffer.from(entry.name).toString()}`, {
        code: 'claim.name-taken',
        structure: this.#structure,
        wayOut: 'Rename it and try again',
      });
    }
    return undefined;
  }

  /** Changes the link count by one up or down, if it still counts (1 stands for "more than 65000"). */
  addLinks(difference: 1 | -1): void {
    const { links } = this.#inode;
    if (links === 1) return;
    if (links + difference < 0) {
      throw corrupt('a folder that is there has no links', {
        code: 'ext.links',
        structure: this.#structure,
        expected: 'at least 1',
        found: links,
      });
    }
    if (difference === 1 && links >= LINK_MAX) {
      if (!this.context.volume.has('dir_nlink')) {
        throw refused(`the root folder holds ${links - 2} folders, as many as it can`, {
          code: 'claim.too-many-links',
          structure: this.#structure,
          wayOut: 'Move some folders from the root folder into others',
        });
      }
      this.#setInode('reference', { links: 1 });
    } else this.#setInode('reference', { links: links + difference });
  }

  /** The name must not be there. Throws `refused` (`claim.directory-full`, `claim.no-space`), `corrupt`. */
  insert(entry: NewEntry): void {
    if (usesInlineData(this.#inode)) {
      if (this.#insertInline(entry)) return;
      this.#convertInline();
    }
    const { volume } = this.context;
    if ((this.#inode.flags & INODE_INDEX) !== 0 && volume.has('dir_index')) {
      insertIntoIndex(this, entry);
      return;
    }
    for (const { block, bytes } of directoryBlocks(volume, this.#inode)) {
      if (!insertEntry(volume, this.#list(block, bytes), entry)) continue;
      this.writeLeaf(block, bytes, 'reference');
      // As the kernel does where the feature is off: an index that is no longer kept must not be believed.
      if ((this.#inode.flags & INODE_INDEX) !== 0)
        this.#setInode('reference', { flags: this.#inode.flags & ~INODE_INDEX });
      return;
    }
    this.append((block) => this.writeLeaf(block, newLeaf(volume, [entry]), 'prepare'));
  }

  /** Throws `corrupt` (`ext.no-entry`) if the name is not there. */
  remove(name: Uint8Array): void {
    const { volume } = this.context;
    if (usesInlineData(this.#inode)) {
      const bytes = Uint8Array.from(this.#inode.bytes);
      if (this.#inlineLists(bytes).some((list) => removeEntry(volume, list, name))) {
        this.#replaceInode('reference', bytes);
        return;
      }
    } else {
      for (const { kind, block, bytes } of directoryBlocks(volume, this.#inode)) {
        if (kind !== 'leaf' || !removeEntry(volume, this.#list(block, bytes), name)) continue;
        this.writeLeaf(block, bytes, 'reference');
        return;
      }
    }
    throw corrupt('an entry has vanished', {
      code: 'ext.no-entry',
      structure: this.#structure,
      offset: this.#inode.offset,
      expected: Buffer.from(name).toString(),
    });
  }

  // --- blocks ---------------------------------------------------------------------------------------------------

  #list(block: number, bytes: Uint8Array): EntryList {
    const { volume } = this.context;
    const to = entriesEnd(volume, bytes);
    return { bytes, from: 0, to, position: volume.blockOffset(block), structure: this.#structure };
  }

  /** The entry list of a leaf. */
  listOf(block: number, bytes: Uint8Array): EntryList {
    return this.#list(block, bytes);
  }

  /** Sets the checksum and plans the block. */
  writeLeaf(block: number, bytes: Uint8Array, phase: Phase): void {
    const { volume, edits } = this.context;
    setDirectoryLeafChecksum(volume.parameters, this.#inode, bytes);
    edits.write(phase, volume.blockOffset(block), bytes);
  }

  /**
   * Gives the directory one more block, which `prepare` fills: inode and map are changed in the phase `growth`.
   * Gives the block's number in the directory's file.
   */
  append(prepare: (block: number) => void): number {
    const { volume, edits } = this.context;
    const inode = this.#inode;
    const logical = inode.size / volume.blockSize;
    const { block: physical, clusters } = this.#placeNext(logical);
    prepare(physical);
    const map = Uint8Array.from(inode.map);
    const request = { volume, edits, owner: inode, map, logical, physical, place: () => this.#place() };
    const grown = usesExtents(inode) ? appendToExtentTree(request) : appendToBlockMap(request);
    const sectors = inode.sectors + (clusters + grown) * (volume.clusterSize / 512);
    this.#setInode('growth', { map, size: inode.size + volume.blockSize, sectors });
    return logical;
  }

  /** A new block for the directory's own structures: the first of a whole cluster. */
  #place(): number {
    const { groups, avoid, volume } = this.context;
    return groups.takeAnyCluster(avoid) * volume.parameters.clusterBlocks;
  }

  /** With bigalloc, a cluster of the file is a cluster of the volume: the rest of the last one comes first. */
  #placeNext(logical: number): { block: number; clusters: number } {
    const { volume } = this.context;
    if (logical % volume.parameters.clusterBlocks === 0) return { block: this.#place(), clusters: 1 };
    return { block: blockOf(volume, this.#inode, logical - 1) + 1, clusters: 0 };
  }

  #setInode(phase: Phase, values: InodeValues): void {
    const bytes = Uint8Array.from(this.#inode.bytes);
    setInodeValues(bytes, values);
    this.#replaceInode(phase, bytes);
  }

  #replaceInode(phase: Phase, bytes: Uint8Array): void {
    const { volume, edits } = this.context;
    this.#inode = writeInode(volume, edits, { phase, number: this.#inode.number, bytes });
  }

  // --- inline data (inlinedata.rst) --------------------------------------------------------------------------------

  /** The two lists of an inline directory, as views of `bytes`, a copy of its inode. */
  #inlineLists(bytes: Uint8Array): EntryList[] {
    const inode = this.#inode;
    const [first, second] = inlineParts(inode).map((part) =>
      bytes.subarray(
        part.byteOffset - inode.bytes.byteOffset,
        part.byteOffset - inode.bytes.byteOffset + part.length,
      ),
    ) as [Uint8Array, Uint8Array];
    const common = { position: inode.offset, structure: this.#structure };
    return [
      { ...common, bytes: first, from: INLINE_PARENT, to: first.length },
      { ...common, bytes: second, from: 0, to: second.length },
    ];
  }

  #insertInline(entry: NewEntry): boolean {
    const bytes = Uint8Array.from(this.#inode.bytes);
    if (!this.#inlineLists(bytes).some((list) => insertEntry(this.context.volume, list, entry))) return false;
    this.#replaceInode('reference', bytes);
    return true;
  }

  /** Moves all entries into a block of their own, as the kernel does when they no longer fit. */
  #convertInline(): void {
    const { volume } = this.context;
    const inode = this.#inode;
    const lists = this.#inlineLists(Uint8Array.from(inode.bytes));
    const parent = new DataView(inode.map.buffer, inode.map.byteOffset).getUint32(0, true);
    const entries: NewEntry[] = [
      { inode: inode.number, name: Buffer.from('.'), type: FILE_TYPE_DIRECTORY },
      { inode: parent, name: Buffer.from('..'), type: FILE_TYPE_DIRECTORY },
      ...lists.flatMap((list) => usedEntries(volume, list)),
    ];
    const block = this.#place();
    this.writeLeaf(block, newLeaf(volume, entries), 'prepare');
    const map = new Uint8Array(inode.map.length);
    const extents = volume.has('extent');
    const bytes = withoutInlineAttribute(inode);
    const flags = (inode.flags & ~INODE_INLINE_DATA) | (extents ? INODE_EXTENTS : 0);
    if (extents) {
      map.set(emptyExtentRoot());
      const { edits } = this.context;
      const place = (): number => this.#place();
      appendToExtentTree({ volume, edits, owner: inode, map, logical: 0, physical: block, place });
    } else new DataView(map.buffer).setUint32(0, block, true);
    const sectors = inode.sectors + volume.clusterSize / 512;
    setInodeValues(bytes, { flags, map, size: volume.blockSize, sectors });
    this.#replaceInode('growth', bytes);
  }
}

/** Bytes in front of an inline directory's entries: the inode of its parent. */
const INLINE_PARENT = 4;

import { corrupt, refused } from '../../errors.ts';
import type { ByteLength } from '../../units.ts';
import { type NameIndex, openNameIndex, readBlock } from './directory.ts';
import { openRecord } from './file.ts';
import { FolderRecords } from './folder-records.ts';
import { IndexBlocks } from './index-blocks.ts';
import {
  blockWith,
  type Entry,
  endEntry,
  entriesOf,
  isEnd,
  keyOf,
  newBlock,
  rootValue,
  sizeOfEntries,
  subNodeOf,
  withSubNode,
} from './index-node.ts';
import {
  AT_INDEX_ALLOCATION,
  AT_INDEX_ROOT,
  INDEX_BLOCK,
  INDEX_HEADER,
  INDEX_ROOT,
  NAME_INDEX,
} from './layout.ts';
import { compareNames, parseFileName, type UpCase } from './names.ts';
import { residentAttribute } from './new-attribute.ts';
import type { EditContext } from './new-file.ts';
import type { RecordEditor } from './record-editor.ts';
import type { Phase } from './staged-edits.ts';
import type { Place } from './update-sequence.ts';

interface TreeNode {
  /** Undefined for the root. */
  readonly vcn: number | undefined;
  entries: Entry[];
  /** A block without its update sequence. */
  readonly block: Uint8Array | undefined;
  isNew: boolean;
  changed: boolean;
  /** A part of it has moved into another block: that must be in place before it goes from here. */
  split: boolean;
}

/** A node on the way down, and which of its entries comes next. */
interface Step {
  readonly node: TreeNode;
  readonly at: number;
}

/** Each level holds some ten times the entries of the one above. */
const DEEPEST = 24;

/**
 * Changes the index of names of one folder: nodes are changed in memory and planned by `finish`.
 */
export class IndexEditor {
  readonly #upCase: UpCase;
  #records: FolderRecords;
  readonly #place: Place;
  readonly #index: NameIndex;
  readonly #isNew: boolean;
  readonly #root: TreeNode;
  readonly #nodes = new Map<number, TreeNode>();
  readonly #blockSize: ByteLength;
  readonly #blocks: IndexBlocks;

  /** `isNew`: the record is not written yet. Throws `corrupt`, `io`. */
  constructor(context: EditContext, upCase: UpCase, record: RecordEditor, isNew: boolean) {
    this.#upCase = upCase;
    this.#place = record.place;
    this.#isNew = isNew;
    const { number, bytes, place } = record;
    const { volume } = context;
    const parsed = {
      number,
      sequence: record.sequence,
      flags: 0,
      base: undefined,
      bytes: Uint8Array.from(bytes),
      firstAttribute: record.attributes()[0]!.at,
      bytesInUse: bytes.length - record.room,
      place,
    };
    const file = openRecord(volume, parsed);
    this.#records = FolderRecords.of(context, record, file);
    this.#index = openNameIndex(file);
    this.#blockSize = this.#index.blockSize;
    this.#root = this.#node(undefined, entriesOf(this.#index.root), undefined);
    this.#blocks = new IndexBlocks(context, file, this.#index, () => this.#full());
  }

  #full() {
    return refused('the index of the folder that would list the container cannot grow', {
      code: 'claim.root-full',
      ...this.#place,
      wayOut: 'Make the folder .holdfast in Windows, and try again',
    });
  }

  #empty({ vcn }: TreeNode) {
    return corrupt('a block of the index has no names', {
      code: 'ntfs.index-node',
      ...this.#place,
      ...(vcn === undefined ? {} : { found: vcn }),
    });
  }

  #node(vcn: number | undefined, entries: Entry[], block: Uint8Array | undefined): TreeNode {
    return { vcn, entries, block, isNew: false, changed: false, split: false };
  }

  #load(vcn: number): TreeNode {
    const known = this.#nodes.get(vcn);
    if (known !== undefined) return known;
    const node = readBlock(this.#index, vcn);
    const made = this.#node(vcn, entriesOf(node), node.bytes);
    this.#nodes.set(vcn, made);
    return made;
  }

  #nameOf(entry: Entry): string {
    return parseFileName(keyOf(entry), this.#place).name;
  }

  /** From the root to where `name` is, or to the leaf where it belongs. */
  #descend(name: string): { readonly path: Step[]; readonly found: boolean } {
    const path: Step[] = [];
    for (let node = this.#root; ; ) {
      const at = node.entries.findIndex(
        (entry) => isEnd(entry) || compareNames(this.#upCase, name, this.#nameOf(entry)) <= 0,
      );
      path.push({ node, at });
      const entry = node.entries[at]!;
      if (!isEnd(entry) && this.#nameOf(entry) === name) return { path, found: true };
      const sub = subNodeOf(entry);
      if (sub === undefined) return { path, found: false };
      if (path.length > DEEPEST) throw this.#full();
      node = this.#load(sub);
    }
  }

  /** Puts an entry without a sub-node where its name belongs; the caller knows that there is none of that name. Throws `refused`, `corrupt`. */
  insert(entry: Entry): void {
    const { path } = this.#descend(this.#nameOf(entry));
    const { node, at } = path.at(-1)!;
    node.entries.splice(at, 0, entry);
    node.changed = true;
    this.#mend(path.map((step) => step.node));
  }

  /** Splits what is too full, from the leaf upwards. */
  #mend(path: readonly TreeNode[]): void {
    for (let level = path.length - 1; level > 0; level -= 1) {
      const node = path[level]!;
      if (this.#fits(node)) continue;
      this.#split(node, path[level - 1]!);
    }
    if (this.#rootFits()) return;
    this.#pushDown();
    if (this.#rootFits()) return;
    this.#records.spread();
    if (!this.#rootFits()) throw this.#full();
  }

  #fits({ entries, block }: TreeNode): boolean {
    const first = INDEX_HEADER.get(block!, 'entries_offset', INDEX_BLOCK.size);
    const room = Math.min(
      INDEX_HEADER.get(block!, 'allocated_size', INDEX_BLOCK.size),
      this.#blockSize - INDEX_BLOCK.size,
    );
    return first + sizeOfEntries(entries) <= room;
  }

  /** The median goes up; what is behind it moves to a new block. A sub-node holds what comes before its entry. */
  #split(node: TreeNode, parent: TreeNode): void {
    const half = sizeOfEntries(node.entries) / 2;
    let middle = 0;
    for (let size = 0; middle < node.entries.length - 2; middle += 1) {
      size += node.entries[middle]!.length;
      if (size >= half) break;
    }
    middle = Math.max(1, middle);
    const median = node.entries[middle]!;
    const right = this.#newNode(node.entries.slice(middle + 1));
    node.entries = [...node.entries.slice(0, middle), withSubNode(endEntry(), subNodeOf(median))];
    node.changed = true;
    node.split = true;
    const place = parent.entries.findIndex((entry) => subNodeOf(entry) === node.vcn);
    parent.entries[place] = withSubNode(parent.entries[place]!, right.vcn);
    parent.entries.splice(place, 0, withSubNode(median, node.vcn));
    parent.changed = true;
  }

  /** The root's entries become a block below it. */
  #pushDown(): void {
    const below = this.#newNode(this.#root.entries);
    this.#root.entries = [withSubNode(endEntry(), below.vcn)];
    this.#root.changed = true;
    if (!this.#fits(below)) this.#split(below, this.#root);
  }

  #newNode(entries: Entry[]): TreeNode {
    const vcn = this.#blocks.take();
    const node = this.#node(vcn, entries, newBlock(this.#blockSize, vcn));
    node.isNew = true;
    node.changed = true;
    this.#nodes.set(vcn, node);
    return node;
  }

  #rootFits(): boolean {
    const trial = this.#records.copy();
    return this.#put(trial) && trial.hasRoomForList;
  }

  /** Root and blocks into the folder's records: what becomes shorter goes first, and makes room for the other. False if they do not fit. */
  #put(records: FolderRecords): boolean {
    const old = records.find(AT_INDEX_ROOT)!;
    const shrinks = old.resident && this.#rootOver(old.value).length < old.value.length;
    return shrinks
      ? this.#putRoot(records) && this.#blocks.put(records)
      : this.#blocks.put(records) && this.#putRoot(records);
  }

  #rootOver(old: Uint8Array): Uint8Array {
    return rootValue(old, INDEX_ROOT.size, this.#root.entries);
  }

  #putRoot(records: FolderRecords): boolean {
    const old = records.find(AT_INDEX_ROOT)!;
    if (!old.resident) throw this.#full();
    const value = this.#rootOver(old.value);
    const { instance, flags } = old;
    const made = residentAttribute({ type: AT_INDEX_ROOT, name: NAME_INDEX, instance, flags, value });
    return records.put(AT_INDEX_ROOT, made);
  }

  /** Takes an entry out, which the caller has seen. Throws `refused`, `corrupt` (also if its order hides it). */
  remove(name: string): void {
    const { path, found } = this.#descend(name);
    if (!found) {
      throw corrupt('a name is not where the order of the index has it', {
        code: 'ntfs.index-node',
        ...this.#place,
        found: JSON.stringify(name),
      });
    }
    const { node, at } = path.at(-1)!;
    const sub = subNodeOf(node.entries[at]!);
    node.changed = true;
    if (sub === undefined) {
      node.entries.splice(at, 1);
      this.#dropEmpty(path.map((step) => step.node));
      return;
    }
    // The last name before it takes its place.
    const leaf = this.#pathBelow(name).at(-1)!;
    if (leaf.entries.length < 2) throw this.#empty(leaf);
    const [last] = leaf.entries.splice(-2, 1);
    leaf.changed = true;
    node.entries[at] = withSubNode(last!, sub);
    this.#mend(path.map((step) => step.node));
    if (leaf.entries.length === 1) this.#dropEmpty(this.#pathBelow(this.#nameOf(last!)));
  }

  /** From the root to the leaf of the names right before `name`, which stands in an inner node. */
  #pathBelow(name: string): TreeNode[] {
    const { path } = this.#descend(name);
    const nodes = path.map((step) => step.node);
    const { node, at } = path.at(-1)!;
    for (let next = subNodeOf(node.entries[at]!); next !== undefined; ) {
      if (nodes.length > DEEPEST) throw this.#full();
      const child = this.#load(next);
      nodes.push(child);
      next = subNodeOf(child.entries.at(-1)!);
    }
    return nodes;
  }

  /**
   * A leaf without entries goes: the entry of the parent that led to it, or the one before it, finds another place. `path` leads from the
   * root to the leaf.
   */
  #dropEmpty(path: readonly TreeNode[]): void {
    const node = path.at(-1)!;
    if (node.vcn === undefined || node.entries.length > 1) return;
    const parent = path.at(-2)!;
    const at = parent.entries.findIndex((entry) => subNodeOf(entry) === node.vcn);
    this.#blocks.free(node.vcn);
    this.#nodes.delete(node.vcn);
    parent.changed = true;
    if (!isEnd(parent.entries[at]!)) {
      const [moved] = parent.entries.splice(at, 1);
      this.insert(withSubNode(moved!, undefined));
      return;
    }
    if (at > 0) {
      const [moved] = parent.entries.splice(at - 1, 1);
      parent.entries[at - 1] = withSubNode(parent.entries[at - 1]!, subNodeOf(moved!));
      this.insert(withSubNode(moved!, undefined));
      return;
    }
    // Nothing is left below the parent: it is a leaf now, or an empty root.
    parent.entries[at] = withSubNode(parent.entries[at]!, undefined);
    this.#dropEmpty(path.slice(0, -1));
  }

  /**
   * Nodes that change go to blocks that are not part of the tree, and so do those that lead to them: the tree that was is whole until the
   * root names the other one, most often by a change of one number in one sector. Without room for that, nodes change in place.
   */
  #moveChanged(): void {
    if (this.#isNew) return;
    const moving = this.#changedBelow(this.#root);
    if (moving.length === 0 || !this.#blocks.canTake(moving.length)) return;
    const places = new Map(moving.map(({ vcn }) => [vcn, this.#blocks.take()] as const));
    for (const { entries } of [this.#root, ...this.#nodes.values()])
      for (const [at, entry] of entries.entries()) {
        const place = places.get(subNodeOf(entry));
        if (place !== undefined) entries[at] = withSubNode(entry, place);
      }
    for (const node of moving) {
      const vcn = places.get(node.vcn)!;
      const block = Uint8Array.from(node.block!);
      INDEX_BLOCK.set(block, 'index_block_vcn', vcn);
      this.#blocks.free(node.vcn!);
      this.#nodes.delete(node.vcn!);
      this.#nodes.set(vcn, { ...node, vcn, block, isNew: true, changed: true });
    }
    this.#root.changed = true;
    if (!this.#rootFits()) this.#records.spread();
  }

  /** Blocks below a node that were there before and change, or lead to one that does or is new. */
  #changedBelow(node: TreeNode): TreeNode[] {
    const found: TreeNode[] = [];
    for (const entry of node.entries) {
      const sub = subNodeOf(entry);
      const child = sub === undefined ? undefined : this.#nodes.get(sub);
      if (child === undefined) continue;
      const below = this.#changedBelow(child);
      found.push(...below);
      if (!child.isNew && (child.changed || below.length > 0)) found.push(child);
    }
    return found;
  }

  /** Plans all changes. */
  finish(phase: Phase = 'reference'): void {
    const full = () => this.#full();
    this.#moveChanged();
    if (!this.#isNew && this.#blocks.changed) {
      // Before any node names a new block. A small root becomes large in one write with its blocks, as does one that must shrink for them.
      this.#blocks.writeBits('grown');
      const trial = this.#records.copy();
      const isLarge = trial.find(AT_INDEX_ALLOCATION) !== undefined;
      if (isLarge && this.#blocks.put(trial) && trial.hasRoomForList) {
        // One after the other: each, most often, within one sector.
        this.#blocks.putRuns(this.#records);
        this.#records.write('growth', full);
        this.#blocks.put(this.#records);
        this.#records.write('grown', full);
      }
    }
    for (const node of this.#nodes.values()) {
      if (!node.changed) continue;
      const { vcn, isNew, entries, block } = node;
      const when = isNew ? 'prepare' : node.split ? 'trim' : phase;
      this.#blocks.write(when, vcn!, blockWith(block!, entries), isNew);
    }
    if (!this.#put(this.#records)) throw this.#full();
    this.#records.write(phase, full);
    if (!this.#blocks.hasFreed) return;
    this.#blocks.clearFreed();
    if (!this.#blocks.put(this.#records)) throw this.#full();
    this.#blocks.writeBits('trim');
    this.#records.write('trim', full);
  }
}

import type { HoldfastError } from '../../errors.ts';
import type { ByteLength } from '../../units.ts';
import type { Attribute, NonResidentAttribute } from './attribute.ts';
import type { NtfsFile } from './file.ts';
import {
  AT_ATTRIBUTE_LIST,
  AT_BITMAP,
  AT_INDEX_ALLOCATION,
  AT_INDEX_ROOT,
  ATTRIBUTE,
  NAME_INDEX,
  NON_RESIDENT_ATTRIBUTE,
  RESIDENT_ATTRIBUTE,
} from './layout.ts';
import { listEntry, type NewListEntry, putAttributeList } from './list-editor.ts';
import { extentOverhead } from './new-attribute.ts';
import type { EditContext } from './new-file.ts';
import type { RecordEditor } from './record-editor.ts';
import type { Phase } from './staged-edits.ts';

/** Bytes of the longest mapping pair of a list in clusters. */
const LONGEST_PAIR = 10;

/** An attribute of the index, or an extent of one, and the record in which it stands. */
export interface Placed<Kind extends Attribute = Attribute> {
  readonly record: RecordEditor;
  readonly attribute: Kind;
}

/**
 * The records of a folder whose index is being changed: the first one and, once it has an attribute list, those that hold what did not fit.
 * `$INDEX_ROOT` stays where it is, as in ntfs-3g (`ntfs_inode_free_space`); what else the index has may move.
 */
export class FolderRecords {
  readonly base: RecordEditor;
  readonly #context: EditContext;
  readonly #others: Map<number, RecordEditor>;
  /** Extension records that are new; empty ones as they were taken, so that copies take none twice. */
  readonly #taken: RecordEditor[];
  readonly #created = new Set<number>();
  /** Extension records with runs that the sizes do not count yet. */
  readonly #ahead = new Set<number>();
  #entries: NewListEntry[] | undefined;
  #listChanged = false;

  private constructor(
    context: EditContext,
    base: RecordEditor,
    others: Map<number, RecordEditor>,
    taken: RecordEditor[],
  ) {
    this.#context = context;
    this.base = base;
    this.#others = others;
    this.#taken = taken;
  }

  /** `base`: the first record of `file`, to be changed. Throws `corrupt`, `io`. */
  static of(context: EditContext, base: RecordEditor, file: NtfsFile): FolderRecords {
    const others = new Map<number, RecordEditor>();
    for (const { reference, name } of file.list ?? [])
      if (name === NAME_INDEX && reference.number !== base.number && !others.has(reference.number))
        others.set(reference.number, context.mft.open(reference.number));
    const made = new FolderRecords(context, base, others, []);
    made.#entries = file.list === undefined ? undefined : [...file.list];
    return made;
  }

  /** The same records, to be changed on trial. */
  copy(): FolderRecords {
    const others = new Map([...this.#others].map(([number, record]) => [number, record.copy()] as const));
    const made = new FolderRecords(this.#context, this.base.copy(), others, this.#taken);
    for (const number of this.#created) made.#created.add(number);
    for (const number of this.#ahead) made.#ahead.add(number);
    made.#entries = this.#entries === undefined ? undefined : [...this.#entries];
    made.#listChanged = this.#listChanged;
    return made;
  }

  get isSpread(): boolean {
    return this.#entries !== undefined;
  }

  /** All extents of an attribute of the index, in order. */
  extents(type: number): Placed[] {
    const found: Placed[] = [];
    for (const record of [this.base, ...this.#others.values()])
      for (const attribute of record.attributes())
        if (attribute.type === type && attribute.name === NAME_INDEX) found.push({ record, attribute });
    const lowest = ({ attribute }: Placed): number => (attribute.resident ? 0 : attribute.pairs.lowestVcn);
    return found.sort((one, other) => lowest(one) - lowest(other));
  }

  find(type: number): Attribute | undefined {
    return this.extents(type)[0]?.attribute;
  }

  /** Gives the folder an attribute list; what its index has beside the root moves out of the first record. */
  spread(): void {
    if (this.#entries !== undefined) return;
    const { reference } = this.base;
    this.#entries = this.base
      .attributes()
      .map(({ type, name, instance }) => ({ type, name, lowestVcn: 0, reference, instance }));
    this.#listChanged = true;
    this.#clear(this.base);
  }

  /** Moves what the index has beside the root out of a record. */
  #clear(record: RecordEditor): void {
    for (const type of [AT_INDEX_ALLOCATION, AT_BITMAP]) {
      for (;;) {
        const found = this.extents(type).find((each) => each.record === record);
        if (found === undefined) break;
        const { at, length } = found.attribute;
        this.#move(found, record.bytes.slice(at, at + length));
      }
    }
  }

  /**
   * Puts an attribute in the place of its first extent; into another record where it has no room, if the folder is spread. False if there is
   * no room at all.
   */
  put(type: number, attribute: Uint8Array): boolean {
    const [old] = this.extents(type);
    if (old !== undefined && this.replace(old, attribute)) return true;
    if (old === undefined && attribute.length <= this.base.room) {
      this.#add(this.base, attribute);
      return true;
    }
    if (!this.isSpread) return false;
    if (type !== AT_INDEX_ROOT) {
      this.#move(old, attribute);
      return true;
    }
    this.#clear(old!.record);
    return this.replace(this.extents(type)[0]!, attribute);
  }

  /** Puts an extent in the place of one in the same record. False if that has no room. */
  replace({ record, attribute: old }: Placed, by: Uint8Array): boolean {
    if (by.length > record.room + old.length) return false;
    ATTRIBUTE.set(by, 'instance', old.instance);
    record.replace(old, by);
    return true;
  }

  /** A later extent with more runs than the sizes count yet, in the place of the one that ends there. */
  lengthen(placed: Placed<NonResidentAttribute>, by: Uint8Array): boolean {
    if (!this.replace(placed, by)) return false;
    this.#ahead.add(placed.record.number);
    return true;
  }

  /** One more extent, in a record of its own or with others of this change. */
  append(attribute: Uint8Array): void {
    const lowestVcn = NON_RESIDENT_ATTRIBUTE.get(attribute, 'lowest_vcn');
    this.#add(this.#withRoom(attribute.length), attribute, lowestVcn);
  }

  #move(old: Placed | undefined, attribute: Uint8Array): void {
    const target = this.#withRoom(attribute.length);
    let lowestVcn = 0;
    if (old !== undefined) {
      const { type, instance, resident } = old.attribute;
      if (!resident) ({ lowestVcn } = old.attribute.pairs);
      this.#entries = this.#entries!.filter(
        (each) =>
          each.type !== type ||
          each.name !== NAME_INDEX ||
          each.instance !== instance ||
          each.reference.number !== old.record.number,
      );
      old.record.replace(old.attribute);
    }
    this.#add(target, attribute, lowestVcn);
  }

  #add(record: RecordEditor, attribute: Uint8Array, lowestVcn = 0): void {
    const type = ATTRIBUTE.get(attribute, 'type');
    const instance = record.nextInstance();
    ATTRIBUTE.set(attribute, 'instance', instance);
    record.add(attribute);
    if (this.#entries === undefined) return;
    const entry = { type, name: NAME_INDEX, lowestVcn, reference: record.reference, instance };
    // By type, name and VCN; the names of one type that are not this one keep their places.
    const isBefore = (each: NewListEntry): boolean =>
      each.type < type || (each.type === type && (each.name !== NAME_INDEX || each.lowestVcn < lowestVcn));
    const behind = this.#entries.findIndex((each) => !isBefore(each));
    this.#entries.splice(behind < 0 ? this.#entries.length : behind, 0, entry);
    this.#listChanged = true;
  }

  #withRoom(length: ByteLength): RecordEditor {
    for (const number of this.#created) {
      const record = this.#others.get(number)!;
      if (length <= record.room) return record;
    }
    let empty = this.#taken.find((each) => !this.#others.has(each.number));
    if (empty === undefined) {
      empty = this.#context.mft.take(0, this.base.reference);
      this.#taken.push(empty);
    }
    const record = empty.copy();
    this.#created.add(record.number);
    this.#others.set(record.number, record);
    return record;
  }

  /** Whether the list has room in the first record, or its runs have. */
  get hasRoomForList(): boolean {
    if (this.#entries === undefined || !this.#listChanged) return true;
    const list = this.#entries.reduce((sum, entry) => sum + listEntry(entry).length, 0);
    const old = this.base.attributes().find(({ type }) => type === AT_ATTRIBUTE_LIST);
    const room = this.base.room + (old?.length ?? 0);
    const { clusterSize } = this.#context.volume;
    const pairs = Math.ceil(list / clusterSize) * LONGEST_PAIR + 1;
    return RESIDENT_ATTRIBUTE.size + list <= room || extentOverhead() + pairs + 7 <= room;
  }

  /** Plans all records, the list first. Records behind `growth` are those with the sizes. */
  write(phase: Phase, full: () => HoldfastError): void {
    const { mft } = this.#context;
    if (this.#listChanged) putAttributeList(this.#context, this.base, this.#entries!, full);
    this.#listChanged = false;
    for (const [number, record] of this.#others) {
      const isAhead = this.#created.has(number) || this.#ahead.has(number);
      mft.write(isAhead ? 'further' : phase === 'growth' ? 'grown' : phase, record);
    }
    this.#created.clear();
    this.#ahead.clear();
    mft.write(phase, this.base);
  }
}

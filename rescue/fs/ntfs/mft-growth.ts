import { totalLength } from '../../bytes/runs.ts';
import { type HoldfastError, refused } from '../../errors.ts';
import type { ByteLength, Run } from '../../units.ts';
import type { NonResidentAttribute } from './attribute.ts';
import type { NtfsFile } from './file.ts';
import {
  AT_BITMAP,
  AT_DATA,
  FILE_MFT_EXTENSION,
  NON_RESIDENT_ATTRIBUTE,
  RESIDENT_ATTRIBUTE,
} from './layout.ts';
import { type ListContext, listEntry, type NewListEntry, putAttributeList } from './list-editor.ts';
import { extentOverhead, nonResidentAttribute } from './new-attribute.ts';
import type { RecordEditor } from './record-editor.ts';
import { encodeRuns, runsFrom } from './runlist-encoder.ts';
import type { Phase } from './staged-edits.ts';

/** What an attribute of $MFT has come to. */
export interface Grown {
  /** All of them, in file order. */
  readonly runs: readonly Run[];
  /** VCNs that were mapped before. */
  readonly mappedBefore: number;
  readonly size: ByteLength;
}

/** What the layout needs of the editor of records. */
export interface GrowthContext extends ListContext {
  /** A record as it stands, to be changed. */
  open(number: number): RecordEditor;
  /** A record that extends $MFT and lies in its VCNs below `limit`; undefined if none is free. */
  takeReserved(limit: number): RecordEditor | undefined;
  write(phase: Phase, record: RecordEditor): void;
  /** Bytes that attributes may take in a new record. */
  readonly emptyRoom: ByteLength;
  /** Frees an extension record that nothing names any more. */
  retire(number: number): void;
}

/** The first record keeps room for so many more entries of a list when it gets one. */
const SPARE_ENTRIES = 4;

/**
 * Puts longer runs and sizes of $MFT's content and bitmap into its records. What makes the new runs count is one write, of record 0: what is
 * written before it nobody reads yet. A record that describes VCNs lies in VCNs below these, so that whoever reads extent by
 * extent finds it.
 */
export class MftGrowth {
  readonly #context: GrowthContext;
  readonly #own: RecordEditor;
  readonly #file: NtfsFile;
  readonly #data: Grown;
  readonly #bitmap: Grown;
  readonly #extensions: RecordEditor[] = [];
  #entries: NewListEntry[] = [];
  #listChanged = false;

  /** `own`: record 0, to be changed. */
  constructor(
    context: GrowthContext,
    { own, file, data, bitmap }: { own: RecordEditor; file: NtfsFile; data: Grown; bitmap: Grown },
  ) {
    this.#context = context;
    this.#own = own;
    this.#file = file;
    this.#data = data;
    this.#bitmap = bitmap;
  }

  /** Plans everything. Throws `refused` (`claim.mft-scattered`, `claim.no-space`), `corrupt`, `io`. */
  plan(): void {
    if (this.#file.list === undefined) {
      const trial = this.#own.copy();
      if (this.#putWhole(trial, AT_DATA, this.#data) && this.#putWhole(trial, AT_BITMAP, this.#bitmap)) {
        this.#context.write('growth', trial);
        return;
      }
      this.#entries = this.#own.attributes().map(({ type, name, instance }) => ({
        type,
        name,
        lowestVcn: 0,
        reference: this.#own.reference,
        instance,
      }));
    } else this.#entries = [...this.#file.list];
    this.#putData();
    this.#putBitmap();
    for (const extension of this.#extensions) this.#context.write('further', extension);
    if (this.#listChanged)
      putAttributeList(this.#context, this.#own, this.#entries, () =>
        this.#scattered('no room for its list'),
      );
    this.#context.write('growth', this.#own);
  }

  #scattered(why: string): HoldfastError {
    return refused(`no MFT record is free, and $MFT is in too many pieces to grow: ${why}`, {
      code: 'claim.mft-scattered',
      ...this.#own.place,
      wayOut: 'Delete some files, whose records can be used then',
    });
  }

  #sizesOf({ runs, size }: Grown, old: NonResidentAttribute) {
    const allocated = totalLength(runs) * this.#context.volume.clusterSize;
    // Records may have room behind the last that was initialised: it stays part of the file.
    return { allocated, data: Math.max(size, old.dataSize), initialized: size };
  }

  /** The attribute in one piece, in the place of the old one. False if the record has no room. */
  #putWhole(record: RecordEditor, type: number, grown: Grown): boolean {
    const old = record.find(type, '') as NonResidentAttribute;
    const room = record.room + old.length - extentOverhead();
    const { pairs, count, clusters } = encodeRuns(grown.runs, 0, room);
    if (count < grown.runs.length) return false;
    const sizes = this.#sizesOf(grown, old);
    const { instance } = old;
    record.replace(old, nonResidentAttribute({ type, instance, lowestVcn: 0, clusters, pairs, sizes }));
    return true;
  }

  #setSizes(record: RecordEditor, old: NonResidentAttribute, grown: Grown): void {
    const { allocated, data, initialized } = this.#sizesOf(grown, old);
    NON_RESIDENT_ATTRIBUTE.set(record.bytes, 'allocated_size', allocated, old.at);
    NON_RESIDENT_ATTRIBUTE.set(record.bytes, 'data_size', data, old.at);
    NON_RESIDENT_ATTRIBUTE.set(record.bytes, 'initialized_size', initialized, old.at);
  }

  #extents(type: number): NewListEntry[] {
    return this.#entries.filter((each) => each.type === type && each.name === '');
  }

  #first(record: RecordEditor, type: number): NonResidentAttribute {
    const found = record
      .attributes()
      .find((each) => each.type === type && each.name === '' && !each.resident && each.pairs.lowestVcn === 0);
    if (found === undefined || found.resident)
      throw this.#scattered('its first extent is not where it should be');
    return found;
  }

  /** The bitmap may be longer than the records that there are: where it stands in another record, that is written before. */
  #putBitmap(): void {
    const [entry, second] = this.#extents(AT_BITMAP);
    const isOwn = entry!.reference.number === this.#own.number;
    const record = isOwn ? this.#own : this.#context.open(entry!.reference.number);
    if (totalLength(this.#bitmap.runs) === this.#bitmap.mappedBefore)
      this.#setSizes(record, this.#first(record, AT_BITMAP), this.#bitmap);
    else if (second !== undefined) throw this.#scattered('its bitmap, too, stands in several records');
    else if (!this.#putWhole(record, AT_BITMAP, this.#bitmap)) {
      if (!isOwn) throw this.#scattered('no room for its bitmap');
      this.#moveBitmap(entry!);
    }
    if (!isOwn) this.#extensions.push(record);
  }

  #moveBitmap(entry: NewListEntry): void {
    const old = this.#first(this.#own, AT_BITMAP);
    const length = extentOverhead() + encodeRuns(this.#bitmap.runs, 0, Number.MAX_SAFE_INTEGER).pairs.length;
    const extension =
      this.#extensions.find((each) => each.room >= length) ?? this.#extension(this.#data.mappedBefore);
    const { pairs, count, clusters } = encodeRuns(this.#bitmap.runs, 0, extension.room - extentOverhead());
    if (count < this.#bitmap.runs.length) throw this.#scattered('no room for its bitmap');
    const sizes = this.#sizesOf(this.#bitmap, old);
    const instance = extension.nextInstance();
    extension.add(nonResidentAttribute({ type: AT_BITMAP, instance, lowestVcn: 0, clusters, pairs, sizes }));
    this.#own.replace(old);
    this.#replaceEntry(entry, [{ ...entry, reference: extension.reference, instance }]);
  }

  #replaceEntry(entry: NewListEntry, by: readonly NewListEntry[]): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1, ...by);
    this.#listChanged = true;
  }

  #extension(limit: number): RecordEditor {
    const record = this.#context.takeReserved(limit);
    if (record === undefined) throw this.#scattered('no record is left to describe more of them');
    this.#extensions.push(record);
    return record;
  }

  #putData(): void {
    const { runs, mappedBefore } = this.#data;
    const own = this.#first(this.#own, AT_DATA);
    const last = this.#extents(AT_DATA).at(-1)!;
    if (this.#file.list === undefined) {
      this.#addExtents(last, this.#shorten(own));
      return;
    }
    this.#setSizes(this.#own, own, this.#data);
    if (totalLength(runs) === mappedBefore) return;
    // An extension with nothing else in it is replaced by one that goes on, as records for extensions are few; but not what was in reserve.
    const { number } = last.reference;
    const room = this.#context.emptyRoom - extentOverhead();
    const tail = encodeRuns(runsFrom(runs, last.lowestVcn), 0, room);
    const replaceable =
      number !== this.#own.number &&
      number !== FILE_MFT_EXTENSION &&
      tail.clusters === totalLength(runs) - last.lowestVcn &&
      this.#context.open(number).attributes().length === 1;
    if (!replaceable) {
      this.#addExtents(last, mappedBefore);
      return;
    }
    this.#addExtents(last, last.lowestVcn, true);
    this.#context.retire(number);
  }

  /** The first record gets a list: its extent keeps what fits beside that. Gives the VCN that comes next. */
  #shorten(old: NonResidentAttribute): number {
    const { runs } = this.#data;
    const entries = this.#entries.reduce((sum, entry) => sum + listEntry(entry).length, 0);
    const [entry] = this.#extents(AT_DATA);
    const list = RESIDENT_ATTRIBUTE.size + entries + (1 + SPARE_ENTRIES) * listEntry(entry!).length;
    const room = this.#own.room + old.length - extentOverhead() - list;
    const { pairs, clusters, count } = encodeRuns(runs, 0, Math.max(1, room));
    if (count === 0) throw this.#scattered('its first record has no room for a list');
    const sizes = this.#sizesOf(this.#data, old);
    const { instance } = old;
    this.#own.replace(
      old,
      nonResidentAttribute({ type: AT_DATA, instance, lowestVcn: 0, clusters, pairs, sizes }),
    );
    return clusters;
  }

  /** Extents in new records from `from` on, behind the last one or in its place. */
  #addExtents(last: NewListEntry, from: number, inPlace = false): void {
    const rest = runsFrom(this.#data.runs, from);
    const made: NewListEntry[] = [];
    let vcn = from;
    for (let done = 0; done < rest.length; ) {
      const extension = this.#extension(vcn);
      const { pairs, count, clusters } = encodeRuns(rest, done, extension.room - extentOverhead());
      const instance = extension.nextInstance();
      extension.add(nonResidentAttribute({ type: AT_DATA, instance, lowestVcn: vcn, clusters, pairs }));
      made.push({ type: AT_DATA, name: '', lowestVcn: vcn, reference: extension.reference, instance });
      vcn += clusters;
      done += count;
    }
    this.#replaceEntry(last, inPlace ? made : [last, ...made]);
  }
}

import { roundUp } from '../../units.ts';
import { type Attribute, parseAttributes } from './attribute.ts';
import { AT_END, ATTRIBUTE, MAGIC_FILE, MFT_RECORD, STRIDE } from './layout.ts';
import { ALIGNMENT } from './new-attribute.ts';
import { type MftRecord, parseRecord, recordPlace } from './record.ts';
import { type FileReference, referenceFields } from './reference.ts';
import { type Place, protectRecord } from './update-sequence.ts';

/** `AT_END` and 4 bytes of zeros, which count as in use. */
const END_MARK = 8;

/** One MFT record that is being changed, without its update sequence. */
export class RecordEditor {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly place: Place;
  #standing: Uint8Array | undefined;

  /** `standing`: the record as it is on the disk, update sequence included. */
  constructor(record: Pick<MftRecord, 'number' | 'bytes' | 'place'>, standing?: Uint8Array) {
    this.number = record.number;
    this.bytes = record.bytes;
    this.place = record.place;
    this.#standing = standing;
  }

  /** Throws like `parseRecord`. */
  static open(standing: Uint8Array, number: number, offset: number): RecordEditor {
    return new RecordEditor(parseRecord(Uint8Array.from(standing), number, offset), standing);
  }

  /**
   * A record with no attributes. `standing`: the unused one in its place, whose sequence number goes on; `undefined` where nothing was.
   * `knowsNumber`: NTFS 3.1.
   */
  static empty(options: {
    readonly number: number;
    readonly size: number;
    readonly sequence: number;
    readonly knowsNumber: boolean;
    readonly flags: number;
    readonly links: number;
    readonly base?: FileReference | undefined;
    readonly standing?: Uint8Array | undefined;
    readonly offset: number;
  }): RecordEditor {
    const { number, size, sequence, knowsNumber, flags, links, base, standing, offset } = options;
    const words = size / STRIDE + 1;
    const usaAt = knowsNumber ? MFT_RECORD.size : MFT_RECORD.offsetOf('reserved');
    const first = roundUp(usaAt + 2 * words, ALIGNMENT);
    const bytes = new Uint8Array(size);
    bytes.set(
      MFT_RECORD.encode({
        magic: Buffer.from(MAGIC_FILE),
        usa_ofs: usaAt,
        usa_count: words,
        sequence_number: sequence,
        link_count: links,
        attrs_offset: first,
        flags,
        bytes_in_use: first + END_MARK,
        bytes_allocated: size,
        ...(base === undefined ? {} : referenceFields('base_mft_record', base)),
        ...(knowsNumber ? { mft_record_number: number % 2 ** 32 } : {}),
      }),
    );
    ATTRIBUTE.set(bytes, 'type', AT_END, first);
    return new RecordEditor({ number, bytes, place: recordPlace(number, offset) }, standing);
  }

  get sequence(): number {
    return MFT_RECORD.get(this.bytes, 'sequence_number');
  }

  get reference(): FileReference {
    return { number: this.number, sequence: this.sequence };
  }

  get #inUse(): number {
    return MFT_RECORD.get(this.bytes, 'bytes_in_use');
  }

  /** Bytes that attributes may still take. */
  get room(): number {
    return this.bytes.length - this.#inUse;
  }

  attributes(): Attribute[] {
    const first = MFT_RECORD.get(this.bytes, 'attrs_offset');
    return [...parseAttributes(this.bytes, first, this.#inUse, this.place)];
  }

  find(type: number, name: string): Attribute | undefined {
    return this.attributes().find((each) => each.type === type && each.name === name);
  }

  /** A number for a new attribute. */
  nextInstance(): number {
    const instance = MFT_RECORD.get(this.bytes, 'next_attr_instance');
    MFT_RECORD.set(this.bytes, 'next_attr_instance', (instance + 1) % 0x10000);
    return instance;
  }

  /** Puts an attribute where its type belongs. The caller has compared its length with `room`. */
  add(attribute: Uint8Array): void {
    const type = ATTRIBUTE.get(attribute, 'type');
    const behind = this.attributes().find((each) => each.type > type);
    const end = this.attributes().reduce(
      (at, each) => Math.max(at, each.at + each.length),
      MFT_RECORD.get(this.bytes, 'attrs_offset'),
    );
    this.#splice(behind?.at ?? end, 0, attribute);
  }

  /** Puts other bytes in the place of an attribute, or none. */
  replace(attribute: Attribute, by: Uint8Array = new Uint8Array()): void {
    this.#splice(attribute.at, attribute.length, by);
  }

  #splice(at: number, gone: number, bytes: Uint8Array): void {
    const inUse = this.#inUse;
    const size = inUse - gone + bytes.length;
    if (size > this.bytes.length) throw new RangeError(`record ${this.number} has no room`);
    this.bytes.copyWithin(at + bytes.length, at + gone, inUse);
    this.bytes.set(bytes, at);
    if (size < inUse) this.bytes.fill(0, size, inUse);
    MFT_RECORD.set(this.bytes, 'bytes_in_use', size);
  }

  /** The same record, to be changed on trial. */
  copy(): RecordEditor {
    const { number, place } = this;
    return new RecordEditor({ number, place, bytes: Uint8Array.from(this.bytes) }, this.#standing);
  }

  /** As it goes to the disk. What is protected next goes over that. */
  protect(): Uint8Array {
    this.#standing = protectRecord(this.bytes, this.#standing);
    return this.#standing;
  }
}

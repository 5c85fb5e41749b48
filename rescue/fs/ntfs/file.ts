import { corrupt } from '../../errors.ts';
import type { Attribute, NonResidentAttribute } from './attribute.ts';
import { type ListEntry, readAttributeList } from './attribute-list.ts';
import { AT_ATTRIBUTE_LIST } from './layout.ts';
import { type MftRecord, ownAttributes, requireMeant } from './record.ts';
import { formatReference } from './reference.ts';
import { decodeMappingPairs, type MappedRun } from './runlist.ts';
import type { NtfsVolume } from './volume.ts';

/** Records of one file whose attributes are kept ready. */
const MOST_EXTENSIONS = 16;

/**
 * A file: its first record and, where its attributes do not fit there, its attribute list with the extension records that
 * the list names. `attributes` gives everything but the list itself, extents of one attribute one after the other.
 */
export class NtfsFile {
  readonly volume: NtfsVolume;
  readonly record: MftRecord;
  /** Undefined if all attributes stand in the first record. */
  readonly list: readonly ListEntry[] | undefined;
  readonly #own: readonly Attribute[];
  readonly #extensions = new Map<number, readonly Attribute[]>();

  constructor(volume: NtfsVolume, record: MftRecord) {
    this.volume = volume;
    this.record = record;
    const all = [...ownAttributes(record)];
    const list = all.find((attribute) => attribute.type === AT_ATTRIBUTE_LIST);
    this.#own = list === undefined ? all : all.filter((attribute) => attribute !== list);
    this.list = list === undefined ? undefined : readAttributeList(volume, list);
  }

  /** Throws `corrupt` (`ntfs.list-record`, `ntfs.list-entry`, `ntfs.attribute`, ...). */
  *attributes(): Generator<Attribute> {
    if (this.list === undefined) yield* this.#own;
    else for (const entry of this.list) yield this.#listed(entry);
  }

  /** The first extent of an attribute. */
  find(type: number, name: string): Attribute | undefined {
    if (this.list === undefined)
      return this.#own.find((attribute) => attribute.type === type && attribute.name === name);
    const entry = this.list.find((each) => each.type === type && each.name === name);
    return entry === undefined ? undefined : this.#listed(entry);
  }

  /** All extents of one attribute. */
  *extents(type: number, name: string): Generator<Attribute> {
    if (this.list === undefined) {
      for (const attribute of this.#own)
        if (attribute.type === type && attribute.name === name) yield attribute;
      return;
    }
    for (const entry of this.list) if (entry.type === type && entry.name === name) yield this.#listed(entry);
  }

  #listed(entry: ListEntry): Attribute {
    const { reference, type, name, lowestVcn, instance } = entry;
    const attributes = reference.number === this.record.number ? this.#own : this.#extension(entry);
    const found = attributes.find(
      (each) =>
        each.type === type &&
        each.name === name &&
        (each.resident ? each.instance === instance : each.pairs.lowestVcn === lowestVcn),
    );
    if (found !== undefined) return found;
    throw corrupt(`names an attribute that is not in ${formatReference(reference)}`, {
      code: 'ntfs.list-entry',
      ...entry.place,
      expected: `type 0x${type.toString(16)}, VCN ${lowestVcn}`,
    });
  }

  #extension({ reference, place }: ListEntry): readonly Attribute[] {
    const cached = this.#extensions.get(reference.number);
    if (cached !== undefined) return cached;
    const record = this.volume.record(reference.number);
    requireMeant(record, reference, place);
    const { base } = record;
    if (
      base?.number !== this.record.number ||
      (base.sequence !== 0 && base.sequence !== this.record.sequence)
    ) {
      throw corrupt(`names a record that does not extend this file`, {
        code: 'ntfs.list-record',
        ...place,
        expected: `record ${reference.number} with base ${this.record.number}`,
        found: base === undefined ? 'a base record' : formatReference(base),
      });
    }
    const attributes = [...ownAttributes(record)];
    const [oldest] = this.#extensions.keys();
    if (oldest !== undefined && this.#extensions.size >= MOST_EXTENSIONS) this.#extensions.delete(oldest);
    this.#extensions.set(reference.number, attributes);
    return attributes;
  }
}

/** Throws `corrupt` (`ntfs.attribute`, `ntfs.attribute-list`, ...), `io`. */
export const openRecord = (volume: NtfsVolume, record: MftRecord): NtfsFile => new NtfsFile(volume, record);

/** The runs that one extent maps. Throws `corrupt` (`ntfs.runlist`, `ntfs.runlist-range`). */
export const extentRuns = (volume: NtfsVolume, extent: NonResidentAttribute): Generator<MappedRun> =>
  decodeMappingPairs(extent.pairs, volume.clusterCount, extent.place);

/**
 * The runs of an attribute over all its extents, which must follow each other without a gap; none if its content is in the
 * record. Throws `corrupt` (`ntfs.extents`, and what was said above).
 */
export function* attributeRuns(file: NtfsFile, type: number, name: string): Generator<MappedRun> {
  let vcn = 0;
  for (const extent of file.extents(type, name)) {
    if (extent.resident) {
      if (vcn === 0) return;
      throw corrupt('an attribute is both in its record and outside', {
        code: 'ntfs.extents',
        ...extent.place,
      });
    }
    const { lowestVcn, highestVcn } = extent.pairs;
    if (lowestVcn !== vcn || (vcn > 0 && highestVcn < lowestVcn)) {
      throw corrupt('extents of an attribute do not follow each other', {
        code: 'ntfs.extents',
        ...extent.place,
        expected: `VCN ${vcn}`,
        found: `VCN ${lowestVcn} to ${highestVcn}`,
      });
    }
    yield* extentRuns(file.volume, extent);
    vcn = highestVcn + 1;
  }
}

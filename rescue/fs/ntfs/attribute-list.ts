import { corrupt } from '../../errors.ts';
import { type Attribute, utf16 } from './attribute.ts';
import { ATTRIBUTE_LIST_ENTRY, LONGEST_ATTRIBUTE_LIST } from './layout.ts';
import { type FileReference, readReference } from './reference.ts';
import { decodeMappingPairs } from './runlist.ts';
import type { Place } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

/** Where one attribute, or one extent of it, stands. */
export interface ListEntry {
  readonly type: number;
  readonly name: string;
  readonly lowestVcn: number;
  readonly instance: number;
  /** The record that holds it. */
  readonly reference: FileReference;
  readonly place: Place;
}

const fail = (place: Place, message: string, expected: string | number, found: string | number) =>
  corrupt(message, { code: 'ntfs.attribute-list', ...place, expected, found });

/** The list's content. It may lie in clusters, but its own mapping pairs stand in the first record, whole. */
const listContent = (volume: NtfsVolume, list: Attribute, place: Place): Uint8Array => {
  if (list.resident) return list.value;
  const { dataSize, pairs } = list;
  if (dataSize > LONGEST_ATTRIBUTE_LIST || pairs.lowestVcn !== 0)
    throw fail(place, 'too long', LONGEST_ATTRIBUTE_LIST, dataSize);
  const { clusterSize } = volume;
  const content = new Uint8Array(dataSize);
  let done = 0;
  for (const { start, length } of decodeMappingPairs(pairs, volume.clusterCount, place)) {
    const size = Math.min(length * clusterSize, dataSize - done);
    if (size === 0) break;
    if (start === undefined) throw fail(place, 'has a hole', 'clusters', done);
    volume.device.readInto(volume.clusterOffset(start), content.subarray(done, done + size));
    done += size;
  }
  if (done < dataSize) throw fail(place, 'ends before its size', dataSize, done);
  return content;
};

/** All entries in their order. Throws `corrupt` (`ntfs.attribute-list`, `ntfs.runlist`), `io`. */
export const readAttributeList = (volume: NtfsVolume, list: Attribute): ListEntry[] => {
  const place = { structure: `attribute list of ${list.place.structure}`, offset: list.place.offset };
  const content = listContent(volume, list, place);
  const entries: ListEntry[] = [];
  for (let at = 0; at < content.length; ) {
    const get = <K extends keyof typeof ATTRIBUTE_LIST_ENTRY.fields>(field: K) =>
      ATTRIBUTE_LIST_ENTRY.get(content, field, at);
    const length = get('length');
    if (length < ATTRIBUTE_LIST_ENTRY.size || length % 8 !== 0 || length > content.length - at)
      throw fail(place, `entry of impossible length at ${at}`, `up to ${content.length - at}`, length);
    const nameLength = get('name_length');
    const nameOffset = get('name_offset');
    if (nameLength > 0 && nameOffset + 2 * nameLength > length)
      throw fail(place, `name outside its entry at ${at}`, length, nameOffset);
    entries.push({
      type: get('type'),
      name: nameLength === 0 ? '' : utf16(content, at + nameOffset, nameLength),
      lowestVcn: get('lowest_vcn'),
      instance: get('instance'),
      reference: readReference(ATTRIBUTE_LIST_ENTRY, content, 'mft_reference', at),
      place,
    });
    at += length;
  }
  return entries;
};

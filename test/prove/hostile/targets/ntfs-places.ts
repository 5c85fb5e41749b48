import type { ReadableDevice } from '../../../../rescue/device/device.ts';
import type { Attribute } from '../../../../rescue/fs/ntfs/attribute.ts';
import { openContent } from '../../../../rescue/fs/ntfs/content.ts';
import {
  AT_ATTRIBUTE_LIST,
  AT_FILE_NAME,
  AT_INDEX_ALLOCATION,
  AT_INDEX_ROOT,
  AT_STANDARD_INFORMATION,
  AT_VOLUME_INFORMATION,
  ATTRIBUTE,
  ATTRIBUTE_LIST_ENTRY,
  BOOT_SECTOR,
  FILE_LOGFILE,
  FILE_NAME,
  INDEX_BLOCK,
  INDEX_ENTRY,
  INDEX_HEADER,
  INDEX_ROOT,
  MFT_RECORD,
  MIRRORED_RECORDS,
  NAME_INDEX,
  NON_RESIDENT_ATTRIBUTE,
  RESIDENT_ATTRIBUTE,
  RESTART_AREA,
  RESTART_PAGE,
  STANDARD_INFORMATION,
  VOLUME_INFORMATION,
} from '../../../../rescue/fs/ntfs/layout.ts';
import { isInUse } from '../../../../rescue/fs/ntfs/record.ts';
import { NtfsVolume } from '../../../../rescue/fs/ntfs/volume.ts';
import { bytesAt, type Place, placeOf } from '../places.ts';

/** Entries of a node, and blocks of an index, that are looked at. */
const MOST_ENTRIES = 6;
const MOST_BLOCKS = 2;

/** What the content of a resident attribute is. */
const CONTENTS: Readonly<Record<number, Parameters<typeof placeOf>[0]>> = {
  [AT_STANDARD_INFORMATION]: STANDARD_INFORMATION,
  [AT_FILE_NAME]: FILE_NAME,
  [AT_VOLUME_INFORMATION]: VOLUME_INFORMATION,
  [AT_INDEX_ROOT]: INDEX_ROOT,
  [AT_ATTRIBUTE_LIST]: ATTRIBUTE_LIST_ENTRY,
};

/**
 * Where the structures of an NTFS volume are. Update sequences cover no content: what is changed anywhere but in the last word of a
 * stride passes them. The copies in $MFTMirr follow what they are copies of.
 */
class NtfsPlaces {
  readonly #volume: NtfsVolume;
  readonly places: Place[] = [];

  constructor(device: ReadableDevice) {
    this.#volume = new NtfsVolume(device);
    const boot = placeOf(BOOT_SECTOR, 0);
    this.places.push(boot, boot, boot);
    for (let number = 0; number < this.#volume.recordCount; number += 1) {
      const record = this.#volume.record(number);
      if (isInUse(record)) this.#record(number);
    }
    const log = openContent(this.#volume.file(FILE_LOGFILE), 0x80, '');
    for (let page = 0; log !== undefined && page < 2; page += 1) {
      const at = log.position(page * 4096);
      this.places.push(placeOf(RESTART_PAGE, at), placeOf(RESTART_AREA, at + 0x30));
    }
  }

  #record(number: number): void {
    const volume = this.#volume;
    const at = volume.recordOffset(number);
    const { recordSize } = volume;
    const mirror = volume.clusterOffset(volume.parameters.mirrorCluster) + number * recordSize;
    const seal: Place['seal'] =
      number < MIRRORED_RECORDS
        ? (draft) => draft.put(mirror, Uint8Array.from(draft.view(at, recordSize)))
        : undefined;
    this.places.push(placeOf(MFT_RECORD, at, seal));
    if (volume.record(number).base !== undefined) return;
    const file = volume.file(number);
    for (const attribute of file.attributes()) this.#attribute(attribute, seal);
    const blocks = openContent(file, AT_INDEX_ALLOCATION, NAME_INDEX);
    for (let block = 0; block < MOST_BLOCKS && block * 4096 < (blocks?.size ?? 0); block += 1) {
      const start = blocks!.position(block * 4096);
      this.places.push(placeOf(INDEX_BLOCK, start));
      this.#node(start + INDEX_BLOCK.size, seal);
    }
  }

  #attribute({ place, at, length, resident, type, ...attribute }: Attribute, seal: Place['seal']): void {
    // `place.offset` is that of the record on the device.
    const start = (place.offset ?? 0) + at;
    this.places.push(placeOf(ATTRIBUTE, start, seal));
    if (!resident) {
      this.places.push(placeOf(NON_RESIDENT_ATTRIBUTE, start, seal));
      const { pairs } = attribute as unknown as { readonly pairs: { readonly from: number } };
      this.places.push(
        bytesAt('mapping pairs', start + pairs.from - at, Math.min(32, length - (pairs.from - at)), seal),
      );
      return;
    }
    this.places.push(placeOf(RESIDENT_ATTRIBUTE, start, seal));
    const content = this.#volume.device.read(start + RESIDENT_ATTRIBUTE.offsetOf('value_offset'), 2);
    const value = start + content[0]! + content[1]! * 256;
    const table = CONTENTS[type];
    if (table !== undefined) this.places.push(placeOf(table, value, seal));
    else if (length > RESIDENT_ATTRIBUTE.size)
      this.places.push(bytesAt('resident content', value, Math.min(128, start + length - value), seal));
    if (type === AT_INDEX_ROOT) this.#node(value + INDEX_ROOT.size, seal);
  }

  #node(at: number, seal: Place['seal']): void {
    const { device } = this.#volume;
    this.places.push(placeOf(INDEX_HEADER, at, seal));
    const header = device.read(at, INDEX_HEADER.size);
    const end = at + INDEX_HEADER.get(header, 'index_length');
    let entry = at + INDEX_HEADER.get(header, 'entries_offset');
    for (let count = 0; count < MOST_ENTRIES && entry + INDEX_ENTRY.size <= end; count += 1) {
      this.places.push(placeOf(INDEX_ENTRY, entry, seal));
      const length = INDEX_ENTRY.get(device.read(entry, INDEX_ENTRY.size), 'length');
      if (length > INDEX_ENTRY.size + FILE_NAME.size)
        this.places.push(placeOf(FILE_NAME, entry + INDEX_ENTRY.size, seal));
      entry += Math.max(8, length);
    }
  }
}

export const ntfsPlaces = (device: ReadableDevice): readonly Place[] => new NtfsPlaces(device).places;

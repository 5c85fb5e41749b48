import type { ReadableDevice } from '../../../rescue/device/device.ts';
import {
  AT_ATTRIBUTE_LIST,
  AT_BITMAP,
  AT_INDEX_ALLOCATION,
  FILE_ROOT,
  NAME_INDEX,
} from '../../../rescue/fs/ntfs/layout.ts';
import { ownAttributes } from '../../../rescue/fs/ntfs/record.ts';
import { findInRoot } from '../../../rescue/fs/ntfs/root-files.ts';
import { NtfsVolume } from '../../../rescue/fs/ntfs/volume.ts';

/** What a claim takes for itself lies in pieces of one cluster, so far from each other that a mapping pair has 4 bytes. */
export const FAR_APART = { has: (cluster: number): boolean => cluster % 130 !== 0 };

/** Where a folder's list, blocks and bitmap are: in its first record, in others. */
export const layoutOf = (device: ReadableDevice, name?: string): string => {
  const opened = new NtfsVolume(device);
  const file = name === undefined ? opened.file(FILE_ROOT) : [...findInRoot(opened, [name])][0]!.file;
  const of = (type: number): string =>
    [...file.extents(type, NAME_INDEX)]
      .map(({ place }) => (place.structure === file.record.place.structure ? 'first' : 'other'))
      .join(' ');
  const list = [...ownAttributes(file.record)].find(({ type }) => type === AT_ATTRIBUTE_LIST);
  const kept = list === undefined ? 'no list' : list.resident ? 'list' : 'list in clusters';
  return `${kept}; blocks: ${of(AT_INDEX_ALLOCATION)}; bitmap: ${of(AT_BITMAP)}`;
};

import { openContent } from '../../../rescue/fs/ntfs/content.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import {
  AT_BITMAP,
  AT_DATA,
  AT_FILE_NAME,
  AT_INDEX_ALLOCATION,
  AT_INDEX_ROOT,
  BOOT_SECTOR,
  FILE_NAME,
  INDEX_ENTRY,
  INDEX_HEADER,
  INDEX_ROOT,
  MFT_RECORD,
  NAME_INDEX,
  RECORD_IN_USE,
  RESIDENT_ATTRIBUTE,
} from '../../../rescue/fs/ntfs/layout.ts';
import type { Damaged } from './damage.ts';

/** Ways to damage an NTFS volume (`smallVolume`), one thing at a time, and what `check` must say of each. */

export interface Damage {
  readonly name: string;
  readonly make: (volume: Damaged) => void;
  readonly expected: readonly string[];
  /** ntfsresize or ntfsfix sees it, too. */
  readonly judged?: boolean;
}

export const firstCluster = (volume: Damaged, path: string): number => {
  const entry = [...openNtfs(volume.device).walk()].find((each) => each.path === path)!;
  const [run] = entry.runs();
  return run!.start;
};

/** Offset of a resident value in its record. */
const valueAt = (volume: Damaged, path: string, type: number, name = ''): number => {
  const attribute = volume.attribute(path, type, name);
  const { bytes } = volume.file(path).record;
  return attribute.at + RESIDENT_ATTRIBUTE.get(bytes, 'value_offset', attribute.at);
};

/** Writes another start into the first mapping pair of a file in one piece. */
export const moveFirstRun = (volume: Damaged, path: string, start: number): void => {
  const data = volume.attribute(path, AT_DATA);
  if (data.resident) throw new Error(`${path} has no clusters`);
  const { from } = data.pairs;
  volume.record(volume.node(path), (bytes) => {
    const length = bytes[from]! & 0xf;
    // Three bytes for the start: what follows is padding or the end.
    bytes[from] = 0x30 | length;
    bytes.set([start & 0xff, (start >>> 8) & 0xff, (start >>> 16) & 0xff, 0], from + 1 + length);
  });
};

/** Offset of the first entry of a folder that fits its record. */
const firstEntry = (volume: Damaged, path: string): number => {
  const header = valueAt(volume, path, AT_INDEX_ROOT, NAME_INDEX) + INDEX_ROOT.size;
  return header + INDEX_HEADER.get(volume.file(path).record.bytes, 'entries_offset', header);
};

/** Records between the system files and the first that ntfs-3g gives to a user's file. */
export const FREE_RECORD = 40;

export const DAMAGES: readonly Damage[] = [
  {
    name: 'a cluster of a file marked as free',
    make: (volume) => volume.bit('clusters', firstCluster(volume, '/a'), false),
    expected: ['ntfs.content-free'],
    judged: true,
  },
  {
    name: 'two files on one cluster',
    make: (volume) => moveFirstRun(volume, '/a', firstCluster(volume, '/b')),
    expected: ['ntfs.multiply-claimed'],
    judged: true,
  },
  {
    name: 'a file on $MFT',
    make: (volume) => moveFirstRun(volume, '/a', firstCluster(volume, '/$MFT')),
    expected: ['ntfs.multiply-claimed'],
    judged: true,
  },
  {
    name: 'a run outside the volume',
    make: (volume) => moveFirstRun(volume, '/a', 0x7fffff),
    expected: ['ntfs.runlist-range'],
    judged: true,
  },
  {
    name: 'a record that is not marked as in use',
    make: (volume) => volume.bit('records', volume.node('/a'), false),
    expected: ['ntfs.record-unmarked'],
  },
  {
    name: 'a record that was written in part',
    make: (volume) => volume.flip(volume.volume.recordOffset(volume.node('/few/two')) + 510),
    expected: ['ntfs.update-sequence'],
  },
  {
    name: 'a record of a folder that was written in part',
    make: (volume) => volume.flip(volume.volume.recordOffset(volume.node('/few')) + 510),
    expected: ['ntfs.update-sequence'],
  },
  {
    name: 'a record that is no record',
    make: (volume) => volume.flip(volume.volume.recordOffset(volume.node('/few/two'))),
    expected: ['ntfs.record'],
  },
  {
    name: 'an attribute longer than its record',
    make: (volume) => {
      const { at } = volume.attribute('/few/two', AT_FILE_NAME);
      volume.record(volume.node('/few/two'), (bytes) => bytes.set([0xf8, 0xff], at + 4));
    },
    expected: ['ntfs.attribute'],
  },
  {
    name: 'a block of an index that was written in part',
    make: (volume) => {
      const blocks = openContent(volume.file('/many'), AT_INDEX_ALLOCATION, NAME_INDEX)!;
      volume.flip(blocks.position(0) + 1022);
    },
    expected: ['ntfs.update-sequence'],
  },
  {
    name: 'a block of an index marked as free',
    make: (volume) => {
      const at = valueAt(volume, '/many', AT_BITMAP, NAME_INDEX);
      volume.record(volume.node('/many'), (bytes) => {
        bytes[at]! &= ~1;
      });
    },
    expected: ['ntfs.index-bitmap'],
  },
  {
    name: 'names out of order',
    make: (volume) => {
      const name = valueAt(volume, '/few/one', AT_FILE_NAME) + FILE_NAME.size;
      const entry = firstEntry(volume, '/few') + INDEX_ENTRY.size + FILE_NAME.size;
      // `one` becomes `zne` on both sides.
      volume.record(volume.node('/few/one'), (bytes) => bytes.fill(0x7a, name, name + 1));
      volume.record(volume.node('/few'), (bytes) => bytes.fill(0x7a, entry, entry + 1));
    },
    expected: ['ntfs.index-order'],
  },
  {
    name: 'an entry for the file that was there before',
    make: (volume) => {
      const entry = firstEntry(volume, '/few');
      volume.record(volume.node('/few'), (bytes) =>
        INDEX_ENTRY.set(bytes, 'indexed_file_sequence', 77, entry),
      );
    },
    expected: ['ntfs.entry-sequence'],
  },
  {
    name: 'a name in the folder that was there before',
    make: (volume) => {
      const name = valueAt(volume, '/few/one', AT_FILE_NAME);
      volume.record(volume.node('/few/one'), (bytes) =>
        FILE_NAME.set(bytes, 'parent_directory_sequence', 77, name),
      );
    },
    expected: ['ntfs.parent-sequence'],
  },
  {
    name: 'an entry that belongs to another folder',
    make: (volume) => {
      const key = firstEntry(volume, '/few') + INDEX_ENTRY.size;
      volume.record(volume.node('/few'), (bytes) => FILE_NAME.set(bytes, 'parent_directory_low', 5, key));
    },
    expected: ['ntfs.entry-parent'],
  },
  {
    name: 'a file that its folder does not list',
    make: (volume) => {
      const header = valueAt(volume, '/few', AT_INDEX_ROOT, NAME_INDEX) + INDEX_ROOT.size;
      const entry = firstEntry(volume, '/few');
      volume.record(volume.node('/few'), (bytes) => {
        // The entry before goes away: the index begins behind it.
        const skipped = INDEX_ENTRY.get(bytes, 'length', entry);
        INDEX_HEADER.set(bytes, 'entries_offset', entry + skipped - header, header);
      });
    },
    expected: ['ntfs.name-without-entry'],
  },
  {
    name: 'an entry for a file that is not there',
    make: (volume) =>
      volume.record(volume.node('/few/one'), (bytes) =>
        MFT_RECORD.set(bytes, 'flags', MFT_RECORD.get(bytes, 'flags') & ~RECORD_IN_USE),
      ),
    expected: ['ntfs.entry-without-name'],
  },
  {
    name: 'another name in the folder than in the file',
    make: (volume) => {
      const name = valueAt(volume, '/few/one', AT_FILE_NAME) + FILE_NAME.size;
      volume.record(volume.node('/few/one'), (bytes) => bytes.fill(0x7a, name, name + 1));
    },
    expected: ['ntfs.entry-without-name', 'ntfs.name-without-entry'],
  },
  {
    name: 'a table of upper case that is none',
    make: (volume) => volume.device.write(firstCluster(volume, '/$UpCase') * 4096, new Uint8Array(4096)),
    expected: ['ntfs.upcase'],
  },
  {
    name: 'a mirror that differs',
    make: (volume) => {
      const { parameters } = volume.volume;
      volume.flip(parameters.mirrorCluster * parameters.clusterSize + 3 * 1024 + 0x40);
    },
    expected: ['ntfs.mirror'],
    judged: true,
  },
  {
    name: 'a mirror in another place',
    make: (volume) => {
      const boot = volume.device.read(0, 512);
      BOOT_SECTOR.set(boot, 'mftmirr_lcn', 5);
      volume.device.write(0, boot);
    },
    expected: ['ntfs.mirror-place'],
  },
  {
    name: 'an extension that its file does not know',
    make: (volume) => {
      const base = volume.node('/a');
      const { sequence } = volume.file('/a').record;
      volume.record(FREE_RECORD, (bytes) => {
        MFT_RECORD.set(bytes, 'flags', RECORD_IN_USE);
        MFT_RECORD.set(bytes, 'base_mft_record_low', base);
        MFT_RECORD.set(bytes, 'base_mft_record_sequence', sequence);
      });
      volume.bit('records', FREE_RECORD, true);
    },
    expected: ['ntfs.extension'],
  },
  {
    name: 'a file with extensions whose first record was written in part',
    make: (volume) => volume.flip(volume.volume.recordOffset(volume.node('/linked')) + 510),
    expected: ['ntfs.update-sequence'],
  },
  {
    name: 'an extension that belongs to another file',
    make: (volume) => {
      const { list } = volume.file('/linked');
      const other = list!.find(({ reference }) => reference.number !== volume.node('/linked'))!.reference
        .number;
      volume.record(other, (bytes) => MFT_RECORD.set(bytes, 'base_mft_record_low', volume.node('/a')));
    },
    expected: ['ntfs.extension', 'ntfs.list-record'],
  },
];

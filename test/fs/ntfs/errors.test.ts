import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { openContent } from '../../../rescue/fs/ntfs/content.ts';
import { extentRuns } from '../../../rescue/fs/ntfs/file.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import {
  AT_ATTRIBUTE_LIST,
  AT_DATA,
  AT_FILE_NAME,
  AT_INDEX_ROOT,
  AT_VOLUME_INFORMATION,
  ATTRIBUTE,
  ATTRIBUTE_ENCRYPTED,
  ATTRIBUTE_LIST_ENTRY,
  FILE_BITMAP,
  FILE_MFT,
  FILE_NAME,
  FILE_VOLUME,
  INDEX_ENTRY,
  INDEX_HEADER,
  INDEX_ROOT,
  NON_RESIDENT_ATTRIBUTE,
  RESIDENT_ATTRIBUTE,
} from '../../../rescue/fs/ntfs/layout.ts';
import { ownAttributes } from '../../../rescue/fs/ntfs/record.ts';
import { release } from '../../../rescue/fs/ntfs/release.ts';
import { RunMap } from '../../../rescue/fs/ntfs/run-map.ts';
import { clustersOf } from '../../../rescue/fs/ntfs/runlist.ts';
import { patch } from '../../../rescue/fs/ntfs/transaction.ts';
import { MIB, type Run } from '../../../rescue/units.ts';
import { codeOf } from '../../support/code-of.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { NOTHING, TIME } from '../editing.ts';
import { Damaged, smallVolume } from './damage.ts';
import { makeNtfs, mountNtfs } from './volumes.ts';

interface Fault {
  readonly what: string;
  readonly damage: (volume: Damaged) => void;
  readonly read: (volume: Damaged) => unknown;
  readonly code: string;
}

const walk = ({ device }: Damaged): unknown => [...openNtfs(device).walk()];
const content =
  (path: string) =>
  (volume: Damaged): unknown =>
    openContent(volume.file(path), AT_DATA, '');
const runsOf =
  (path: string) =>
  ({ device }: Damaged): unknown =>
    [...openNtfs(device).walk()].filter((entry) => entry.path === path).map((entry) => [...entry.runs()]);
const claiming = (volume: Damaged): unknown =>
  patch(volume.device, (editor) =>
    claim(editor, {
      name: 'x',
      runs: [{ start: volume.volume.clusterCount - 2, length: 1 }],
      time: TIME,
      avoid: NOTHING,
    }),
  );

/** Changes fields of an attribute, wherever its record has it. */
const inAttribute = (
  volume: Damaged,
  number: number,
  type: number,
  change: (bytes: Uint8Array, at: number) => void,
): void => {
  const { at } = [...ownAttributes(volume.volume.file(number).record)].find((each) => each.type === type)!;
  volume.record(number, (bytes) => change(bytes, at));
};

/** The first entry of the index that stands in the record of a folder. */
const firstIn = (volume: Damaged, path: string, change: (bytes: Uint8Array, entry: number) => void): void => {
  inAttribute(volume, volume.node(path), AT_INDEX_ROOT, (bytes, at) => {
    const header = at + RESIDENT_ATTRIBUTE.get(bytes, 'value_offset', at) + INDEX_ROOT.size;
    change(bytes, header + INDEX_HEADER.get(bytes, 'entries_offset', header));
  });
};
const firstOfFew = (volume: Damaged, change: (bytes: Uint8Array, entry: number) => void): void =>
  firstIn(volume, '/few', change);

/** The list of `/linked`, which lies in clusters. */
const inList = (volume: Damaged, change: (bytes: Uint8Array, entry: number) => void): void => {
  const { volume: opened } = volume;
  const file = opened.file(volume.node('/linked'));
  const list = [...ownAttributes(file.record)].find(({ type }) => type === AT_ATTRIBUTE_LIST)!;
  if (list.resident) throw new Error('the list is resident');
  const [{ start }] = [...clustersOf(extentRuns(opened, list))] as [Run];
  const bytes = volume.device.read(opened.clusterOffset(start), opened.clusterSize);
  change(bytes, 0);
  volume.device.write(opened.clusterOffset(start), bytes);
};

const FAULTS: readonly Fault[] = [
  {
    what: 'a file longer than its clusters',
    damage: (volume) =>
      inAttribute(volume, volume.node('/a'), AT_DATA, (bytes, at) =>
        NON_RESIDENT_ATTRIBUTE.set(bytes, 'data_size', 2 ** 40, at),
      ),
    read: content('/a'),
    code: 'corrupt:ntfs.size',
  },
  {
    what: 'an encrypted file that has to be read',
    damage: (volume) =>
      inAttribute(volume, volume.node('/a'), AT_DATA, (bytes, at) =>
        ATTRIBUTE.set(bytes, 'flags', ATTRIBUTE_ENCRYPTED, at),
      ),
    read: content('/a'),
    code: 'unsupported:ntfs.encoded',
  },
  {
    what: 'an attribute that begins in the middle',
    damage: (volume) =>
      inAttribute(volume, volume.node('/a'), AT_DATA, (bytes, at) =>
        NON_RESIDENT_ATTRIBUTE.set(bytes, 'lowest_vcn', 1, at),
      ),
    read: runsOf('/a'),
    code: 'corrupt:ntfs.extents',
  },
  {
    what: 'a volume without its version',
    damage: (volume) =>
      inAttribute(volume, FILE_VOLUME, AT_VOLUME_INFORMATION, (bytes, at) =>
        ATTRIBUTE.set(bytes, 'type', AT_VOLUME_INFORMATION + 1, at),
      ),
    read: ({ device }) => openNtfs(device).refusals(),
    code: 'corrupt:ntfs.missing',
  },
  {
    what: '$Bitmap that is shorter than the volume',
    damage: (volume) =>
      inAttribute(volume, FILE_BITMAP, AT_DATA, (bytes, at) => {
        NON_RESIDENT_ATTRIBUTE.set(bytes, 'initialized_size', 8, at);
        NON_RESIDENT_ATTRIBUTE.set(bytes, 'data_size', 8, at);
      }),
    read: ({ device }) => [...openNtfs(device).allocation()],
    code: 'corrupt:ntfs.bitmap-size',
  },
  {
    what: '$Bitmap that is not written to its end, on a volume that is to be changed',
    damage: (volume) =>
      inAttribute(volume, FILE_BITMAP, AT_DATA, (bytes, at) =>
        NON_RESIDENT_ATTRIBUTE.set(bytes, 'initialized_size', 8, at),
      ),
    read: claiming,
    code: 'corrupt:ntfs.bitmap-size',
  },
  {
    what: '$MFT with too few records for the system files',
    damage: (volume) =>
      inAttribute(volume, FILE_MFT, AT_DATA, (bytes, at) =>
        NON_RESIDENT_ATTRIBUTE.set(bytes, 'initialized_size', 10 * 1024, at),
      ),
    read: ({ device }) => openNtfs(device),
    code: 'corrupt:ntfs.mft',
  },
  {
    what: 'a name without a length',
    damage: (volume) =>
      firstOfFew(volume, (bytes, entry) =>
        FILE_NAME.set(bytes, 'file_name_length', 0, entry + INDEX_ENTRY.size),
      ),
    read: walk,
    code: 'corrupt:ntfs.file-name',
  },
  {
    what: 'an entry for a record behind the end of $MFT',
    damage: (volume) =>
      firstOfFew(volume, (bytes, entry) => INDEX_ENTRY.set(bytes, 'indexed_file_low', 0xfffff, entry)),
    read: walk,
    code: 'corrupt:ntfs.record-range',
  },
  {
    what: 'an entry for a file that is gone',
    damage: (volume) =>
      firstOfFew(volume, (bytes, entry) => INDEX_ENTRY.set(bytes, 'indexed_file_sequence', 77, entry)),
    read: walk,
    code: 'corrupt:ntfs.reference',
  },
  {
    what: 'a sub-node where the folder has no block',
    damage: (volume) =>
      firstIn(volume, '/many', (bytes, entry) => {
        const end = entry + INDEX_ENTRY.get(bytes, 'length', entry);
        bytes.set([0x7f, 0, 0, 0, 0, 0, 0, 0], end - 8);
      }),
    read: walk,
    code: 'corrupt:ntfs.index-block',
  },
  {
    what: 'a list with an entry of no length',
    damage: (volume) => inList(volume, (bytes, entry) => ATTRIBUTE_LIST_ENTRY.set(bytes, 'length', 0, entry)),
    read: walk,
    code: 'corrupt:ntfs.attribute-list',
  },
  {
    what: 'a list that names what is not there',
    damage: (volume) =>
      inList(volume, (bytes, entry) => ATTRIBUTE_LIST_ENTRY.set(bytes, 'type', AT_FILE_NAME + 1, entry)),
    read: (volume) => [...volume.file('/linked').attributes()],
    code: 'corrupt:ntfs.list-entry',
  },
  {
    what: 'a mirror without clusters, on a volume that is to be changed',
    damage: (volume) => {
      const data = volume.attribute('/$MFTMirr', AT_DATA);
      if (data.resident) throw new Error('$MFTMirr is resident');
      volume.record(volume.node('/$MFTMirr'), (bytes) => {
        // The place of the only run goes: it is a hole.
        const { from } = data.pairs;
        const length = bytes[from]! & 0xf;
        bytes[from] = length;
        bytes[from + 1 + length] = 0;
      });
    },
    read: claiming,
    code: 'corrupt:ntfs.hole',
  },
];

test('each fault of a structure has its own error, which says where', (t) => {
  const base = smallVolume(t);
  for (const { what, damage, read, code } of FAULTS) {
    const volume = new Damaged(base);
    damage(volume);
    t.is(
      codeOf(() => read(volume)),
      code,
      what,
    );
    const { message } = t.throws(() => read(volume));
    t.regex(message, /byte position \d+/, what);
  }
});

test('a list of runs that is too long is not held', (t) => {
  const runs = function* () {
    for (let vcn = 0; vcn <= 2 ** 20; vcn += 1) yield { vcn, start: 2 * vcn, length: 1 };
  };
  t.is(
    codeOf(() => RunMap.of(runs(), { structure: 'test', offset: 0 })),
    'unsupported:ntfs.too-many-runs',
  );
});

test('a compressed hibernation file is refused, as is a folder in the place of a container', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 8 * MIB });
  const mount = mountNtfs(t, path);
  writeFileSync(join(mount.path, 'hiberfil.sys'), Buffer.alloc(50_000, 'wake'));
  mkdirSync(join(mount.path, '.holdfast', 'x.hfi'), { recursive: true });
  mount.unmount();
  const volume = new Damaged(MemoryDevice.of(readFileSync(path)));
  inAttribute(volume, volume.node('/hiberfil.sys'), AT_DATA, (bytes, at) =>
    ATTRIBUTE.set(bytes, 'flags', 1, at),
  );
  const [problem] = openNtfs(volume.device).refusals();
  t.is(problem?.code, 'ntfs.hibernation-unreadable');
  t.regex(problem!.wayOut!, /powercfg \/h off/);
  const releasing = (name: string) => (): unknown =>
    patch(volume.device, (editor) => release(editor, { name, time: TIME }));
  t.is(codeOf(releasing('x')), 'corrupt:ntfs.not-file');
  t.is(codeOf(releasing('y')), 'refused:release.not-found');
});

test('more than 2048 folders inside each other are not walked', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 12 * MIB });
  const mount = mountNtfs(t, path);
  const [tree, above] = [join(mount.path, 'tree'), join(mount.path, 'above')];
  // From the bottom up: no path is ever long.
  const raise = (levels: number): void => {
    for (let level = 0; level < levels; level += 1) {
      mkdirSync(above);
      renameSync(tree, join(above, 'd'));
      renameSync(above, tree);
    }
  };
  mkdirSync(tree);
  // The root is a level, too.
  raise(2046);
  mount.unmount();
  const walked = (): number => {
    let count = 0;
    for (const { path: each } of openNtfs(MemoryDevice.of(readFileSync(path))).walk())
      if (each.startsWith('/tree')) count += 1;
    return count;
  };
  t.is(walked(), 2047);
  const again = mountNtfs(t, path);
  renameSync(join(again.path, 'tree'), join(again.path, 'lower'));
  mkdirSync(join(again.path, 'tree'));
  renameSync(join(again.path, 'lower'), join(again.path, 'tree', 'd'));
  again.unmount();
  t.is(codeOf(walked), 'unsupported:ntfs.too-deep');
});

import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { complement } from '../../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { openContent } from '../../../rescue/fs/ntfs/content.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import {
  AT_BITMAP,
  AT_DATA,
  AT_FILE_NAME,
  AT_STANDARD_INFORMATION,
  AT_VOLUME_INFORMATION,
  FILE_BADCLUS,
  FILE_VOLUME,
  MFT_RECORD,
  RESIDENT_ATTRIBUTE,
  VOLUME_CHKDSK_UNDERWAY,
  VOLUME_INFORMATION,
  VOLUME_IS_DIRTY,
  VOLUME_RESIZE_LOG_FILE,
} from '../../../rescue/fs/ntfs/layout.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { bytesAt, patchBytes } from '../../fs/fat/patching.ts';
import { Damaged, makeSmallVolume } from '../../fs/ntfs/damage.ts';
import { DAMAGES, FREE_RECORD } from '../../fs/ntfs/damages.ts';
import { restartPage, withLog } from '../../fs/ntfs/log-pages.ts';
import { makeNtfs, mountNtfs, setAttributes } from '../../fs/ntfs/volumes.ts';
import { noiseSource } from '../../support/noise.ts';
import { mustRun } from '../../support/run.ts';
import { makeFile } from '../../support/volume.ts';
import type { Collection, Dice, Make, Specimen } from './specimen.ts';

/** NTFS volumes as nobody wants them: made with the programs of ntfs-3g, damaged by patching records and bytes. */

const SIZE = 16 * MIB;
const COMPRESSED = 0x810;

const filled =
  (options: Partial<Parameters<typeof makeNtfs>[1]>, fill: (root: string) => void): Make =>
  (cleanup, path) => {
    const { sectorSize } = options;
    makeNtfs(path, { size: SIZE, ...options });
    const mount = mountNtfs(cleanup, path, { sectorSize });
    fill(mount.path);
    mount.unmount();
  };

const some = (root: string): void => {
  const next = noiseSource('ntfs specimens');
  mkdirSync(join(root, 'folder'));
  for (let index = 0; index < 40; index += 1)
    writeFileSync(join(root, 'folder', `file ${index}`), next(index * 700));
  symlinkSync('file 3', join(root, 'folder', 'link'));
  writeFileSync(join(root, 'folder', 'file 5:stream'), next(9000));
};

const ODD: Readonly<Record<string, Make>> = {
  'clusters of 512 bytes': filled({ clusterSize: 512 }, some),
  'clusters of 64 KiB': filled({ clusterSize: 64 * KIB, size: 48 * MIB }, some),
  'sectors of 4096 bytes': filled({ sectorSize: 4096, size: 32 * MIB }, some),
  'a size that fills no cluster': filled({ size: SIZE + 5 * 512, clusterSize: 8 * KIB }, some),
  'hidden sectors of nonsense': filled({ hidden: 987_654 }, some),
  'compressed and sparse files': filled({}, (root) => {
    some(root);
    mkdirSync(join(root, 'compressed'));
    setAttributes(join(root, 'compressed'), COMPRESSED);
    writeFileSync(join(root, 'compressed', 'prose'), 'the kelp grips the rock '.repeat(20_000));
    mustRun('truncate', ['--size', '300M', join(root, 'sparse')]);
  }),
  'a hibernated Windows': filled({}, (root) => {
    some(root);
    writeFileSync(join(root, 'hiberfil.sys'), Buffer.alloc(50_000, 'hibr\0\0\0\0'));
  }),
  'a Windows that was resumed, and its page file': filled({}, (root) => {
    some(root);
    writeFileSync(join(root, 'hiberfil.sys'), Buffer.alloc(50_000, 'wake\0\0\0\0'));
    writeFileSync(join(root, 'pagefile.sys'), noiseSource('page file')(400_000));
  }),
  'almost full': filled({}, (root) => {
    some(root);
    writeFileSync(join(root, 'filler'), noiseSource('filler')(11 * MIB));
  }),
  empty: (_cleanup, path) => {
    makeNtfs(path, { size: SIZE });
  },
};

const BASE = 'NTFS';
const BASES: Readonly<Record<string, Make>> = {
  [BASE]: (cleanup, path) => makeSmallVolume(cleanup, path, { size: SIZE }),
  ...ODD,
};

/** Changes a volume in memory, where records can be put together again. */
const inMemory =
  (change: (volume: Damaged, dice: Dice) => unknown) =>
  (path: string, dice: Dice): void => {
    const volume = new Damaged(MemoryDevice.of(Uint8Array.from(readFileSync(path))));
    const changed = change(volume, dice);
    const device = changed instanceof MemoryDevice ? changed : volume.device;
    writeFileSync(path, device.read(0, device.size));
  };

/** $VOLUME_INFORMATION of $Volume. */
const information = (change: (bytes: Uint8Array, at: number) => void) =>
  inMemory((volume) => {
    const { at } = volume.volume.file(FILE_VOLUME).find(AT_VOLUME_INFORMATION, '')!;
    volume.record(FILE_VOLUME, (bytes) =>
      change(bytes, at + RESIDENT_ATTRIBUTE.get(bytes, 'value_offset', at)),
    );
  });
const flagged = (flags: number) =>
  information((bytes, at) => VOLUME_INFORMATION.set(bytes, 'flags', flags, at));

const log = (...pages: (Uint8Array | undefined)[]) => inMemory(({ device }) => withLog(device, ...pages));

/** The first clusters of a run of free ones. */
const freeCluster = (volume: Damaged): number => {
  const all = { start: 0, length: volume.volume.clusterCount };
  return (
    [...complement(openNtfs(volume.device).allocation(), all)].find(({ length }) => length > 40)!.start + 3
  );
};

/** The value of a resident attribute of a file. */
const inValue = (path: string, type: number, within: number, ...values: readonly number[]) =>
  inMemory((volume) => {
    const { at } = volume.attribute(path, type);
    volume.record(volume.node(path), (bytes) =>
      bytes.set(values, at + RESIDENT_ATTRIBUTE.get(bytes, 'value_offset', at) + within),
    );
  });
const inRecord = (path: string, change: (bytes: Uint8Array) => void) =>
  inMemory((volume) => volume.record(volume.node(path), change));

const last = (path: string): number => readFileSync(path).length - 512;

const badCluster = inMemory((volume) => {
  const { clusterCount } = volume.volume;
  const bad = freeCluster(volume);
  const stream = volume.attribute('/$BadClus', AT_DATA, '$Bad');
  if (stream.resident) throw new Error('$Bad is resident');
  const { from } = stream.pairs;
  const rest = clusterCount - bad - 1;
  if (bad > 0x7fff) throw new Error(`cluster ${bad} needs more than two bytes`);
  // A hole up to the bad cluster, the cluster, a hole behind it; the record has room for three pairs more than it has.
  const pairs = [
    0x02,
    bad & 0xff,
    bad >>> 8,
    0x21,
    0x01,
    bad & 0xff,
    bad >>> 8,
    0x02,
    rest & 0xff,
    rest >>> 8,
    0,
  ];
  volume.record(FILE_BADCLUS, (bytes) => {
    const { at } = stream;
    const grown = 8;
    bytes.copyWithin(from + 8 + grown, from + 8, bytes.length - grown);
    bytes.set([...pairs, ...new Array(16 - pairs.length).fill(0)], from);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(at + 4, view.getUint32(at + 4, true) + grown, true);
    MFT_RECORD.set(bytes, 'bytes_in_use', MFT_RECORD.get(bytes, 'bytes_in_use') + grown);
  });
  volume.bit('clusters', bad, true);
});

type Row = readonly [kind: string, name: string, damage: (path: string, dice: Dice) => void];
const DAMAGED: readonly Row[] = [
  ['state', 'dirty', flagged(VOLUME_IS_DIRTY)],
  ['state', 'chkdsk at work', flagged(VOLUME_CHKDSK_UNDERWAY)],
  ['state', 'a new size of the log is waiting', flagged(VOLUME_RESIZE_LOG_FILE)],
  ['state', 'was in NT 4, makes no short names', flagged(0x88)],
  ['version', '1.2', information((bytes, at) => VOLUME_INFORMATION.set(bytes, 'major_ver', 1, at))],
  ['version', '3.0', information((bytes, at) => VOLUME_INFORMATION.set(bytes, 'minor_ver', 0, at))],
  ['log', 'open', log(restartPage({}), restartPage({}))],
  ['log', 'closed by Windows', log(restartPage({ clean: true }), restartPage({ clean: true }))],
  ['log', 'closed by Windows 2000', log(restartPage({ open: false }), restartPage({ open: false }))],
  ['log', 'version 2.0', log(restartPage({ major: 2, minor: 0, clean: true }))],
  ['log', 'an unknown version', log(restartPage({ major: 3, minor: 7, clean: true }))],
  ['log', 'after chkdsk', log(restartPage({ magic: 'CHKD', open: false }))],
  ['log', 'no restart page', log(new Uint8Array(4096), new Uint8Array(4096))],
  [
    '$Bitmap',
    'clusters that nobody owns',
    inMemory((volume) => {
      const first = freeCluster(volume);
      for (let each = 0; each < 12; each += 1) volume.bit('clusters', first + each, true);
    }),
  ],
  [
    '$Bitmap',
    'clusters that nobody owns, at the end',
    inMemory((volume) => {
      const { clusterCount } = volume.volume;
      for (let each = 1; each < 9; each += 1) volume.bit('clusters', clusterCount - each, true);
    }),
  ],
  [
    '$Bitmap',
    'bits behind the end of the volume',
    inMemory((volume) => {
      const { clusterCount } = volume.volume;
      for (let bit = clusterCount; bit < Math.ceil(clusterCount / 64) * 64; bit += 1)
        volume.bit('clusters', bit, false);
    }),
  ],
  [
    'MFT records',
    'one in use that has nothing in it',
    inMemory((volume) => volume.bit('records', FREE_RECORD, true)),
  ],
  [
    'MFT records',
    'nonsense in one that is free',
    inMemory((volume) => {
      volume.device.write(volume.volume.recordOffset(FREE_RECORD), noiseSource('record')(1024));
    }),
  ],
  [
    'MFT records',
    'a sequence number of 0 in one that is free',
    inMemory((volume) => volume.record(FREE_RECORD, (bytes) => MFT_RECORD.set(bytes, 'sequence_number', 0))),
  ],
  [
    'MFT records',
    'marked as bad',
    inMemory((volume) => {
      volume.device.write(volume.volume.recordOffset(volume.node('/few/two')), Buffer.from('BAAD'));
    }),
  ],
  [
    'MFT records',
    'more bytes in use than it has',
    inRecord('/few/two', (bytes) => MFT_RECORD.set(bytes, 'bytes_in_use', 4000)),
  ],
  ['MFT records', 'too many links', inRecord('/few/two', (bytes) => MFT_RECORD.set(bytes, 'link_count', 9))],
  ['MFT records', 'no links', inRecord('/few/two', (bytes) => MFT_RECORD.set(bytes, 'link_count', 0))],
  [
    'MFT records',
    'the wrong number of its own',
    inRecord('/few/two', (bytes) => MFT_RECORD.set(bytes, 'mft_record_number', 77)),
  ],
  [
    'MFT records',
    'a folder that says it is a file',
    inRecord('/few', (bytes) => MFT_RECORD.set(bytes, 'flags', 1)),
  ],
  [
    'attributes',
    'times that there are not',
    inValue('/few/two', AT_STANDARD_INFORMATION, 0, ...new Array(32).fill(0xff)),
  ],
  [
    'attributes',
    'times of before 1601',
    inValue('/few/two', AT_STANDARD_INFORMATION, 0, 0, 0, 0, 0, 0, 0, 0, 0x80),
  ],
  [
    'attributes',
    'file attributes that nobody knows',
    inValue('/few/two', AT_STANDARD_INFORMATION, 32, 0xff, 0xff, 0xff, 0x0f),
  ],
  [
    'attributes',
    'another security than there is',
    inValue('/few/two', AT_STANDARD_INFORMATION, 52, 0xff, 0xff, 0, 0),
  ],
  ['attributes', 'another size in the name', inValue('/few/two', AT_FILE_NAME, 40, 1, 2, 3, 4)],
  ['attributes', 'a name of no kind', inValue('/few/two', AT_FILE_NAME, 65, 9)],
  [
    'attributes',
    'the root’s bitmap of its index is gone',
    inRecord('/many', (bytes) => {
      const at = Buffer.from(bytes).indexOf(Uint8Array.of(AT_BITMAP & 0xff, 0, 0, 0), 56);
      bytes[at] = 0xc1;
    }),
  ],
  ['boot sector', 'backup lost', (path) => patchBytes(path, last(path), new Uint8Array(512))],
  [
    'boot sector',
    'backup of another volume',
    (path) => patchBytes(path, last(path) + 0x48, noiseSource('serial')(8)),
  ],
  ['boot sector', 'lost, backup is there', (path) => patchBytes(path, 0, new Uint8Array(512))],
  ['boot sector', 'no signature at its end', (path) => patchBytes(path, 510, new Uint8Array(2))],
  ['boot sector', 'no jump, another name', (path) => patchBytes(path, 0, Uint8Array.of(0, 0, 0))],
  ['boot sector', 'boot code of nonsense', (path) => patchBytes(path, 0x54, noiseSource('code')(400))],
  [
    'boot sector',
    '$MFT outside of the volume',
    (path) => patchBytes(path, 0x30, Uint8Array.of(0xff, 0xff, 0xff, 0x7f)),
  ],
  ['boot sector', '$MFT where there is none', (path) => patchBytes(path, 0x30, Uint8Array.of(0x21, 0, 0, 0))],
  ['boot sector', 'clusters of no sectors', (path) => patchBytes(path, 13, Uint8Array.of(0))],
  ['boot sector', 'records of a strange size', (path) => patchBytes(path, 0x40, Uint8Array.of(0x85))],
  ['boot sector', 'more sectors than there are', (path) => patchBytes(path, 0x28, Uint8Array.of(0, 0, 0xff))],
  [
    'boot sector',
    'fewer sectors than there are',
    (path) => patchBytes(path, 0x28, Uint8Array.of(0xff, 0x6f, 0)),
  ],
  ['bad clusters', 'one in the list', badCluster],
  [
    'resized',
    'made smaller, in a file that is larger',
    (path) => {
      mustRun('ntfsresize', ['--force', '--force', '--no-progress-bar', '--size', '12M', path], {
        input: 'y\n',
      });
      mustRun('ntfsfix', ['--clear-dirty', path]);
    },
  ],
  [
    'resized',
    'grown',
    (path) => {
      makeFile(path, 24 * MIB);
      mustRun('ntfsresize', ['--force', '--force', '--no-progress-bar', path], { input: 'y\n' });
      mustRun('ntfsfix', ['--clear-dirty', path]);
    },
  ],
  [
    'resized',
    'as ntfsresize leaves it, to be checked',
    (path) => {
      mustRun('ntfsresize', ['--force', '--force', '--no-progress-bar', '--size', '12M', path], {
        input: 'y\n',
      });
    },
  ],
  ['cut short', 'one sector is missing', (path) => truncateSync(path, SIZE - 512)],
  ['cut short', 'the second half is missing', (path) => truncateSync(path, SIZE / 2)],
  ['cut short', 'only the boot sector is there', (path) => truncateSync(path, 512)],
  [
    'system files',
    '$MFTMirr lost',
    inMemory((volume) => {
      const { parameters } = volume.volume;
      volume.device.write(parameters.mirrorCluster * parameters.clusterSize, new Uint8Array(4096));
    }),
  ],
  [
    'system files',
    '$AttrDef of nonsense',
    inMemory((volume) => {
      const content = openContent(volume.file('/$AttrDef'), AT_DATA, '')!;
      volume.device.write(content.position(0), noiseSource('attributes')(2000));
    }),
  ],
  [
    'system files',
    '$Secure:$SDS of nonsense',
    inMemory((volume) => {
      const content = openContent(volume.file('/$Secure'), AT_DATA, '$SDS')!;
      volume.device.write(content.position(0), noiseSource('security')(200));
    }),
  ],
  [
    'system files',
    'a label of nonsense',
    inMemory((volume) => {
      const { at } = volume.attribute('/$Volume', 0x60);
      volume.record(FILE_VOLUME, (bytes) =>
        bytes.set(noiseSource('label')(10), at + RESIDENT_ATTRIBUTE.get(bytes, 'value_offset', at)),
      );
    }),
  ],
];

/** Flips a few bits in the first records of $MFT, wherever they fall. */
const chance = (path: string, dice: Dice): void => {
  const boot = bytesAt(path, 0, 512);
  const mft = Number(boot.readBigUInt64LE(0x30)) * boot[13]! * boot.readUInt16LE(11);
  for (let flips = 1 + dice(3); flips > 0; flips -= 1) {
    const at = mft + dice(90) * 1024 + dice(500);
    const [byte] = bytesAt(path, at, 1);
    patchBytes(path, at, Uint8Array.of(byte! ^ (1 << dice(8))));
  }
};

export const NTFS_SPECIMENS: Collection = {
  bases: BASES,
  specimens: [
    ...Object.keys(ODD).map(
      (base): Specimen => ({ kind: 'NTFS: unusual volumes', name: `NTFS: ${base}`, base }),
    ),
    ...DAMAGED.map(
      ([kind, name, damage]): Specimen => ({
        kind: `NTFS: ${kind}`,
        name: `NTFS: ${kind}: ${name}`,
        base: BASE,
        damage,
      }),
    ),
    ...DAMAGES.map(
      ({ name, make }): Specimen => ({
        kind: 'NTFS: contradictions that the check knows',
        name: `NTFS: ${name}`,
        base: BASE,
        damage: inMemory(make),
      }),
    ),
    ...Array.from(
      { length: 8 },
      (_, index): Specimen => ({
        kind: 'NTFS: bits flipped by chance',
        name: `NTFS: bits flipped by chance, ${index + 1}`,
        base: BASE,
        damage: chance,
      }),
    ),
  ],
};

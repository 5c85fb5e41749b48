import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openFile } from '../../../rescue/device/file.ts';
import { openFat } from '../../../rescue/fs/fat/filesystem.ts';
import type { FileSystem } from '../../../rescue/fs/filesystem.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { fsckFat } from './fsck.ts';
import { mtools } from './mtools.ts';
import { patchBytes, setFatEntry } from './patching.ts';
import { makeFat } from './volumes.ts';

const TYPES = [
  { bits: 12, size: 4 * MIB, sectorsPerCluster: 4 },
  { bits: 16, size: 8 * MIB, sectorsPerCluster: 1 },
  { bits: 32, size: 40 * MIB, sectorsPerCluster: 1 },
] as const;

const opened = (t: ExecutionContext, path: string): FileSystem => {
  const device = openFile(path);
  t.teardown(() => device.close());
  return openFat(device);
};

const refusals = (t: ExecutionContext, path: string): string[] =>
  opened(t, path)
    .refusals()
    .map(({ code, wayOut }) => {
      t.truthy(wayOut);
      return code;
    });

for (const options of TYPES)
  test(`a volume that was not unmounted, or met errors, is refused: FAT${options.bits}`, (t) => {
    const path = makeFat(join(temporaryFolder(t), 'volume'), options);
    // BS_Reserved1 (fatgen103): bit 0 as Linux and Windows set it, bit 1 as Windows does.
    const flags = options.bits === 32 ? 65 : 37;
    t.deepEqual(refusals(t, path), []);
    patchBytes(path, flags, Uint8Array.of(1));
    t.deepEqual(refusals(t, path), ['fat.not-clean']);
    t.false(fsckFat(t, path).clean);
    patchBytes(path, flags, Uint8Array.of(2));
    t.deepEqual(refusals(t, path), ['fat.errors']);
    patchBytes(path, flags, Uint8Array.of(3));
    t.deepEqual(refusals(t, path), ['fat.not-clean', 'fat.errors']);
    patchBytes(path, flags, Uint8Array.of(0));
    if (options.bits === 12) return;
    // FAT[1]: ClnShutBitMask and HrdErrBitMask.
    const [whole, clean, hard] =
      options.bits === 16 ? [0xffff, 0x8000, 0x4000] : [0x0fffffff, 0x08000000, 0x04000000];
    setFatEntry(path, 1, whole & ~clean);
    t.deepEqual(refusals(t, path), ['fat.not-clean']);
    setFatEntry(path, 1, whole & ~hard);
    t.deepEqual(refusals(t, path), ['fat.errors']);
    setFatEntry(path, 1, whole & ~(clean | hard));
    t.deepEqual(refusals(t, path), ['fat.not-clean', 'fat.errors']);
  });

test('a boot sector of before DOS 4 has code where later ones have bits', (t) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), TYPES[0]);
  patchBytes(path, 37, Uint8Array.of(0xff, 0xff));
  const fileSystem = opened(t, path);
  t.deepEqual(fileSystem.refusals(), []);
  t.is(fileSystem.uuid, '');
  t.is(fileSystem.label, '');
});

const put = (t: ExecutionContext, path: string, to: string, content: Buffer | string): void => {
  const from = join(temporaryFolder(t), 'file');
  writeFileSync(from, content);
  mtools('mcopy', path, ['-o', from, `::${to}`]);
};

const lengthOf = (runs: Iterable<{ length: number }>): number =>
  [...runs].reduce((sum, { length }) => sum + length, 0);

for (const options of TYPES)
  test(`memory of Windows is left out, a suspended one refused: FAT${options.bits}`, (t) => {
    const path = makeFat(join(temporaryFolder(t), 'volume'), options);
    const zeros = Buffer.alloc(40 * KIB);
    mtools('mmd', path, ['::/WINDOWS', '::/pages']);
    for (const name of [
      '/pagefile.sys',
      '/swapfile.sys',
      '/386SPART.PAR',
      '/WINDOWS/WIN386.SWP',
      '/pages/pagefile.sys',
    ])
      put(t, path, name, zeros);
    put(t, path, '/hiberfil.sys', zeros);
    const excludes = opened(t, path).excludes();
    t.deepEqual(
      excludes.map(({ path: where, reason, onRestore }) => `${where} ${reason} ${onRestore}`).sort(),
      [
        '/386SPART.PAR page-file zero',
        '/WINDOWS/WIN386.SWP page-file zero',
        '/hiberfil.sys hibernation zero',
        '/pagefile.sys page-file zero',
        '/swapfile.sys page-file zero',
      ],
    );
    const clusterSize = options.sectorsPerCluster * 512;
    for (const { runs } of excludes) t.is(lengthOf(runs), (40 * KIB) / clusterSize);
    t.deepEqual(refusals(t, path), []);
    for (const [signature, suspended] of [
      ['hibr', true],
      ['HIBR', true],
      ['RSTR', true],
      ['wake', false],
      ['WAKE', false],
      ['\0\0\0\0', false],
      ['????', true],
    ] as const) {
      put(t, path, '/hiberfil.sys', Buffer.concat([Buffer.from(signature), zeros]));
      t.deepEqual(refusals(t, path), suspended ? ['fat.hibernated'] : [], signature);
    }
    put(t, path, '/hiberfil.sys', '');
    t.deepEqual(refusals(t, path), []);
  });

test('containers are files of the folder that something else knows for containers', (t) => {
  const path = makeFat(join(temporaryFolder(t), 'volume'), TYPES[2]);
  t.deepEqual(opened(t, path).containers(), []);
  // A first folder takes the short name that `.holdfast` would have.
  mtools('mmd', path, ['::/HOLDFA~1', '::/.holdfast', '::/.holdfast/folder.hfi']);
  for (const name of [
    'b.hfi',
    'a.001',
    'a.hfi',
    'a.002',
    'notes.txt',
    'A-Name.of.some.length.hfi',
    'lonely.003',
  ])
    put(t, path, `/.holdfast/${name}`, Buffer.alloc(3000, name));
  const names = (fileSystem: FileSystem): string[] => fileSystem.containers().map(({ name }) => name);
  t.deepEqual(names(opened(t, path)), ['A-Name.of.some.length', 'a', 'b', 'lonely']);
  const a = opened(t, path).containers()[1]!;
  t.deepEqual(a.paths, ['/.holdfast/a.hfi', '/.holdfast/a.001', '/.holdfast/a.002']);
  t.is(a.size, 9000);
  t.is(lengthOf(a.runs), 18);
  t.deepEqual(
    opened(t, path)
      .excludes()
      .map(({ path: where, onRestore }) => [where, onRestore]),
    [
      ['/.holdfast/A-Name.of.some.length.hfi', 'leave'],
      ['/.holdfast/a.hfi', 'leave'],
      ['/.holdfast/b.hfi', 'leave'],
      ['/.holdfast/lonely.003', 'leave'],
    ],
  );
  const device = openFile(path);
  t.teardown(() => device.close());
  // What lies there is asked of whoever can tell.
  const fileSystem = openFat(device, ([first]) => device.read(first!.start, 1)[0] === 'b'.charCodeAt(0));
  t.deepEqual(names(fileSystem), ['b']);
});

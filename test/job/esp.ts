import { hash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MIB } from '../../rescue/units.ts';
import type { Cleanup } from '../support/cleanup.ts';
import type { PartitionPlace } from '../support/disk.ts';
import { noiseSource } from '../support/noise.ts';
import { everythingSaid, mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** An EFI system partition with files in it, made and looked at with other people's programs. */

/** UEFI specification, sections 5.3.3 and 5.2.2. */
export const ESP_TYPE = { gpt: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B', mbr: 'ef' } as const;

export interface EspOptions {
  readonly sectorSize?: number | undefined;
  /** Of the three FATs; by default mkfs.fat chooses. */
  readonly bits?: 12 | 16 | 32 | undefined;
  /** Different for different content. */
  readonly seed?: string | undefined;
}

const mtools = (disk: string, { start }: PartitionPlace, words: readonly string[]): void => {
  mustRun(words[0]!, ['-i', `${disk}@@${start}`, ...words.slice(1)], { env: { MTOOLS_SKIP_CHECK: '1' } });
};

/** Makes a FAT in the partition, one cluster per sector, and puts a few files into it. */
export const makeEsp = (
  cleanup: Cleanup,
  disk: string,
  place: PartitionPlace,
  options: EspOptions = {},
): void => {
  const { sectorSize = 512, seed = 'esp', bits } = options;
  const format = [
    '-S',
    String(sectorSize),
    '-s',
    '1',
    '-i',
    '5EAF00D5',
    '-n',
    'ESP',
    ...(bits === undefined ? [] : ['-F', String(bits)]),
  ];
  mustRun('mkfs.fat', [
    ...format,
    '--offset',
    String(place.start / sectorSize),
    disk,
    String(place.size / 1024),
  ]);
  const folder = temporaryFolder(cleanup);
  const next = noiseSource(seed);
  mkdirSync(join(folder, 'EFI/BOOT'), { recursive: true });
  writeFileSync(join(folder, 'EFI/BOOT/BOOTX64.EFI'), next(MIB / 2 + 77));
  writeFileSync(join(folder, 'EFI/a long name, with commas.cfg'), `set seed=${seed}\n`);
  mtools(disk, place, ['mcopy', '-s', '-p', '-m', join(folder, 'EFI'), '::/']);
};

/** All files of an EFI system partition, as mtools reads them: by path, time and digest. */
export const espFiles = (cleanup: Cleanup, disk: string, place: PartitionPlace): Record<string, string> => {
  const folder = temporaryFolder(cleanup);
  mtools(disk, place, ['mcopy', '-s', '-p', '-m', '-n', '::/EFI', folder]);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => ({ name, path: join(folder, name) }))
    .filter(({ path }) => statSync(path).isFile());
  return Object.fromEntries(
    files.map(({ name, path }) => [
      name,
      `${statSync(path).mtime.toISOString()} ${hash('sha256', readFileSync(path))}`,
    ]),
  );
};

/** Throws with the words of `fsck.fat -n` unless it finds nothing wrong. */
export const espMustBeClean = (cleanup: Cleanup, disk: string, place: PartitionPlace): void => {
  const copy = join(temporaryFolder(cleanup), 'esp');
  const bytes = ['iflag=skip_bytes,count_bytes', `skip=${place.start}`, `count=${place.size}`];
  mustRun('dd', ['bs=1M', 'status=none', `if=${disk}`, `of=${copy}`, ...bytes]);
  const checked = run('fsck.fat', ['-n', copy]);
  if (checked.exit !== 0) throw new Error(everythingSaid(checked));
};

import { hash } from 'node:crypto';
import {
  accessSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../../rescue/device/device.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import type { Image } from '../../../rescue/image/image.ts';
import type { JobContext } from '../../../rescue/job/context.ts';
import { type Created, createInPartition } from '../../../rescue/job/create.ts';
import { readBackContainer } from '../../../rescue/job/read-back.ts';
import { verifyFrames } from '../../../rescue/job/verify-image.ts';
import { listContainers, openVolume, type PartitionAccess } from '../../../rescue/job/volume.ts';
import { resolveSiblings } from '../../../rescue/locate/found.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { mtools, tryMtools } from '../../fs/fat/mtools.ts';
import { type FatOptions, makeFat } from '../../fs/fat/volumes.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { e2fsckClean, e2fsckPreen } from '../../support/judges.ts';
import { noiseSource } from '../../support/noise.ts';
import { everythingSaid, mustRun, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume, type VolumeOptions } from '../../support/volume.ts';

/** The small volumes on which power is cut. */
export const VOLUMES = {
  'ext4 with a journal': { size: 16 * MIB, blockSize: 1024 },
  'ext4 without a journal': { size: 12 * MIB, blockSize: 1024, features: ['^has_journal'] },
  ext2: { size: 12 * MIB, type: 'ext2', blockSize: 1024 },
} as const satisfies Record<string, VolumeOptions>;

export const FAT_VOLUMES = {
  FAT12: { size: 12 * MIB, bits: 12, sectorsPerCluster: 8 },
  FAT32: { size: 36 * MIB, bits: 32, sectorsPerCluster: 1 },
} as const satisfies Record<string, FatOptions>;

export type VolumeName = keyof typeof VOLUMES | keyof typeof FAT_VOLUMES;
export const VOLUME_NAMES = [...Object.keys(VOLUMES), ...Object.keys(FAT_VOLUMES)] as VolumeName[];

export const accessTo = (device: Device): PartitionAccess => ({
  device,
  diskOffset: 0,
  entry: undefined,
  disk: undefined,
  identity: { mapped: false },
});

export const makeImage = (
  context: JobContext,
  device: Device,
  kind: 'user' | 'factory',
  more: { readonly replaceFirst?: boolean; readonly minFree?: number } = {},
): Promise<Created> =>
  createInPartition(context, accessTo(device), {
    name: kind,
    kind,
    codec: { codec: 'zstd', level: 1 },
    keepOld: false,
    replaceFirst: more.replaceFirst ?? false,
    forceFactory: false,
    dryRun: false,
    minFree: more.minFree ?? 64 * KIB,
  });

/** Files by path, each with a digest of its content; folders and links too. */
export type Contents = ReadonlyMap<string, string>;

/** In memory where the machine has such a place: thousands of checks would wear a disk, and wait for it. */
const scratchFolder = (cleanup: Cleanup): string => {
  try {
    accessSync('/dev/shm');
  } catch {
    return temporaryFolder(cleanup);
  }
  const folder = mkdtempSync('/dev/shm/holdfast-power-cut-');
  cleanup.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

const hasTornSuperblock = (device: MemoryDevice): boolean => {
  try {
    extDriver.open(device);
    return false;
  } catch (error) {
    return isHoldfastError(error, 'corrupt') && error.detail.structure === 'ext superblock';
  }
};

/** Puts a medium into a sparse file. */
export const layFile = (path: string, device: MemoryDevice): void => {
  rmSync(path, { force: true });
  const file = openSync(path, 'w');
  try {
    for (const { start, length } of device.stored())
      writeSync(file, device.read(start, length), 0, length, start);
    writeSync(file, device.read(device.size - 1, 1), 0, 1, device.size - 1);
  } finally {
    closeSync(file);
  }
};

/** A scratch file for other people's programs, and what they say of a medium: of an ext volume, unless a subclass knows better. */
export class Court {
  readonly path: string;
  protected readonly dump: string;
  protected readonly cleanup: Cleanup;

  constructor(cleanup: Cleanup) {
    this.cleanup = cleanup;
    const folder = scratchFolder(cleanup);
    this.path = join(folder, 'volume');
    this.dump = join(folder, 'dump');
  }

  /** Puts a medium where the programs can see it. */
  lay(device: MemoryDevice): void {
    layFile(this.path, device);
  }

  lift(sectorSize = 512): MemoryDevice {
    return MemoryDevice.of(readFileSync(this.path), sectorSize);
  }

  /** What is wrong with the medium as it stands: `e2fsck -fn` and every file against `tree`. */
  faults(device: MemoryDevice, tree: Contents): string[] {
    this.lay(device);
    return [...this.check(), ...this.compare(tree)];
  }

  /** The same after the file system's own repair; the mended medium stays in the scratch file. */
  faultsWhenMended(device: MemoryDevice, expected: Contents): string[] {
    this.lay(device);
    const words = this.mend(device);
    return [...this.check(), ...this.compare(expected)].map((each) => `${each}\nafter ${words}`);
  }

  protected mend(device: MemoryDevice): string {
    return hasTornSuperblock(device) ? this.#mendWithBackup() : e2fsckPreen(this.path).output;
  }

  /**
   * A superblock of which half was written is nothing that `e2fsck -p` touches, whoever wrote it (the kernel writes it in
   * one go too); with a person's yes it goes on with a backup.
   */
  #mendWithBackup(): string {
    return everythingSaid(run('e2fsck', ['-f', '-y', this.path]));
  }

  /** Every repair that a person could say yes to. */
  repair(): void {
    run('e2fsck', ['-f', '-y', this.path]);
  }

  /** Whether anybody takes the scratch file for a volume. */
  mounts(): boolean {
    const folder = temporaryFolder(this.cleanup);
    if (run('mount', ['-o', 'loop,ro', this.path, folder]).exit !== 0) return false;
    mustRun('umount', [folder]);
    return true;
  }

  protected check(): string[] {
    const verdict = e2fsckClean(this.path);
    return verdict.clean ? [] : [`e2fsck -fn:\n${verdict.output}`];
  }

  compare(expected: Contents): string[] {
    const found = this.contents();
    const names = new Set([...expected.keys(), ...found.keys()]);
    return [...names]
      .filter((name) => expected.get(name) !== found.get(name))
      .map((name) => `${name}: was ${expected.get(name) ?? 'not there'}, is ${found.get(name) ?? 'gone'}`);
  }

  /** Every file as debugfs reads it, but for the images. */
  contents(): Contents {
    rmSync(this.dump, { recursive: true, force: true });
    mkdirSync(this.dump);
    this.copyOut();
    const found = new Map<string, string>();
    const visit = (path: string): void => {
      for (const name of readdirSync(join(this.dump, path))) {
        const entry = path === '' ? name : `${path}/${name}`;
        if (this.isNobodys(entry)) continue;
        const full = join(this.dump, entry);
        const stat = lstatSync(full);
        if (stat.isSymbolicLink()) found.set(entry, `-> ${readlinkSync(full)}`);
        else if (stat.isDirectory()) visit(entry);
        else found.set(entry, `${stat.mode.toString(8)} ${hash('sha256', readFileSync(full))}`);
      }
    };
    visit('');
    return found;
  }

  /** Images, and where a repair keeps what it found. */
  protected isNobodys(entry: string): boolean {
    return entry === '.holdfast' || entry === 'lost+found';
  }

  /** All files, as somebody else's program reads them, into the folder `dump`. */
  protected copyOut(): void {
    mustRun('debugfs', ['-R', `rdump / ${this.dump}`, this.path]);
  }

  /** Mounts the scratch file for writing, as the owner's system would, and lets `change` work in it. */
  own(change: (folder: string) => void): Contents {
    const folder = join(temporaryFolder(this.cleanup), 'mounted');
    mkdirSync(folder);
    // The loop device goes with the mount.
    mustRun('mount', ['-o', 'loop', this.path, folder]);
    try {
      change(folder);
    } finally {
      mustRun('umount', [folder]);
    }
    return this.contents();
  }
}

/** There is no FAT in the kernels that this is tested with: mtools and fsck.fat speak for it. */
class FatCourt extends Court {
  protected override mend(): string {
    return everythingSaid(run('fsck.fat', ['-a', this.path]));
  }

  override repair(): void {
    run('fsck.fat', ['-a', this.path]);
  }

  override mounts(): boolean {
    return tryMtools('mdir', this.path, ['::/']).exit === 0;
  }

  protected override check(): string[] {
    const result = run('fsck.fat', ['-n', this.path]);
    return result.exit === 0 ? [] : [everythingSaid(result)];
  }

  /** fsck.fat makes files of chains that no name leads to. */
  protected override isNobodys(entry: string): boolean {
    return entry === '.holdfast' || /^FSCK\d{4}\.REC$/.test(entry);
  }

  protected override copyOut(): void {
    mtools('mcopy', this.path, ['-s', '-m', '-n', '::/', this.dump]);
  }

  /** Copies everything out, lets `change` work on that, and does the same to the volume. */
  override own(change: (folder: string) => void): Contents {
    const before = this.contents();
    change(this.dump);
    const found = (path: string) => lstatSync(join(this.dump, path), { throwIfNoEntry: false });
    const gone = [...before.keys()].filter((path) => found(path) === undefined);
    if (gone.length > 0)
      mtools(
        'mdel',
        this.path,
        gone.map((path) => `::/${path}`),
      );
    for (const path of readdirSync(this.dump, { recursive: true, encoding: 'utf8' }).sort()) {
      const stat = found(path)!;
      if (this.isNobodys(path.split('/')[0]!) || stat.isSymbolicLink()) continue;
      if (stat.isDirectory()) {
        if (tryMtools('mdir', this.path, [`::/${path}`]).exit !== 0) mtools('mmd', this.path, [`::/${path}`]);
      } else if (before.get(path) !== this.#digest(path)) {
        mtools('mcopy', this.path, ['-o', '-m', join(this.dump, path), `::/${path}`]);
      }
    }
    return this.contents();
  }

  #digest(path: string): string {
    const full = join(this.dump, path);
    return `${lstatSync(full).mode.toString(8)} ${hash('sha256', readFileSync(full))}`;
  }
}

/** Files of every kind of map, in a few folders. */
export const furnish = (folder: string): void => {
  const random = noiseSource('power cut');
  for (const name of ['etc', 'srv', 'srv/deep']) mkdirSync(join(folder, name));
  for (let index = 0; index < 30; index += 1) {
    const name = join(folder, ['.', 'etc', 'srv/deep'][index % 3]!, `file-${index}`);
    writeFileSync(name, index % 4 === 0 ? Buffer.alloc(index * 900, `${index} text `) : random(index * 700));
  }
  writeFileSync(join(folder, 'etc/empty'), '');
  symlinkSync('file-2', join(folder, 'srv/link'));
};

/** What the owner does between a cut and the next run: writes, appends, deletes, renames. */
export const ownersWork = (folder: string): void => {
  const random = noiseSource('owner');
  writeFileSync(join(folder, 'etc/new'), random(300 * KIB));
  writeFileSync(join(folder, 'file-3'), random(5000), { flag: 'a' });
  rmSync(join(folder, 'srv/deep/file-5'));
  mkdirSync(join(folder, 'srv/more'));
  writeFileSync(join(folder, 'srv/more/file'), 'more');
};

export interface World {
  readonly court: Court;
  readonly context: JobContext;
  /** A furnished volume with a factory image in it. */
  readonly device: MemoryDevice;
  readonly tree: Contents;
  readonly factory: Image;
}

export const isFat = (volume: VolumeName): volume is keyof typeof FAT_VOLUMES => volume in FAT_VOLUMES;

/** A court with an empty volume in its scratch file. */
export const courtOf = (cleanup: Cleanup, volume: VolumeName): Court => {
  const court = isFat(volume) ? new FatCourt(cleanup) : new Court(cleanup);
  if (isFat(volume)) makeFat(court.path, FAT_VOLUMES[volume]);
  else makeVolume(court.path, VOLUMES[volume]);
  return court;
};

export const makeWorld = async (
  cleanup: Cleanup,
  context: JobContext,
  volume: VolumeName,
): Promise<World> => {
  const court = courtOf(cleanup, volume);
  const tree = court.own(furnish);
  const device = court.lift();
  await makeImage(context, device, 'factory');
  const [factory] = imagesOn(device);
  if (factory === undefined) throw new Error('there is no factory image');
  return { court, context, device, tree, factory };
};

/** Committed images that the file system lists. */
export const imagesOn = (device: MemoryDevice): Image[] =>
  listContainers(device, openVolume(device).fileSystem).flatMap(({ image }) =>
    image?.state === 'committed' ? [image] : [],
  );

/** Everything that makes an image whole: each slot, each frame. */
export const faultsOfImage = async (context: JobContext, image: Image): Promise<string[]> => {
  const faults: string[] = [];
  try {
    await readBackContainer(context, image.device, image.homes, image.identity);
    await verifyFrames(context, image, image.control.spaces, ({ reason }) => faults.push(reason));
  } catch (error) {
    faults.push(String(error));
  }
  return faults.map((each) => `${image.control.kind} image ${image.id}: ${each}`);
};

/** What is wrong with the images: those listed must be committed, whole, of these kinds, and know each other. */
export const faultsOfImages = async (
  context: JobContext,
  device: MemoryDevice,
  kinds: readonly string[],
): Promise<string[]> => {
  const faults: string[] = [];
  const listed = listContainers(device, openVolume(device).fileSystem);
  const found = listed.map(({ image }) => (image?.state === 'committed' ? image.control.kind : image?.state));
  if (found.sort().join() !== [...kinds].sort().join())
    faults.push(`images: ${found.join() || 'none'}, not ${kinds.join()}`);
  for (const { image } of listed) {
    if (image === undefined) continue;
    faults.push(...(await faultsOfImage(context, image)));
    const { siblings, complete } = resolveSiblings(device, { image, start: 0 });
    if (!complete || siblings.length !== kinds.length - 1)
      faults.push(`${image.control.kind} image: ${siblings.length} siblings, complete: ${complete}`);
  }
  return faults;
};

/** A sibling list that is whole must name every image: a restore protects no others. */
export const faultsOfSiblings = (device: MemoryDevice, images: readonly Image[]): string[] =>
  images.flatMap((image) => {
    const { siblings, complete } = resolveSiblings(device, { image, start: 0 });
    const known = new Set([image.id, ...siblings.map((each) => each.image.id)]);
    const missing = images.filter(({ id }) => !known.has(id));
    return complete ? missing.map(({ id }) => `${image.id} does not know of its sibling ${id}`) : [];
  });

export const sameExtents = (a: MemoryDevice, b: MemoryDevice, image: Pick<Image, 'sealed'>): boolean =>
  image.sealed.every(
    ({ start, length }) => Buffer.compare(a.read(start, length), b.read(start, length)) === 0,
  );

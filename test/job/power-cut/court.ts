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
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { type HoldfastError, isHoldfastError } from '../../../rescue/errors.ts';
import { extDriver } from '../../../rescue/fs/ext/ext.ts';
import { KIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { e2fsckClean, e2fsckPreen } from '../../support/judges.ts';
import { everythingSaid, mustRun, type RunResult, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';

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

const PIECE = 64 * KIB;
const ZEROS = Buffer.alloc(PIECE);

/** A medium with the content of a file; pieces of zeros take no memory. Thousands are made: nothing else is kept of it. */
export const liftFile = (path: string, sectorSize = 512): MemoryDevice => {
  const device = new MemoryDevice(statSync(path).size, sectorSize);
  const buffer = Buffer.alloc(PIECE);
  const file = openSync(path, 'r');
  try {
    for (let at = 0; at < device.size; ) {
      const count = readSync(file, buffer, 0, PIECE, at);
      if (count === 0) throw new Error(`${path} ends at ${at}`);
      const piece = buffer.subarray(0, count);
      if (Buffer.compare(piece, ZEROS.subarray(0, count)) !== 0) device.write(at, piece);
      at += count;
    }
  } finally {
    closeSync(file);
  }
  return device;
};

/** Files, folders' files and links below a folder by path, but for entries that `isLeftOut`. */
export const digestsBelow = (top: string, isLeftOut: (entry: string) => boolean): Contents => {
  const found = new Map<string, string>();
  const visit = (path: string): void => {
    for (const name of readdirSync(join(top, path))) {
      const entry = path === '' ? name : `${path}/${name}`;
      if (isLeftOut(entry)) continue;
      const full = join(top, entry);
      const stat = lstatSync(full);
      if (stat.isSymbolicLink()) found.set(entry, `-> ${readlinkSync(full)}`);
      else if (stat.isDirectory()) visit(entry);
      else found.set(entry, `${stat.mode.toString(8)} ${hash('sha256', readFileSync(full))}`);
    }
  };
  visit('');
  return found;
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
    return liftFile(this.path, sectorSize);
  }

  /** What is wrong with the medium as it stands: `e2fsck -fn` and every file against `tree`. */
  faults(device: MemoryDevice, tree: Contents): string[] {
    this.lay(device);
    return [...this.check(), ...this.compare(tree)];
  }

  /** The same of a medium on which an owner who knew nothing of us went on: clusters may be lost that no repair on this machine finds. */
  faultsAfterOwner(device: MemoryDevice, tree: Contents): string[] {
    return this.faults(device, tree);
  }

  /** The same after the file system's own repair; the mended medium stays in the scratch file. */
  faultsWhenMended(device: MemoryDevice, expected: Contents): string[] {
    this.lay(device);
    const words = this.mend(device);
    return [...this.check(), ...this.compare(expected)].map((each) => `${each}\nafter ${words}`);
  }

  /** Whether what the cut left is nothing that the file system's own repair on this machine can mend: our next run does. */
  needsUs(_device: MemoryDevice): boolean {
    return false;
  }

  /** Whether the owner's system will not mount what the cut left before it was repaired. */
  isNeverMounted(_device: MemoryDevice): boolean {
    return false;
  }

  /** Whether a refusal to work on the volume as an owner left it names the file system's own repair. */
  isWayOutSaid({ detail }: HoldfastError): boolean {
    return /^(ext|fat)\./.test(detail.code);
  }

  /** Whether that repair is to be had here. */
  canGoThatWay(_refusal: HoldfastError): boolean {
    return true;
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
    return digestsBelow(this.dump, (entry) => this.isNobodys(entry));
  }

  /** Images, and where a repair keeps what it found. */
  protected isNobodys(entry: string): boolean {
    return entry === '.holdfast' || entry === 'lost+found';
  }

  /** All files, as somebody else's program reads them, into the folder `dump`. */
  protected copyOut(): void {
    // -c: without a look at the bitmaps, which may be wrong until a check. It ends with 0 whatever it meets.
    const said = mustRun('debugfs', ['-c', '-R', `rdump / ${this.dump}`, this.path]);
    if (/not open/.test(said.stderr)) throw new Error(everythingSaid(said));
  }

  /** The owner's system mounts the scratch file and lets `change` work in it. Files as they are then; undefined: it does not mount. */
  tryToOwn(change: (folder: string) => void): Contents | undefined {
    const folder = join(temporaryFolder(this.cleanup), 'mounted');
    mkdirSync(folder);
    if (this.mountForWriting(folder).exit !== 0) return undefined;
    try {
      change(folder);
    } finally {
      mustRun('umount', [folder]);
    }
    return this.contents();
  }

  /** The loop device goes with the mount. */
  protected mountForWriting(folder: string): RunResult {
    return run('mount', ['-o', 'loop', this.path, folder]);
  }

  /** The same of a volume that has to mount. */
  own(change: (folder: string) => void): Contents {
    const contents = this.tryToOwn(change);
    if (contents === undefined) throw new Error("the owner's system does not mount the volume");
    return contents;
  }
}

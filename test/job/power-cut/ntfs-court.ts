import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { type HoldfastError, isHoldfastError } from '../../../rescue/errors.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import { everythingSaid, mustRun, type RunResult, run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { type Contents, Court, digestsBelow } from './court.ts';

/**
 * Through ntfs-3g. For writing on a loop device, which goes with the mount: it is written to until the mount is gone; a mount of the file
 * itself would go on after that.
 */
const mountBy = (path: string, folder: string, mode: 'ro' | 'rw'): ReturnType<typeof run> =>
  mode === 'rw'
    ? run('mount', ['-t', 'ntfs-3g', '-o', 'loop', path, folder])
    : run('ntfs-3g', ['-o', 'ro', path, folder]);

/** What ntfsresize says of clusters that are in use though nobody has them: no harm, and only chkdsk finds them. */
const LEAK = /^Cluster accounting failed at \d+ \(\S+\): extra cluster in \$Bitmap$/;

/** Without `--force` ntfsresize refuses a volume with the dirty mark. */
const accounting = (path: string, mayLeak: boolean): string[] => {
  const { exit, stdout, stderr } = run('ntfsresize', ['--info', '--no-progress-bar', path]);
  if (exit === 0) return [];
  const failed = stdout.split('\n').filter((line) => /accounting failed/.test(line));
  if (mayLeak && failed.length > 0 && failed.every((line) => LEAK.test(line))) return [];
  return [stdout + stderr];
};

/** A file or folder of ours that was written, and its entry not yet. */
const isOrphan = ({ detail, message }: HoldfastError): boolean =>
  detail.code === 'source-damaged' && /is not listed in its folder/.test(message);

const hasProblem = (device: MemoryDevice, code: string): boolean => {
  try {
    return openNtfs(device)
      .check()
      .some((each) => each.code === code);
  } catch (error) {
    // Record 0 itself.
    if (isHoldfastError(error, 'corrupt')) return error.detail.code === code;
    throw error;
  }
};

/** ntfs-3g's programs and mount speak for NTFS. */
export class NtfsCourt extends Court {
  #mayLeak = false;

  /**
   * `ntfsfix -d` is to ntfs-3g what chkdsk is to Windows, as far as it goes: it makes the mirror and its records equal, empties the log and
   * takes the dirty mark back. What is leaked stays so.
   */
  protected override mend(): string {
    return everythingSaid(run('ntfsfix', ['-d', this.path]));
  }

  override repair(): void {
    run('ntfsfix', ['-d', this.path]);
  }

  /** A record of several sectors that was written in part: only chkdsk would do without it, which does not run here. */
  override needsUs(device: MemoryDevice): boolean {
    return hasProblem(device, 'ntfs.update-sequence');
  }

  /** Windows does not mind; ntfs-3g wants `ntfsfix` first. */
  override isNeverMounted(device: MemoryDevice): boolean {
    return hasProblem(device, 'ntfs.mirror');
  }

  override isWayOutSaid(refusal: HoldfastError): boolean {
    const { detail, message } = refusal;
    return /^ntfs\./.test(detail.code) || (isOrphan(refusal) && /chkdsk \/f/.test(message));
  }

  /** Only chkdsk lists a file in its folder again, which an owner with `ntfsfix -d` has told to stay away. */
  override canGoThatWay(refusal: HoldfastError): boolean {
    return !isOrphan(refusal);
  }

  override mounts(): boolean {
    const folder = this.#mountPoint();
    if (mountBy(this.path, folder, 'ro').exit !== 0) return false;
    mustRun('umount', [folder]);
    return true;
  }

  override faultsWhenMended(device: MemoryDevice, expected: Contents): string[] {
    return this.#leaking(() => super.faultsWhenMended(device, expected));
  }

  override faultsAfterOwner(device: MemoryDevice, tree: Contents): string[] {
    return this.#leaking(() => super.faultsAfterOwner(device, tree));
  }

  /** Below a folder of the test's, so that a mount that a killed test leaves is found and taken away. */
  #mountPoint(): string {
    const folder = join(temporaryFolder(this.cleanup), 'mounted');
    mkdirSync(folder);
    return folder;
  }

  #leaking<Result>(body: () => Result): Result {
    this.#mayLeak = true;
    try {
      return body();
    } finally {
      this.#mayLeak = false;
    }
  }

  protected override check(): string[] {
    const fix = run('ntfsfix', ['-n', this.path]);
    const isContent = fix.exit === 0 && !/not match|FAILED|corrupt/i.test(fix.stdout + fix.stderr);
    return [...(isContent ? [] : [everythingSaid(fix)]), ...accounting(this.path, this.#mayLeak)];
  }

  override contents(): Contents {
    const folder = this.#mountPoint();
    const mounted = mountBy(this.path, folder, 'ro');
    if (mounted.exit !== 0) throw new Error(everythingSaid(mounted));
    try {
      return digestsBelow(folder, (entry) => this.isNobodys(entry));
    } finally {
      mustRun('umount', [folder]);
    }
  }

  protected override mountForWriting(folder: string): RunResult {
    return mountBy(this.path, folder, 'rw');
  }
}

import { hash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mtools, tryMtools } from '../../fs/fat/mtools.ts';
import { everythingSaid, run } from '../../support/run.ts';
import { type Contents, Court } from './court.ts';

/** There is no FAT in the kernels that this is tested with: mtools and fsck.fat speak for it. */
export class FatCourt extends Court {
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
  override tryToOwn(change: (folder: string) => void): Contents {
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

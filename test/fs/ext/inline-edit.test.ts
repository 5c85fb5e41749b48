import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MIB } from '../../../rescue/units.ts';
import { e2fsckClean, mustBeClean } from '../../support/judges.ts';
import { mountFile } from '../../support/loop.ts';
import { mustRun } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { makeVolume } from '../../support/volume.ts';
import { highest } from '../editing.ts';
import { debugfs, Volume } from './editing.ts';

const isInline = (path: string): boolean =>
  (Number(/Flags: (0x[0-9a-f]+)/.exec(debugfs(path, 'stat /.holdfast'))![1]) & 0x10000000) !== 0;

/**
 * mke2fs gives the root a block from the start, but a folder that the owner made (as a full root's way out says) is
 * inline: from one with ample room in the inode to one where the file's entry needs a block.
 */
const folders = [
  { names: 0, attribute: undefined, inode: 256 },
  { names: 1, attribute: undefined, inode: 256 },
  { names: 2, attribute: undefined, inode: 256 },
  { names: 3, attribute: undefined, inode: 256 },
  { names: 4, attribute: 'v', inode: 256 },
  { names: 2, attribute: 'a value of some length', inode: 256 },
  { names: 12, attribute: 'a value of some length', inode: 512 },
];
const outcomes: string[] = [];

for (const { names, attribute, inode } of folders) {
  for (const features of [['inline_data'], ['inline_data', '^has_journal', '^metadata_csum']]) {
    test.serial(
      `an inline folder with ${names} names, attribute ${attribute}, ${inode}-byte inode, ${features}`,
      (t) => {
        const more = ['-I', String(inode)];
        const path = makeVolume(join(temporaryFolder(t), 'volume'), {
          size: 16 * MIB,
          blockSize: 1024,
          features,
          more,
        });
        const mount = mountFile(t, path);
        const folder = join(mount.path, '.holdfast');
        mkdirSync(folder);
        if (attribute !== undefined) mustRun('setfattr', ['-n', 'user.note', '-v', attribute, folder]);
        for (let index = 0; index < names; index += 1) writeFileSync(join(folder, `n${index}`), 'x');
        const kept = readdirSync(folder);
        mount.unmount();
        t.notThrows(() => mustBeClean(e2fsckClean(path)), 'before');
        const wasInline = isInline(path);
        const volume = new Volume(path);
        volume.claim('one', highest(volume.free(), 300));
        t.notThrows(() => mustBeClean(e2fsckClean(path)), 'claimed');
        outcomes.push(`${wasInline ? 'inline' : 'block'} -> ${isInline(path) ? 'inline' : 'block'}`);
        const after = mountFile(t, path);
        t.deepEqual(readdirSync(join(after.path, '.holdfast')).sort(), [...kept, 'one.hfi'].sort());
        if (attribute !== undefined) {
          const shown = mustRun('getfattr', [
            '-n',
            'user.note',
            '--only-values',
            join(after.path, '.holdfast'),
          ]);
          t.is(shown.stdout, attribute);
        }
        mkdirSync(join(after.path, '.holdfast/inside'));
        rmdirSync(join(after.path, '.holdfast/inside'));
        after.unmount();
        t.notThrows(() => mustBeClean(e2fsckClean(path)), 'after the kernel');
        new Volume(path).release('one');
        t.notThrows(() => mustBeClean(e2fsckClean(path)), 'released');
      },
    );
  }
}

test.serial('the folders above were of every kind', (t) => {
  t.true(outcomes.includes('inline -> inline'), outcomes.join(', '));
  t.true(outcomes.includes('inline -> block'), outcomes.join(', '));
});

import { join } from 'node:path';
import test from 'ava';
import { remove } from '../../rescue/job/remove.ts';
import { MIB } from '../../rescue/units.ts';
import { populateFat } from '../fs/fat/content.ts';
import { fsckFat } from '../fs/fat/fsck.ts';
import { mtools, treeByMtools } from '../fs/fat/mtools.ts';
import { makeFat } from '../fs/fat/volumes.ts';
import { mustBeClean } from '../support/judges.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeImage, NOW } from './requests.ts';

test('what an owner moved out of the folder is left alone by remove, which says so', async (t) => {
  const file = join(temporaryFolder(t), 'volume');
  makeFat(file, { size: 40 * MIB, bits: 32, sectorsPerCluster: 1 });
  populateFat(t, file, { entries: 10 });
  const { image } = await makeImage(file);
  mtools('mmove', file, [`::/.holdfast/user-${image.id.slice(0, 12)}.hfi`, '::/kept.hfi']);
  const before = treeByMtools(t, file);
  const notes: string[] = [];
  await remove(
    { target: file, image: image.id, dryRun: false, confirm: async () => true },
    { now: NOW, onEvent: (event) => 'note' in event && notes.push(event.note) },
  );
  t.deepEqual(treeByMtools(t, file), before);
  mustBeClean(fsckFat(t, file));
  t.regex(notes.join('; '), /slots of image \w+ are left/);
});

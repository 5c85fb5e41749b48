import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../rescue/units.ts';
import { makeDisk } from '../support/disk.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { differences, type Tree } from '../support/tree.ts';
import { makeVolume } from '../support/volume.ts';
import { makeImage, restoreImage } from './requests.ts';
import { fillStage, type Stage, stageMustBeClean, treeOf } from './stage.ts';

const SIZE = 80 * MIB;

const diskOf = (t: ExecutionContext): { readonly stage: Stage; readonly tree: Tree } => {
  const file = join(temporaryFolder(t), 'disk');
  const [first] = makeDisk(t, file, {
    size: SIZE,
    table: 'mbr',
    partitions: [{ size: 40 * MIB, bootable: true }, { size: 16 * MIB, type: '7' }, {}],
  });
  const stage = { file, start: first!.start, size: first!.size, partition: 1 };
  makeVolume(file, { size: stage.size, offset: stage.start, blockSize: 4096 });
  const tree = fillStage(t, stage, { size: MIB, entries: 60 });
  return { stage, tree };
};

const dump = (file: string): string => mustRun('sfdisk', ['--dump', file]).stdout;

test.serial('a disk that became shorter: its table is saved, and kept in a restore', async (t) => {
  const { stage, tree } = diskOf(t);
  truncateSync(stage.file, SIZE - MIB);
  const table = dump(stage.file);
  const notes: string[] = [];
  const { image } = await makeImage(stage.file, { partition: 1 }, (event) => {
    if ('note' in event) notes.push(event.note);
  });
  t.deepEqual(
    notes.filter((note) => note.includes('table')),
    [],
  );
  const first = await restoreImage(stage.file);
  t.is(first.partitionTable, 'kept');
  t.is(dump(stage.file), table);
  // Now all of it is lost.
  mustRun('dd', ['if=/dev/zero', `of=${stage.file}`, 'bs=512', 'count=1', 'conv=notrunc', 'status=none']);
  t.is(run('sfdisk', ['--dump', stage.file]).stdout, '');
  const second = await restoreImage(stage.file);
  t.is(second.partitionTable, 'rebuilt');
  t.is(dump(stage.file), table);
  t.is(image.partition.number, 1);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(differences(tree, treeOf(t, stage)), []);
});

test.serial('other entries overlap: create is refused, restore leaves the table alone', async (t) => {
  const { stage, tree } = diskOf(t);
  await makeImage(stage.file, { partition: 1 });
  // Partition 3 begins inside partition 2, as nobody but a broken program would have it.
  const start = Buffer.alloc(4);
  start.writeUInt32LE((42 * MIB) / 512);
  const handle = openSync(stage.file, 'r+');
  writeSync(handle, start, 0, 4, 446 + 2 * 16 + 8);
  closeSync(handle);
  const table = dump(stage.file);
  t.regex(table, /3 : start= *86016/);
  const refused = await t.throwsAsync(makeImage(stage.file, { partition: 1 }));
  t.like(refused, { kind: 'refused', detail: { code: 'table.invalid' } });
  const restored = await restoreImage(stage.file);
  t.is(restored.partitionTable, 'kept');
  t.is(dump(stage.file), table);
  t.notThrows(() => stageMustBeClean(stage));
  t.deepEqual(differences(tree, treeOf(t, stage)), []);
});

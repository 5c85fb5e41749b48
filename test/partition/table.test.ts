import test from 'ava';
import { companionSpaces, writableRanges } from '../../rescue/partition/companion.ts';
import { parseSavedTable, saveTable } from '../../rescue/partition/saved.ts';
import { modelOf, sectorSizeByTable } from '../../rescue/partition/table.ts';
import { asSfdisk, DISKS, testDisk } from './compare.ts';

for (const options of DISKS) {
  test(`reads what sfdisk wrote: ${options.title}`, (t) => {
    const { table, places } = testDisk(t, options);
    t.true(table.valid);
    t.deepEqual(table.problems, []);
    t.is(table.scheme, options.table);
    t.deepEqual(asSfdisk(table), [...places]);
  });

  test(`a saved copy says the same after JSON: ${options.title}`, (t) => {
    const { table, device } = testDisk(t, options);
    const saved = saveTable(device);
    const parsed = parseSavedTable(JSON.parse(JSON.stringify(saved)));
    t.deepEqual(parsed, saved);
    t.deepEqual(parsed.table, modelOf(table));
    t.true(JSON.stringify(saved).length < 20_000);
  });

  test(`the sector size follows from a GPT: ${options.title}`, (t) => {
    const { device } = testDisk(t, options);
    t.is(sectorSizeByTable(device), options.table === 'gpt' ? (options.sectorSize ?? 512) : null);
  });

  test(`the boot gap ends at the first partition and spares the table: ${options.title}`, (t) => {
    const { device, table } = testDisk(t, options);
    const spaces = companionSpaces(table);
    t.is(spaces[0]?.id, 1);
    t.is(spaces[0]?.length, Math.min(...table.partitions.map((each) => each.start)));
    const ranges = writableRanges(spaces[0]!, table);
    t.is(ranges[0]?.length, 440);
    for (const { start, length } of ranges) device.write(start, new Uint8Array(length).fill(0xe7));
    t.deepEqual(saveTable(device).table, saveTable(device, table).table);
  });
}

import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { buildBinary } from '../../build/binary.ts';
import { MIB } from '../../rescue/units.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const LIMIT = 256 * MIB;

/** Peak resident memory of one command of the executable, as it reports itself. (Types that are stripped at run time take memory, too.) */
const peakOf = (program: string, ...words: string[]): number => {
  const text = execFileSync(program, [...words, '--json', '--progress', 'none'], { encoding: 'utf8' });
  return (JSON.parse(text) as { stats: { peakRss: number } }).stats.peakRss;
};

const MAKERS: Readonly<Record<string, readonly string[]>> = {
  // Few inodes: their tables are read in full, which takes a minute and no memory.
  ext4: ['mke2fs', '-q', '-F', '-t', 'ext4', '-i', '1048576'],
  FAT32: ['mkfs.fat', '-F', '32', '-s', '128'],
};

test.serial('create and verify on 1 TiB stay within 256 MiB', async (t) => {
  const folder = temporaryFolder(t);
  const program = join(folder, 'holdfast');
  await buildBinary(program);
  for (const [name, [maker, ...words]] of Object.entries(MAKERS)) {
    const file = join(folder, name);
    writeFileSync(file, '');
    truncateSync(file, 2 ** 40);
    mustRun(maker!, [...words, file]);
    for (const command of ['create', 'verify']) {
      const peak = peakOf(program, command, file);
      t.log(`${name}, ${command}: ${Math.round(peak / MIB)} MiB`);
      t.true(peak <= LIMIT, `${name}, ${command}: ${Math.round(peak / MIB)} MiB`);
    }
  }
});

test('new objects do not take more memory the longer a process runs', (t) => {
  const young = new URL('../../rescue/young-generation.ts', import.meta.url).href;
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8';
    await import(${JSON.stringify(young)});
    const kept = [];
    for (let index = 0; index < 3e6; index += 1) kept[index % 200000] = { index, text: 'x' + index };
    console.log(getHeapSpaceStatistics().find((each) => each.space_name === 'new_space').space_size);`;
  const words = ['--input-type=module', '--eval', script];
  const size = Number(execFileSync(process.execPath, words, { encoding: 'utf8' }));
  t.true(size > 0 && size <= 8 * MIB, `${size}`);
});

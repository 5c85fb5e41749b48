import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { MIB } from '../../rescue/units.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const MAIN = fileURLToPath(new URL('../../rescue/main.ts', import.meta.url));
const LIMIT = 256 * MIB;

/** Peak resident memory of one command in a process of its own, as it reports itself. */
const peakOf = (...words: string[]): number => {
  const text = execFileSync(process.execPath, [MAIN, ...words, '--json', '--progress', 'none'], {
    encoding: 'utf8',
  });
  return (JSON.parse(text) as { stats: { peakRss: number } }).stats.peakRss;
};

test.serial('create and verify on 1 TiB stay within 256 MiB', (t) => {
  const file = join(temporaryFolder(t), 'volume');
  writeFileSync(file, '');
  truncateSync(file, 2 ** 40);
  // Few inodes: their tables are read in full, which takes a minute and no memory.
  mustRun('mke2fs', ['-q', '-F', '-t', 'ext4', '-i', '1048576', file]);
  for (const command of ['create', 'verify']) {
    const peak = peakOf(command, file);
    t.log(`${command}: ${Math.round(peak / MIB)} MiB`);
    t.true(peak <= LIMIT, `${command}: ${Math.round(peak / MIB)} MiB`);
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

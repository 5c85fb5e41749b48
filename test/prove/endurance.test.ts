import { join } from 'node:path';
import test from 'ava';
import { temporaryFolder } from '../support/temporary.ts';
import { Endurance } from './endurance/cycle.ts';
import { endurance } from './endurance/endurance.ts';
import { type EnduranceVolume, enduranceVolume } from './endurance/volumes.ts';
import { prove } from './runner.ts';

test.serial('a few days of change, image, wreck and restore on each file system', async (t) => {
  const proof = await prove(endurance, { depth: 'sample', seed: 1, jobs: 1 });
  t.deepEqual(proof.failures, []);
});

test.serial('a file that comes back wrong, and a cluster that stays in use, are seen', async (t) => {
  const real = enduranceVolume('ext4');
  let looks = 0;
  // The third look at files and the second at clusters are those after the restore.
  const lying: EnduranceVolume = {
    ...real,
    files: async (path) => {
      const files = new Map(await real.files(path));
      looks += 1;
      if (looks === 3) files.set('etc', 'something else');
      return files;
    },
    clusters: (path) => (looks < 3 ? real.clusters(path) : real.clusters(path).slice(1)),
  };
  const path = join(temporaryFolder(t), 'volume');
  await real.make(path);
  const story = new Endurance(lying, path, 'planted');
  const faults = await story.cycle(0);
  t.is(faults.length, 2, faults.join('\n'));
  t.regex(faults[0]!, /etc: was .*, is something else/);
  t.regex(faults[1]!, /clusters in use were/);
  t.is(story.counts['files that differ'], 1);
  t.is(story.counts['cycles that leaked'], 1);
});

import test from 'ava';
import { JobContext } from '../../rescue/job/context.ts';
import { creating } from '../job/power-cut/creating.ts';
import { sweep } from '../job/power-cut/scene.ts';
import { cuts } from './cuts/cuts.ts';
import { prove } from './runner.ts';

test('power cuts at a sample of all writes lose nothing', async (t) => {
  const proof = await prove(cuts, { depth: 'sample', seed: 1, jobs: 1 });
  t.deepEqual(proof.failures, []);
});

test('a claim whose writes come in the wrong order is found', async (t) => {
  const context = new JobContext({ now: 1_800_000_000 });
  t.teardown(() => context.close());
  const scene = await creating(t, context, 'ext2', { replaces: false });
  const { events, visible } = scene;
  const backwards = events
    .slice(visible)
    .filter(({ type }) => type === 'write')
    .reverse();
  const log = await sweep(
    { ...scene, events: [...events.slice(0, visible), ...backwards] },
    { seed: 1, onlyVisible: true, tears: false, subsets: 0, most: 6, owners: [] },
  );
  t.true(log.losses > 0);
});

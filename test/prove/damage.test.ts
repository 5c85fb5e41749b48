import test from 'ava';
import { restoreImage } from '../job/requests.ts';
import { overwrite } from './damage/destroy.ts';
import { judgeBytes } from './damage/judge.ts';
import { damage } from './damage/part.ts';
import { onCopy, setStage } from './damage/stage.ts';
import { truthOf } from './damage/truth.ts';
import { KINDS } from './damage/volumes.ts';
import { prove } from './runner.ts';

test.serial('a sample of damaged containers brings back what survived, and names the rest', async (t) => {
  const { failures } = await prove(damage, { depth: 'sample', seed: 1, jobs: 1 });
  t.deepEqual(failures, []);
});

test.serial('the proof can fail: a byte that is wrong though its frame survived', async (t) => {
  const stage = await setStage(t, KINDS[0]!, 'planted');
  const none = truthOf(stage.whole, []);
  await onCopy(stage, async (path) => {
    const result = await restoreImage(path, { image: stage.image.id, salvage: true });
    t.deepEqual(judgeBytes(stage, path, none, result), []);
    overwrite(path, [{ start: stage.whole.held.at(-1)!.start, length: 1 }], 'planted');
    const found = judgeBytes(stage, path, none, result).join();
    t.regex(found, /differ although their frames survived/);
    t.regex(found, /not named as lost/);
  });
});

import test from 'ava';
import { Losses } from '../../rescue/job/losses.ts';

const loss = (index: number, step: number) => ({
  extents: [{ start: index * step, length: 4096, of: 'partition' as const }],
  log: { start: index * step, length: 100 },
  reason: 'lost',
});

test('neighbours are joined', (t) => {
  const losses = new Losses();
  for (let index = 0; index < 5000; index += 1)
    losses.add({ ...loss(index, 4096), log: { start: index * 100, length: 100 } });
  t.deepEqual(losses.places, [{ start: 0, length: 5000 * 4096 }]);
  t.is(losses.log.spans.length, 1);
  t.is(losses.count, 5000);
});

test('however many are lost, few are kept and all are counted', (t) => {
  const losses = new Losses();
  const count = 300_000;
  for (let index = 0; index < count; index += 1) losses.add(loss(index, 65536));
  t.is(losses.count, count);
  t.is(losses.bytes, count * 4096);
  t.is(losses.places.length, 1024);
  t.true(losses.log.spans.length <= 65536);
  // Nothing that is lost passes for whole.
  t.true(losses.log.has((count - 1) * 65536));
  t.true(losses.log.has(200_000 * 65536));
  t.false(losses.log.has(65536 + 200));
});

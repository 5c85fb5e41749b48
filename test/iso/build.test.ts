import test from 'ava';
import { buildTime } from '../../iso/build.ts';

test('the time of all files: SOURCE_DATE_EPOCH, or a fixed one', (t) => {
  t.is(buildTime({ SOURCE_DATE_EPOCH: '1700000000' }), 1_700_000_000);
  t.is(buildTime({}), Date.UTC(2026, 0, 1) / 1000);
  t.is(buildTime({ SOURCE_DATE_EPOCH: '' }), buildTime({}));
  for (const bad of ['yesterday', '-1', '0', '1.5', '99999999999', '0x10'])
    t.throws(() => buildTime({ SOURCE_DATE_EPOCH: bad }), { message: /SOURCE_DATE_EPOCH is/ }, bad);
});

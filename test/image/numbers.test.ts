import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { isHoldfastError } from '../../rescue/errors.ts';
import { appendAudit, readAudit } from '../../rescue/image/audit.ts';
import { encodeCommit, nextOf, parseCommit, writeCommit } from '../../rescue/image/commit.ts';
import { encodeControl, parseControl } from '../../rescue/image/control.ts';
import { COMMIT_POSITION, MAX_COUNTER, MAX_TIME } from '../../rescue/image/layout.ts';
import { COMMIT_VALUE, ID } from './made-up.ts';
import { outcomeOf } from './outcome.ts';
import { openAt, smallContainer } from './small-container.ts';

const original = smallContainer();
const CONTROL = openAt(original.device, original.captured.homes.homeOf(0)).control;

const HUGE = Number.MAX_SAFE_INTEGER;

test('commit record: a time that is no date and counters without a next do not count', (t) => {
  const parse = (change: object) => parseCommit(encodeCommit({ ...COMMIT_VALUE, ...change }), ID);
  for (const field of ['serial', 'generation', 'sequence'] as const) {
    t.is(parse({ [field]: MAX_COUNTER })?.[field], MAX_COUNTER);
    for (const value of [MAX_COUNTER + 1, HUGE]) t.is(parse({ [field]: value }), undefined, field);
  }
  t.is(parse({ time: MAX_TIME })?.time, MAX_TIME);
  for (const time of [MAX_TIME + 1, 2 ** 52, HUGE]) t.is(parse({ time }), undefined);
});

test('a counter that is used up is refused, nothing is written', (t) => {
  t.is(nextOf(0, 'serial number'), 1);
  const device = new MemoryDevice(8192);
  device.write(COMMIT_POSITION, encodeCommit({ ...COMMIT_VALUE, serial: MAX_COUNTER }));
  const before = device.snapshot();
  const error = t.throws(() => writeCommit(device, [0, 4096], COMMIT_VALUE));
  t.true(isHoldfastError(error, 'refused') && error.detail.code === 'image.counter');
  t.deepEqual([...device.differences(before)], []);
});

test('audit record: an entry whose time is no date does not count', (t) => {
  const device = new MemoryDevice(8192);
  const add = (time: number): void =>
    appendAudit(device, [0, 4096], ID, { action: 'restored', time, salvaged: false });
  add(MAX_TIME);
  add(2 ** 52);
  const audit = readAudit(device, [0, 4096], ID);
  t.deepEqual(
    audit?.latest.map(({ time }) => new Date(time * 1000).toISOString()),
    ['9999-12-31T23:59:59.000Z'],
  );
});

test('control document: a time that is no date, a sequence without a next', (t) => {
  t.is(parseControl(encodeControl({ ...CONTROL, created: MAX_TIME })).created, MAX_TIME);
  for (const change of [{ created: MAX_TIME + 1 }, { created: 9e12 }, { sequence: MAX_COUNTER + 1 }]) {
    const bytes = Buffer.from(JSON.stringify({ ...CONTROL, ...change }));
    t.is(
      outcomeOf(() => parseControl(bytes)),
      'control.schema',
      JSON.stringify(change),
    );
  }
});

import { join } from 'node:path';
import test from 'ava';
import { HoldfastError, refused } from '../../rescue/errors.ts';
import { BACKGROUND_JOBS } from '../../rescue/job/background.ts';
import type { JobEvent } from '../../rescue/job/context.ts';
import { UnfinishedError } from '../../rescue/job/results.ts';
import { packError, unpackError } from '../../rescue/job/thread-messages.ts';
import { MIB } from '../../rescue/units.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { makeImage } from './requests.ts';

/** A job in a thread of its own is the same job. */

const RESTORE = { image: 'latest', drop: [], salvage: false, verifyAfter: true, dryRun: false };

test('question, events, result: the same as on this thread', async (t) => {
  const target = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB });
  const { image } = await makeImage(target);
  const events: JobEvent[] = [];
  let asked = 0;
  const result = await BACKGROUND_JOBS.restore(
    {
      target,
      ...RESTORE,
      confirm: async (intent) => {
        asked += 1;
        t.is(intent.image?.id, image.id);
        t.is(intent.deviceName, 'volume');
        return true;
      },
    },
    { onEvent: (event) => events.push(event) },
  );
  t.is(asked, 1);
  t.true(result.written);
  t.deepEqual(result.imagesKept, [image.id]);
  const touched = new Set(events.flatMap((event) => ('touched' in event ? [event.touched] : [])));
  t.true(touched.has('written') && touched.has('verified'));
  t.true(events.some((event) => 'phase' in event && event.phase === 'verify-image'));
  for (const event of events) {
    if (!('touched' in event)) continue;
    for (const [start, length] of event.extents) t.true(start >= 0 && start + length <= 16 * MIB);
  }
});

test('declining, failing and cancelling arrive as what they were', async (t) => {
  const target = makeVolume(join(temporaryFolder(t), 'volume'), { size: 16 * MIB });
  await makeImage(target);
  const restore = (confirm: () => Promise<boolean>, signal?: AbortSignal) =>
    BACKGROUND_JOBS.restore({ target, ...RESTORE, confirm }, signal === undefined ? {} : { signal });
  const declined = await t.throwsAsync(
    restore(async () => false),
    { instanceOf: HoldfastError },
  );
  t.like(declined, { kind: 'refused', detail: { code: 'unconfirmed' } });
  const own = refused('no', { code: 'mine', wayOut: 'Say yes.' });
  const thrown = await t.throwsAsync(
    restore(() => Promise.reject(own)),
    { instanceOf: HoldfastError },
  );
  t.like(thrown, { message: own.message, detail: { code: 'mine' } });
  const cancelling = new AbortController();
  const cancelled = restore(async () => {
    cancelling.abort();
    return true;
  }, cancelling.signal);
  t.like(await t.throwsAsync(cancelled, { instanceOf: HoldfastError }), { kind: 'cancelled' });
  t.like(await t.throwsAsync(restore(async () => true, AbortSignal.abort())), { kind: 'cancelled' });
  const missing = await t.throwsAsync(BACKGROUND_JOBS.list({ target: '/nowhere', depth: 'quick' }, {}));
  t.like(missing, { kind: 'usage', detail: { code: 'target.missing' } });
});

test('an error keeps class, message, place and causes on its way', (t) => {
  const cause = new HoldfastError('io', 'read failed', {
    code: 'EIO',
    structure: 'slot',
    offset: 512,
    cause: new TypeError('deep'),
  });
  const error = new UnfinishedError(cause, 'Run it again.');
  const back = unpackError(structuredClone(packError(error)));
  t.true(back instanceof UnfinishedError);
  t.like(back, { message: error.message, next: 'Run it again.' });
  t.true(back.cause instanceof HoldfastError);
  t.like(back.cause as HoldfastError, { message: cause.message, kind: 'io', detail: { offset: 512 } });
  t.like((back.cause as Error).cause as Error, { name: 'TypeError', message: 'deep' });
});

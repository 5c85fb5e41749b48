import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { SpanSet } from '../../rescue/bytes/runs.ts';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { HoldfastError, ioError } from '../../rescue/errors.ts';
import { SlotHomes } from '../../rescue/image/extents.ts';
import { LogReader } from '../../rescue/image/log-reader.ts';
import { LogWriter } from '../../rescue/image/log-writer.ts';
import { headerTemplate } from '../../rescue/image/slot.ts';
import { ContainerWriter } from '../../rescue/image/writer.ts';
import { captureAll } from '../../rescue/job/capture.ts';
import { JobContext } from '../../rescue/job/context.ts';
import type { DigestTask } from '../../rescue/job/frame-task.ts';
import { Pipeline } from '../../rescue/job/pipeline.ts';
import { writeFrames } from '../../rescue/job/write-image.ts';
import { MIB } from '../../rescue/units.ts';
import { ID, IDENTITY } from '../image/made-up.ts';
import { openAt, smallContainer } from '../image/small-container.ts';
import { CLUSTER } from '../locate/captured.ts';

/** Its transfers take a while; it knows how many are under way. */
class SlowDevice extends MemoryDevice {
  underWay = 0;
  written = 0;
  /** Milliseconds that a read takes. */
  patience = 5;
  /** Memory that the writes hold which are under way, at most. */
  held = 0;
  #holding = 0;
  /** Writes from this number on fail. */
  failFrom = Number.POSITIVE_INFINITY;
  #writes = 0;

  async readIntoSoon(offset: number, target: Uint8Array): Promise<void> {
    this.underWay += 1;
    await sleep(this.patience);
    this.underWay -= 1;
    this.readInto(offset, target);
  }

  readUncachedIntoSoon(offset: number, target: Uint8Array): Promise<void> {
    return this.readIntoSoon(offset, target);
  }

  async writeSoon(offset: number, data: Uint8Array): Promise<void> {
    const fails = this.#writes >= this.failFrom;
    this.#writes += 1;
    this.underWay += 1;
    this.#holding += data.buffer.byteLength;
    this.held = Math.max(this.held, this.#holding);
    // A failure is known at once, while others are still being written.
    await sleep(fails ? 0 : 20);
    this.underWay -= 1;
    this.#holding -= data.buffer.byteLength;
    if (fails) throw ioError('broken', { code: 'EIO' });
    this.write(offset, data);
    this.written += data.length;
  }
}

/** Slots of 4 KiB, no two of which adjoin. */
const scattered = (count: number): SlotHomes =>
  new SlotHomes(
    Array.from({ length: count }, (_, index) => ({ start: index * 8192, length: 4096 })),
    4096,
  );

test('bytes written at the same time are all counted', async (t) => {
  const { device, captured } = smallContainer();
  const image = openAt(device, captured.homes.homeOf(0));
  const target = new SlowDevice(device.size);
  // Every other sector, so that there are many pieces.
  const allowed = new SpanSet(
    Array.from({ length: device.size / 1024 }, (_, index) => ({ start: index * 1024, length: 512 })),
  );
  const space = image.control.spaces.find(({ id }) => id === 0)!;
  const context = new JobContext();
  try {
    const written = await writeFrames(context, image, [{ space, device: target, allowed }], undefined, () =>
      t.fail(),
    );
    t.true(target.written > 10_000);
    t.is(written.get(target)!.total, target.written);
  } finally {
    await context.close();
  }
});

test('a log in scattered slots holds little more memory than its data while writes are under way', async (t) => {
  const slots = 64;
  const device = new SlowDevice(MIB);
  const template = headerTemplate(IDENTITY);
  const log = new LogWriter({ device, homes: scattered(slots + 8), template });
  log.beginBulk();
  const content = Uint8Array.from({ length: 4000 * 50 }, (_, index) => index);
  log.append(content);
  await log.endBulk();
  log.finish(0);
  t.true(device.held > content.length / 2);
  t.true(device.held < MIB, `${device.held} bytes`);
  const source = { device, homes: scattered(slots + 8), imageId: ID, generation: 3, logLength: log.position };
  t.deepEqual(new LogReader(source).read(0, content.length), content);
});

test('a capture that fails leaves no write under way', async (t) => {
  const volume = new MemoryDevice(MIB);
  for (let at = 0; at < 64; at += 1)
    volume.write(at * CLUSTER, crypto.getRandomValues(new Uint8Array(CLUSTER)));
  const { captured } = smallContainer();
  const device = new SlowDevice(MIB);
  device.failFrom = 5;
  const extents = Array.from({ length: 120 }, (_, index) => ({ start: index * 8192, length: 4096 }));
  const { control } = openAt(smallContainer().device, captured.homes.homeOf(0));
  const writer = new ContainerWriter({
    device,
    identity: captured.identity,
    placement: { slotSize: 4096, extents },
    control,
  });
  const space = control.spaces.find(({ id }) => id === 0)!;
  const capture = { space, device: volume, runs: () => [{ start: 0, length: 64 }] };
  const context = new JobContext();
  try {
    const choice = { codec: 'store', level: 1 } as const;
    await t.throwsAsync(captureAll(context, [capture], writer, choice, 64 * CLUSTER), {
      instanceOf: HoldfastError,
    });
    t.is(device.underWay, 0);
  } finally {
    await context.close();
  }
});

test('a log is settled when also that is read which nobody waits for any more', async (t) => {
  const device = new SlowDevice(MIB);
  const source = { device, homes: scattered(120), imageId: ID, generation: 3, logLength: 400_000 };
  const log = new LogReader(source, 1);
  device.patience = 50;
  const passed = log.prefetch(0, 4000);
  device.patience = 1;
  const last = log.prefetch(300_000, 4000);
  t.true(device.underWay > 2);
  await log.settled();
  t.is(device.underWay, 0);
  await Promise.all([passed, last]);
});

test('a bad place in a log costs the slots around it no more than one attempt', (t) => {
  const homes = new SlotHomes([{ start: 0, length: 40 * 4096 }], 4096);
  const bad = { start: homes.homeOf(20), length: 512 };
  let failed = 0;
  class Counting extends FaultyDevice {
    override readInto(offset: number, target: Uint8Array): void {
      try {
        super.readInto(offset, target);
      } catch (error) {
        failed += 1;
        throw error;
      }
    }
  }
  const device = new Counting(new MemoryDevice(MIB), { badReads: [bad] });
  const writer = new LogWriter({ device, homes, template: headerTemplate(IDENTITY) });
  writer.append(new Uint8Array(4000 * 30).fill(7));
  writer.finish(0);
  const log = new LogReader({ device, homes, imageId: ID, generation: 3, logLength: writer.position });
  let lost = 0;
  for (let at = 0; at < 4000 * 30; at += 1000) {
    try {
      t.deepEqual(log.read(at, 1000), new Uint8Array(1000).fill(7));
    } catch (error) {
      t.true(error instanceof HoldfastError);
      lost += 1;
    }
  }
  // Of the slot itself, some five pieces, each tried once; of what was read with it, one attempt.
  t.true(lost >= 4 && lost <= 6, `${lost} lost`);
  t.is(failed, lost + 1);
});

test('a worker that dies ends the work, even what is still being read then', async (t) => {
  const pipeline = new Pipeline(1);
  const piece = { at: 0, length: 0 };
  // More results than its heap holds.
  const deadly: DigestTask = { kind: 'digest', pieces: new Array(2_000_000).fill(piece) };
  let died: () => void = () => {};
  const death = new Promise<void>((resolve) => {
    died = resolve;
  });
  const first = pipeline.process(
    ['deadly'],
    () => deadly,
    () => {},
  );
  const second = pipeline.process(
    ['late'],
    async (): Promise<DigestTask> => {
      await death;
      return { kind: 'digest', pieces: [piece] };
    },
    () => t.fail(),
  );
  await t.throwsAsync(first, { message: /worker thread died/ });
  died();
  await t.throwsAsync(second, { message: /worker thread died/ });
  await pipeline.close();
});

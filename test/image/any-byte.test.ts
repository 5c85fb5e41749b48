import test from 'ava';
import { isHoldfastError } from '../../rescue/errors.ts';
import type { Image } from '../../rescue/image/image.ts';
import { SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { openFromExtents } from '../../rescue/image/reader.ts';
import { parseSlotHeader, payloadIntact } from '../../rescue/image/slot.ts';
import { CLUSTER } from '../locate/captured.ts';
import { contentOf, openAt, smallContainer } from './small-container.ts';

const small = smallContainer();
const { device, captured, content } = small;
const { homes } = captured;
const SLOT = homes.slotSize;

const tryTo = <T>(body: () => T): T | undefined => {
  try {
    return body();
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return undefined;
  }
};

/** Slots that do not pass the check of header and payload. */
const damagedSlots = (): number[] => {
  const found: number[] = [];
  for (let index = 0; index < homes.slotCount; index += 1) {
    const home = homes.homeOf(index);
    const slot = device.read(home, SLOT);
    const intact = tryTo(() => payloadIntact(slot, parseSlotHeader(slot, home)));
    if (intact !== true) found.push(index);
  }
  return found;
};

/** Every byte of headers of sealed slots, every fifth of payloads, few of what means nothing. */
const stepAt = (index: number, at: number): number => {
  const { payloadLength, kind } = parseSlotHeader(device.read(homes.homeOf(index), SLOT_HEADER_SIZE), 0);
  if (kind === 'mutable' || kind === 'journal') return at < 1536 ? 7 : 311;
  if (at < SLOT_HEADER_SIZE) return 1;
  return at < SLOT_HEADER_SIZE + payloadLength ? 5 : 311;
};

/** Runs `body` with one byte of the container changed. */
const withChanged = (position: number, mask: number, body: () => void): void => {
  const before = device.read(position, 1);
  device.write(position, Uint8Array.of(before[0]! ^ mask));
  try {
    body();
  } finally {
    device.write(position, before);
  }
};

const firstAnchor = homes.homeOf(0);
const lastAnchor = homes.homeOf(homes.slotCount - 1);

test('the container is small, committed and whole', (t) => {
  t.true(homes.slotCount * SLOT <= 80 * 1024, `${homes.slotCount} slots`);
  t.is(openAt(device, firstAnchor).state, 'committed');
  t.deepEqual(damagedSlots(), []);
  t.true(content.length > 13 * CLUSTER);
});

test('any byte changed: an anchor still opens, the image is still committed, and content is right or refused', (t) => {
  let refused = 0;
  let right = 0;
  let lostAnchors = 0;
  for (let index = 0; index < homes.slotCount; index += 1) {
    const home = homes.homeOf(index);
    for (let at = 0; at < SLOT; at += stepAt(index, at)) {
      const mask = at % 2 === 0 ? 0xff : 1 << (at % 8);
      withChanged(home + at, mask, () => {
        const images = [firstAnchor, lastAnchor].map((anchor) => tryTo(() => openAt(device, anchor)));
        lostAnchors += images.filter((image) => image === undefined).length;
        const image = images.find((each): each is Image => each !== undefined);
        const what = `byte ${at} of slot ${index}`;
        if (image === undefined) {
          t.fail(`${what}: no anchor opens`);
          return;
        }
        if (image.state !== 'committed') t.fail(`${what}: ${image.state}, ${image.reason}`);
        const found = tryTo(() => contentOf(image));
        if (found === undefined) refused += 1;
        else if (found.equals(content)) right += 1;
        else t.fail(`${what}: other content, and nobody said so`);
      });
    }
  }
  t.true(refused > 500 && right > 500 && lostAnchors > 500, `${refused} ${right} ${lostAnchors}`);
});

test('any byte changed in header or payload of a slot: exactly that slot is told', (t) => {
  for (let index = 0; index < homes.slotCount; index += 1) {
    const home = homes.homeOf(index);
    const slot = device.read(home, SLOT);
    const until = SLOT_HEADER_SIZE + parseSlotHeader(slot, 0).payloadLength;
    for (let at = 0; at < until; at += 13) {
      withChanged(home + at, 0x10, () => {
        const damaged = damagedSlots();
        if (damaged.length !== 1 || damaged[0] !== index) t.fail(`byte ${at} of slot ${index}: ${damaged}`);
      });
    }
  }
  t.deepEqual(damagedSlots(), []);
});

test('a slot overwritten by another one of the same image, or of another generation, is lost and not mistaken', (t) => {
  const image = openAt(device, firstAnchor);
  const second = homes.homeOf(2);
  const before = device.read(second, SLOT);
  for (const index of [3, 0, 1]) {
    device.write(second, device.read(homes.homeOf(index), SLOT));
    const error = t.throws(() => image.log(1).record(0));
    t.true(isHoldfastError(error, 'corrupt') && error.detail.code === 'slot.lost', `slot ${index}`);
  }
  device.write(second, before);
  t.deepEqual(contentOf(openAt(device, lastAnchor)), content);
});

test('a container that a file system lists opens by its last anchor when the first is lost', (t) => {
  const before = device.read(firstAnchor, SLOT);
  for (const damage of [
    new Uint8Array(SLOT),
    Buffer.concat([before.subarray(0, 300), Buffer.alloc(SLOT - 300)]),
  ]) {
    device.write(firstAnchor, damage);
    const failures: string[] = [];
    t.is(openFromExtents(device, captured.extents, failures)?.state, 'committed');
    t.is(failures.length, 1);
  }
  device.write(firstAnchor, before);
  const last = device.read(lastAnchor, SLOT);
  device.write(lastAnchor, new Uint8Array(SLOT));
  t.is(openFromExtents(device, captured.extents)?.state, 'committed');
  device.write(firstAnchor, new Uint8Array(SLOT));
  t.is(openFromExtents(device, captured.extents), undefined);
  device.write(firstAnchor, before);
  device.write(lastAnchor, last);
});

test('the last anchor alone, the first commit alone and the second alone are enough', (t) => {
  const [a, b] = captured.mutableHomes;
  for (const lost of [a, b]) {
    const before = device.read(lost, SLOT);
    for (const damage of [
      new Uint8Array(SLOT),
      Buffer.concat([before.subarray(0, 512), Buffer.alloc(SLOT - 512)]),
    ]) {
      device.write(lost, damage);
      t.is(openAt(device, lastAnchor).state, 'committed');
    }
    device.write(lost, before);
  }
});

test('both commits lost: unknown, not uncommitted; never written: prepared', (t) => {
  const [a, b] = captured.mutableHomes;
  const before = [a, b].map((home) => device.read(home, SLOT));
  const set = (fill: (slot: Uint8Array, which: number) => Uint8Array): string => {
    [a, b].forEach((home, which) => {
      device.write(home, fill(before[which]!, which));
    });
    const { state, reason } = openAt(device, firstAnchor);
    return `${state}: ${reason}`;
  };
  const blank = (slot: Uint8Array) => Buffer.concat([slot.subarray(0, 512), Buffer.alloc(SLOT - 512)]);
  const noise = (slot: Uint8Array) => Buffer.concat([slot.subarray(0, 512), Buffer.alloc(SLOT - 512, 0x77)]);
  const unknown = 'damaged: both commit records are lost: commit unknown';
  t.is(set(noise), unknown);
  t.is(
    set((slot, which) => (which === 0 ? noise(slot) : blank(slot))),
    unknown,
  );
  t.is(
    set((slot, which) => (which === 0 ? new Uint8Array(SLOT) : blank(slot))),
    unknown,
  );
  t.is(
    set(() => new Uint8Array(SLOT)),
    unknown,
  );
  t.is(set(blank), 'prepared: it was never committed');
  set((slot) => slot);
});

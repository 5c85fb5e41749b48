import test from 'ava';
import fc from 'fast-check';
import { struct } from '../../rescue/bytes/fields.ts';
import { HoldfastError } from '../../rescue/errors.ts';

const EVERY = struct('every type', 40, {
  byte: [0x0, 'u8'],
  word: [0x1, 'u16le'],
  wordSwapped: [0x3, 'u16be'],
  long: [0x5, 'u32le'],
  longSwapped: [0x9, 'u32be'],
  signed: [0xd, 'i32le'],
  wide: [0x11, 'u64le'],
  wideSwapped: [0x19, 'u64be'],
  bytes: [0x21, 'bytes:7'],
});

test('numbers are read as a DataView reads them, at any place', (t) => {
  const property = fc.property(fc.uint8Array({ minLength: 50, maxLength: 50 }), fc.nat(10), (bytes, at) => {
    const view = new DataView(bytes.buffer);
    t.is(EVERY.get(bytes, 'byte', at), view.getUint8(at));
    t.is(EVERY.get(bytes, 'word', at), view.getUint16(at + 0x1, true));
    t.is(EVERY.get(bytes, 'wordSwapped', at), view.getUint16(at + 0x3));
    t.is(EVERY.get(bytes, 'long', at), view.getUint32(at + 0x5, true));
    t.is(EVERY.get(bytes, 'longSwapped', at), view.getUint32(at + 0x9));
    t.is(EVERY.get(bytes, 'signed', at), view.getInt32(at + 0xd, true));
    const wide = [
      ['wide', view.getBigUint64(at + 0x11, true)],
      ['wideSwapped', view.getBigUint64(at + 0x19)],
    ] as const;
    for (const [field, expected] of wide) {
      if (expected <= BigInt(Number.MAX_SAFE_INTEGER)) t.is(BigInt(EVERY.get(bytes, field, at)), expected);
      else t.throws(() => EVERY.get(bytes, field, at), { instanceOf: HoldfastError, message: /above 2\^53/ });
    }
  });
  fc.assert(property);
});

test('what is set is read again, and no other byte changes', (t) => {
  const values = {
    byte: 0xfe,
    word: 0xfedc,
    wordSwapped: 0xfedc,
    long: 0xfedc_ba98,
    longSwapped: 0xfedc_ba98,
    signed: -2,
    wide: Number.MAX_SAFE_INTEGER,
    wideSwapped: Number.MAX_SAFE_INTEGER,
    bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7),
  };
  for (const [field, value] of Object.entries(values) as [keyof typeof values, never][]) {
    const bytes = new Uint8Array(50).fill(0x55);
    EVERY.set(bytes, field, value, 3);
    t.deepEqual(EVERY.get(bytes, field, 3), value);
    const [from, to] = [3 + EVERY.offsetOf(field), 3 + EVERY.offsetOf(field) + EVERY.widthOf(field)];
    t.true(
      [...bytes].every((byte, at) => byte === 0x55 || (at >= from && at < to)),
      field,
    );
  }
});

test('a field that the bytes do not reach is an error', (t) => {
  const error = t.throws(() => EVERY.get(new Uint8Array(30), 'wideSwapped'), { instanceOf: HoldfastError });
  t.is(error?.detail.code, 'field.cut-short');
});

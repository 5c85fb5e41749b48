import test from 'ava';
import fc from 'fast-check';
import { SpanSet } from '../../rescue/bytes/runs.ts';
import { KnownRanges } from '../../rescue/locate/known.ts';

const span = fc.record({ start: fc.nat(1000), length: fc.nat(100) });

test('ranges added one by one are the same as all sorted and joined at once', (t) => {
  fc.assert(
    fc.property(fc.array(span, { maxLength: 60 }), span, (added, asked) => {
      const ranges = new KnownRanges();
      for (const each of added) ranges.add(each);
      const expected = new SpanSet(added);
      t.deepEqual([...ranges.within({ start: 0, length: 2000 })], expected.spans);
      t.deepEqual([...ranges.within(asked)], [...expected.within(asked)]);
      t.is(ranges.count, expected.spans.length);
      t.is(ranges.has(asked.start), expected.has(asked.start));
    }),
    { numRuns: 500 },
  );
});

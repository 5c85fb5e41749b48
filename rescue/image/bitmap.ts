import { coalesce } from '../bytes/runs.ts';
import { corrupt } from '../errors.ts';
import type { Run } from '../units.ts';
import { MAX_FRAME_SIZE } from './layout.ts';
import type { LogReader } from './log-reader.ts';

/**
 * The bitmap stream: one bit per cluster of the partition, low bit first, set when the file system had the cluster in use.
 * Cut into pages of 2 Mi clusters, one record each, in order; page n starts at cluster n * CLUSTERS_PER_PAGE.
 */
export const CLUSTERS_PER_PAGE = MAX_FRAME_SIZE * 8;

/** Pages from ascending runs; holds one page. */
export function* bitmapPages(runs: Iterable<Run>, clusterCount: number): Generator<Uint8Array> {
  const iterator = runs[Symbol.iterator]();
  let run = iterator.next();
  for (let first = 0; first < clusterCount; first += CLUSTERS_PER_PAGE) {
    const end = Math.min(first + CLUSTERS_PER_PAGE, clusterCount);
    const page = new Uint8Array(Math.ceil((end - first) / 8));
    while (!run.done && run.value.start < end) {
      const from = Math.max(run.value.start, first);
      const to = Math.min(run.value.start + run.value.length, end);
      setBits(page, from - first, to - first);
      if (run.value.start + run.value.length > end) break;
      run = iterator.next();
    }
    yield page;
  }
}

const setBits = (page: Uint8Array, from: number, to: number): void => {
  let bit = from;
  for (; bit < to && bit % 8 !== 0; bit += 1) page[bit >>> 3]! |= 1 << (bit & 7);
  const wholeEnd = to - (to % 8);
  if (bit < wholeEnd) {
    page.fill(0xff, bit >>> 3, wholeEnd >>> 3);
    bit = wholeEnd;
  }
  for (; bit < to; bit += 1) page[bit >>> 3]! |= 1 << (bit & 7);
};

/** The runs of set bits, numbered from `first`. */
export function* bitmapRuns(page: Uint8Array, first: number): Generator<Run> {
  let start = -1;
  for (let byte = 0; byte < page.length; byte += 1) {
    const value = page[byte]!;
    if (value === (start < 0 ? 0 : 0xff)) continue;
    for (let bit = 0; bit < 8; bit += 1) {
      const set = (value & (1 << bit)) !== 0;
      const at = first + byte * 8 + bit;
      if (set && start < 0) start = at;
      else if (!set && start >= 0) {
        yield { start, length: at - start };
        start = -1;
      }
    }
  }
  if (start >= 0) yield { start, length: first + page.length * 8 - start };
}

/** Clusters in use as the stream records them: ascending, joined. Throws `corrupt` (`bitmap.*`). */
export function* readBitmap(
  log: LogReader,
  logOffset: number,
  records: number,
  clusterCount: number,
): Generator<Run> {
  if (records !== Math.ceil(clusterCount / CLUSTERS_PER_PAGE)) {
    throw corrupt('wrong number of pages', {
      code: 'bitmap.pages',
      structure: 'bitmap stream',
      found: records,
    });
  }
  const runs = function* (): Generator<Run> {
    let at = logOffset;
    for (let page = 0; page < records; page += 1) {
      const record = log.record(at);
      if (record.head.stream !== 'bitmap' || record.head.sequence !== page) {
        throw corrupt(`page ${page} is missing`, { code: 'bitmap.page', structure: 'bitmap stream' });
      }
      const first = page * CLUSTERS_PER_PAGE;
      const bits = log.content(record, at);
      const expected = Math.ceil(Math.min(CLUSTERS_PER_PAGE, clusterCount - first) / 8);
      if (bits.length !== expected) {
        throw corrupt(`page ${page} has a wrong length`, {
          code: 'bitmap.page',
          structure: 'bitmap stream',
          expected,
          found: bits.length,
        });
      }
      yield* bitmapRuns(bits, first);
      at += record.length;
    }
  };
  for (const run of coalesce(runs())) {
    const length = Math.min(run.length, clusterCount - run.start);
    if (length > 0) yield { start: run.start, length };
  }
}

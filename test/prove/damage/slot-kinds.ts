import type { Span } from '../../../rescue/bytes/runs.ts';
import { SLOT_HEADER_SIZE } from '../../../rescue/image/layout.ts';
import type { Whole } from './truth.ts';

/** Everything in a container that is not the data itself, as FORMAT.md lists it: each is lost completely, and no data with it. */
type Places = (whole: Whole) => Span[];

const slots =
  (which: (whole: Whole) => readonly number[]): Places =>
  (whole) =>
    which(whole).map((index) => ({ start: whole.homes[index]!, length: whole.slotSize }));

const records =
  (...streams: readonly string[]): Places =>
  (whole) =>
    whole.records.filter(({ stream }) => streams.includes(stream)).flatMap(({ at }) => at);

const both =
  (...all: readonly Places[]): Places =>
  (whole) =>
    all.flatMap((each) => each(whole));

/** A sector of the mutable slots. */
const sector =
  (offset: number, which: (whole: Whole) => readonly number[]): Places =>
  (whole) =>
    which(whole).map((index) => ({ start: whole.homes[index]! + offset, length: 512 }));

const controlCopy =
  (number: 0 | 1): Places =>
  (whole) => [...whole.records.filter(({ stream }) => stream === 'control')[number]!.at];

const INDEX = ['map', 'map index', 'bitmap', 'properties', 'extents'] as const;

export const SLOT_KINDS: Readonly<Record<string, Places>> = {
  'all anchors': slots(({ anchors }) => anchors),
  'all anchors but the last': slots(({ anchors }) => anchors.slice(0, -1)),
  'all journal slots': slots(({ journal }) => journal),
  'all mutable slots': slots(({ mutable }) => mutable),
  'one mutable slot': slots(({ mutable }) => mutable.slice(0, 1)),
  'both commit records': sector(512, ({ mutable }) => mutable),
  'one commit record': sector(512, ({ mutable }) => mutable.slice(1)),
  'the audit record': sector(1024, ({ mutable }) => mutable.slice(0, 1)),
  'headers of all data slots': (whole) =>
    whole.data.map((index) => ({ start: whole.homes[index]!, length: SLOT_HEADER_SIZE })),
  'map pages': records('map'),
  'map index': records('map index'),
  bitmap: records('bitmap'),
  properties: records('properties'),
  'extent table': records('extents'),
  'first control record': controlCopy(0),
  'second control record': controlCopy(1),
  'both control records': records('control'),
  'the whole index': records(...INDEX),
  'anchors and the whole index': both(
    slots(({ anchors }) => anchors),
    records(...INDEX),
  ),
  'anchors and mutable slots': both(
    slots(({ anchors }) => anchors),
    slots(({ mutable }) => mutable),
  ),
  'everything but data records and one control record': both(
    slots(({ anchors, mutable, journal }) => [...anchors, ...mutable, ...journal]),
    records(...INDEX),
    controlCopy(1),
  ),
  'anchors and the first control record': both(
    slots(({ anchors }) => anchors),
    controlCopy(0),
  ),
};

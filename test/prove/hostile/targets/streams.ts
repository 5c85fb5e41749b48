import { bitmapRuns } from '../../../../rescue/image/bitmap.ts';
import { decodeFrame, decodeXzFrame, encodeFrame } from '../../../../rescue/image/codec.ts';
import { encodeControl, parseControl } from '../../../../rescue/image/control.ts';
import { decodeExtents, encodeExtents } from '../../../../rescue/image/extents.ts';
import { PATCH_CHAIN, PATCH_HEAD, PATCH_STEP } from '../../../../rescue/image/layout.ts';
import { decodePatch, encodePatch } from '../../../../rescue/image/patch-coding.ts';
import { parseRecordHead } from '../../../../rescue/image/record.ts';
import { parseSavedTable } from '../../../../rescue/partition/saved.ts';
import { OPERATIONS, PATCH, recordBytes } from '../../../image/made-up.ts';
import { openAt, smallContainer } from '../../../image/small-container.ts';
import { type DiskSeed, diskParser } from '../disk-parser.ts';
import { drain, Outcome } from '../outcome.ts';
import { bytesAt, type Place, placeOf } from '../places.ts';
import { anyParser, type Target } from '../target.ts';

/** What stands behind the checksums: the content of one record, handed to what decodes it. */
const CONTENTS = [
  'control',
  'extents',
  'patch of writes',
  'patch of operations',
  'bitmap',
  'record',
  'zstd',
  'xz',
] as const;

const TEXT = Buffer.from('the kelp grips the rock '.repeat(60));

const contentsOf = (): Readonly<Record<(typeof CONTENTS)[number], Uint8Array>> => {
  const { device, captured } = smallContainer();
  const { control } = openAt(device, captured.homes.homeOf(0));
  return {
    control: encodeControl(control),
    extents: encodeExtents(captured.extents),
    'patch of writes': encodePatch(PATCH),
    'patch of operations': encodePatch(OPERATIONS),
    bitmap: Uint8Array.of(0xff, 0, 1, 0x80, 0x7e, 0, 0, 0xff),
    record: recordBytes(),
    zstd: encodeFrame(TEXT, { codec: 'zstd', level: 1 }).stored,
    xz: encodeFrame(TEXT, { codec: 'xz', level: 1 }).stored,
  };
};

const placesOf = (name: (typeof CONTENTS)[number], length: number): Place[] => {
  const places = [bytesAt(`${name}, bytes`, 0, length), bytesAt(`${name}, words`, 0, length, undefined, 4)];
  if (name.startsWith('patch'))
    places.push(
      placeOf(PATCH_HEAD, 0),
      placeOf(PATCH_STEP, PATCH_HEAD.size),
      placeOf(PATCH_CHAIN, PATCH_HEAD.size + PATCH_STEP.size),
    );
  return places;
};

const decode = (name: string, bytes: Uint8Array, outcome: Outcome): void => {
  switch (name) {
    case 'control': {
      const { table } = parseControl(bytes);
      if (table !== null) parseSavedTable(table);
      return;
    }
    case 'extents':
      for (const count of [1, 3, bytes.length, 0xffff_ffff])
        outcome.try(() => decodeExtents(bytes, count, 512 * 1024, 4096));
      return;
    case 'bitmap':
      drain(bitmapRuns(bytes, 0));
      return;
    case 'record':
      parseRecordHead(bytes, 0);
      return;
    case 'zstd':
      for (const length of [TEXT.length, 1, 256 * 1024])
        outcome.try(() => decodeFrame(bytes, 'zstd', length));
      return;
    default:
      decodePatch(bytes, 2 ** 30);
  }
};

export const STREAMS_TARGET: Target = {
  name: 'streams',
  covers: 'contents of records: control document, extents, bitmap, patches, record heads, zstd and xz frames',
  open: () => {
    const contents = contentsOf();
    const seeds = CONTENTS.map((name): DiskSeed => {
      const bytes = contents[name];
      return { name, bytes, places: placesOf(name, bytes.length), numbers: [2 ** 20, 262144, 1024] };
    });
    return anyParser(
      diskParser(seeds, async (draft, { name }) => {
        const outcome = new Outcome();
        const bytes = draft.read(0, draft.size);
        if (name === 'xz') await outcome.soon(() => decodeXzFrame(bytes, TEXT.length));
        else outcome.try(() => decode(name, bytes, outcome));
        return `${name} ${outcome}`;
      }),
    );
  },
};

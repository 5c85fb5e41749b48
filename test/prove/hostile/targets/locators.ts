import { crc32 } from 'node:zlib';
import { LOCATED_IMAGE, LOCATOR_RECORD, SLOT_HEADER } from '../../../../rescue/image/layout.ts';
import { encodeLocatorRecord, parseLocatorRecord } from '../../../../rescue/image/locator-record.ts';
import { openByRecords } from '../../../../rescue/locate/record.ts';
import { openAt, smallContainer } from '../../../image/small-container.ts';
import { diskParser } from '../disk-parser.ts';
import { Outcome } from '../outcome.ts';
import { type Place, placeOf } from '../places.ts';
import { anyParser, type Target } from '../target.ts';
import { sealSlotAt } from './container-places.ts';

/** Where the record lies: a sector of the boot area. */
const RECORD_AT = 512;

export const LOCATOR_TARGET: Target = {
  name: 'locator',
  covers: 'locator record, and what is opened at the places that it names',
  open: () => {
    const { device, captured } = smallContainer();
    const { homes, identity } = captured;
    const [first, last] = [homes.homeOf(0), homes.homeOf(homes.slotCount - 1)];
    const image = openAt(device, first);
    const one = {
      imageId: identity.imageId,
      generation: identity.generation,
      sequence: 1,
      firstAnchorHome: first,
      lastAnchorHome: last,
      extentsDigest: image.extentsDigest,
      kind: 'user',
      state: 'committed',
    } as const;
    const record = encodeLocatorRecord({
      fileSystem: identity.fileSystem,
      fileSystemUuid: identity.fileSystemUuid,
      serial: 7,
      home: RECORD_AT,
      partitionOffset: identity.partitionOffset,
      partitionSize: identity.partitionSize,
      images: [one, { ...one, firstAnchorHome: last, lastAnchorHome: first, kind: 'factory' }],
      imageTotal: 2,
    });
    device.write(RECORD_AT, record);
    const crcAt = LOCATOR_RECORD.offsetOf('crc');
    const seal: Place['seal'] = (draft) => {
      const crc = new Uint8Array(4);
      new DataView(crc.buffer).setUint32(0, crc32(draft.view(RECORD_AT, crcAt)), true);
      draft.put(RECORD_AT + crcAt, crc);
    };
    const images = RECORD_AT + LOCATOR_RECORD.offsetOf('images');
    const places = [
      placeOf(LOCATOR_RECORD, RECORD_AT, seal),
      placeOf(LOCATOR_RECORD, RECORD_AT, seal),
      ...[0, 1, 2, 3].map((index) => placeOf(LOCATED_IMAGE, images + index * LOCATED_IMAGE.size, seal)),
      placeOf(SLOT_HEADER, first, sealSlotAt(first, homes.slotSize)),
    ];
    const seed = {
      name: 'locator record',
      bytes: device.read(0, device.size),
      places,
      numbers: [first, last, RECORD_AT, homes.slotSize],
    };
    return anyParser(
      diskParser([seed], (draft) => {
        const outcome = new Outcome();
        const parsed = parseLocatorRecord(draft.view(RECORD_AT, 512));
        outcome.note(parsed === undefined ? 'none' : `images-${parsed.images.length}`);
        const { images: opened, notes } = openByRecords(draft, [0]);
        outcome.note(`opened-${opened.length}-notes-${notes.length}`);
        return outcome.toString();
      }),
    );
  },
};

import { readAudit } from '../../../../rescue/image/audit.ts';
import type { Image } from '../../../../rescue/image/image.ts';
import { readJournal } from '../../../../rescue/image/journal.ts';
import { SLOT_HEADER_SIZE } from '../../../../rescue/image/layout.ts';
import { openFromExtents, openFromSlot, openImage, readSlot } from '../../../../rescue/image/reader.ts';
import { hasSlotMagic, parseSlotHeader, payloadIntact } from '../../../../rescue/image/slot.ts';
import { ImageView } from '../../../../rescue/image/view.ts';
import { resolveSiblings } from '../../../../rescue/locate/found.ts';
import { locate } from '../../../../rescue/locate/locate.ts';
import { probeSlots } from '../../../../rescue/locate/probe.ts';
import { parseSavedTable } from '../../../../rescue/partition/saved.ts';
import { diskParser } from '../disk-parser.ts';
import { drain, Outcome } from '../outcome.ts';
import { anyParser, type Target } from '../target.ts';
import { containerSeed } from './container-places.ts';

/** Records and map entries that are read: a forged map may name one again and again, as far as its pages go. */
const MOST_ITEMS = 20_000;

/** All that an image is asked for: its slots, streams, map, content, journal and history. */
const readImage = (image: Image, outcome: Outcome): void => {
  outcome.note(image.state);
  const { homes, identity, mutableHomes } = image;
  for (let index = 0; index < Math.min(homes.slotCount, 64); index += 1)
    outcome.try(() => readSlot(image.device, homes.homeOf(index), identity));
  const log = image.log(4);
  for (const { stream, logOffset, records } of image.streams)
    outcome.try(() => {
      for (let at = logOffset, count = 0; count < Math.min(records, MOST_ITEMS); count += 1) {
        const record = log.record(at);
        if (record.head.codec === 'store' || record.head.codec === 'zstd') log.content(record, at);
        outcome.note(`${stream}-${record.head.stream}`);
        at += record.length;
      }
    });
  outcome.try(() => drain(image.inUse(), MOST_ITEMS));
  outcome.try(() => drain(image.map.entriesFrom(0, 0), MOST_ITEMS));
  outcome.try(() => {
    const view = new ImageView(image);
    for (let at = 0; at < Math.min(view.size, 1024 * 1024); at += 65536)
      view.read(at, Math.min(65536, view.size - at));
  });
  if (image.gaps().length > 0) outcome.note('gaps');
  if (image.indexDamage() !== undefined) outcome.note('index-damage');
  outcome.try(() => image.control.table !== null && parseSavedTable(image.control.table));
  const { journal } = image;
  if (journal !== undefined)
    outcome.try(() => outcome.note(readJournal(image.device, journal)?.purpose ?? 'no-journal'));
  if (mutableHomes !== undefined)
    outcome.try(() =>
      outcome.note(
        readAudit(image.device, mutableHomes, identity.imageId) === undefined ? 'no-audit' : 'audit',
      ),
    );
};

export const LOG_TARGET: Target = {
  name: 'log',
  covers:
    'containers: anchors, log, records, map, bitmap, extents, commit, journal, audit; as a partition and as a file',
  open: () => {
    const seed = containerSeed();
    return anyParser(
      diskParser([seed], (draft) => {
        const outcome = new Outcome();
        let read = false;
        for (const anchorHome of seed.anchors) {
          const image = outcome.try(() => openImage({ device: draft, anchorHome }));
          if (image === undefined || read) continue;
          read = true;
          readImage(image, outcome);
          const found = {
            image,
            start: 0,
            number: undefined,
            state: 'committed',
            reason: undefined,
            foundBy: 'scan',
          } as const;
          outcome.try(() => resolveSiblings(draft, found));
        }
        outcome.try(() => openFromExtents(draft, seed.extents));
        return outcome.toString();
      }),
    );
  },
};

export const SLOT_TARGET: Target = {
  name: 'slot',
  covers: 'slot headers and payloads, as the scan meets them, and what they lead to',
  open: () => {
    const seed = containerSeed();
    const home = seed.anchors[0]!;
    const { bytes } = seed;
    const places = seed.places.filter(({ kind }) => kind === 'slot header' || kind === 'anchor');
    return anyParser(
      diskParser([{ ...seed, name: 'slots', places }], (draft) => {
        const outcome = new Outcome();
        for (const { at, kind } of places) {
          if (kind !== 'slot header' || !hasSlotMagic(draft.view(at, SLOT_HEADER_SIZE))) continue;
          outcome.try(() => {
            const header = parseSlotHeader(draft.view(at, SLOT_HEADER_SIZE), at);
            outcome.note(header.kind);
            if (!payloadIntact(draft.view(at, header.slotSize), header)) outcome.note('payload');
            if (header.kind === 'anchor' && at === home) openFromSlot(draft, header);
          });
        }
        const sectors = Uint8Array.from(draft.view(bytes.length - 65536, 65536));
        const words = new Uint32Array(sectors.buffer);
        probeSlots(words, sectors, bytes.length - 65536, [], ({ error }) => outcome.note(error.detail.code));
        return outcome.toString();
      }),
    );
  },
};

export const LADDER_TARGET: Target = {
  name: 'ladder',
  covers: 'the search over raw bytes, all rungs: scan, reassembly, judgement of what was found',
  open: () =>
    anyParser(
      diskParser([containerSeed()], (draft) => {
        const outcome = new Outcome();
        outcome.try(() => {
          const ladder = locate({
            device: draft,
            diskOffset: 0,
            table: undefined,
            depth: 'full',
            rotational: false,
          });
          let step = ladder.next();
          for (; step.done !== true; step = ladder.next());
          for (const { image, state, foundBy } of step.value.images) {
            outcome.note(`${state}-${foundBy}`);
            if (foundBy === 'reassembly') readImage(image, outcome);
          }
        });
        return outcome.toString();
      }),
    ),
};

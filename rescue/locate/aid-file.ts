import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { MAX_COUNTER, MAX_TIME } from '../image/layout.ts';
import { formatBytes, formatSeconds } from '../units.ts';
import type { Aid } from './aid.ts';

/**
 * The recovery aid: a text file that a person can read, and a part in it that the program reads. Its form stands in
 * `image/FORMAT.md`. Whatever is in it is checked before it is used, and used to look at places only.
 */

/** Bytes of an aid file at most. */
export const MAX_AID_LENGTH = 1024 * 1024;
/** What it starts with. */
const TITLE = 'HOLDFAST RECOVERY AID';
const BEGIN = '-----BEGIN HOLDFAST RECOVERY AID-----';
const END = '-----END HOLDFAST RECOVERY AID-----';
/** Images, anchors and extents that it names at most. */
const MAX_IMAGES = 16;
export const MAX_AID_ANCHORS = 64;
export const MAX_AID_EXTENTS = 4096;

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const counter = v.pipe(natural, v.maxValue(MAX_COUNTER));
const short = v.pipe(v.string(), v.maxLength(256));
const home = v.pipe(natural, v.multipleOf(512));
const hex = (digits: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${digits}}$`)));

const schema = v.object({
  format: v.literal(1),
  disk: v.object({
    /** 0: unknown. */
    size: natural,
    sectorSize: positive,
    model: v.nullable(short),
    serial: v.nullable(short),
  }),
  partition: v.object({
    offset: natural,
    size: positive,
    number: v.nullable(positive),
    uuid: v.nullable(short),
  }),
  fileSystem: v.object({ kind: short, label: short, uuid: short }),
  images: v.pipe(
    v.array(
      v.object({
        id: hex(32),
        generation: counter,
        sequence: counter,
        kind: short,
        name: short,
        created: v.pipe(natural, v.maxValue(MAX_TIME)),
        slotSize: positive,
        /** In the order in which to try. */
        anchors: v.pipe(v.array(home), v.minLength(1), v.maxLength(MAX_AID_ANCHORS)),
        extentCount: positive,
        /** The first ones, start and length, in slot order. */
        extents: v.pipe(v.array(v.tuple([home, positive])), v.maxLength(MAX_AID_EXTENTS)),
        extentsDigest: hex(64),
      }),
    ),
    v.minLength(1),
    v.maxLength(MAX_IMAGES),
  ),
});

export type AidDocument = v.InferOutput<typeof schema>;
export type AidImage = AidDocument['images'][number];

const digestOf = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/** Names come from a disk: nothing in them may look like another line of the file. */
const shown = (text: string): string =>
  `"${text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '?')}"`.replaceAll('-----', '- - -');

const imageLines = (image: AidImage, { offset }: AidDocument['partition']): string[] => {
  const most = 16;
  const rest = image.extentCount - Math.min(most, image.extents.length);
  return [
    `Image ${image.id}`,
    `  name         ${shown(image.name)}, ${image.kind} image, number ${image.sequence}`,
    `  made         ${formatSeconds(image.created)}`,
    `  anchors      at byte ${image.anchors.map((each) => offset + each).join(', ')} of the disk`,
    `  pieces       ${image.extentCount}, each from a byte of the disk on, in this order:`,
    ...image.extents
      .slice(0, most)
      .map(([start, length]) => `               ${offset + start}, ${length} bytes`),
    ...(rest > 0 ? [`               and ${rest} more`] : []),
    '',
  ];
};

const part = (text: string | null): string => (text === null ? 'unknown' : shown(text));

/** The whole file. `time`: seconds since 1970. */
export const formatAid = (document: AidDocument, time: number): string => {
  const { disk, partition, fileSystem, images } = v.parse(schema, document);
  // Pairs stay on one line.
  const json = `${JSON.stringify(document, null, 1).replace(/\[\s+(\d+),\s+(\d+)\s+\]/g, '[$1, $2]')}\n`;
  return [
    TITLE,
    '',
    'This file says where the images of one partition lie on its disk, so that they are found at once when',
    'nothing else is left that says so: no partition table, no file system. It holds none of the data. Keep',
    'it on another disk, on a stick, or print it. It was true when it was written, and is of use until the',
    'images are made anew.',
    '',
    `Written        ${formatSeconds(time)}`,
    `Disk           model ${part(disk.model)}, serial ${part(disk.serial)}, ${disk.size === 0 ? 'size unknown' : `${formatBytes(disk.size)} (${disk.size} bytes)`}`,
    `Partition      ${partition.number ?? 'without a number'}, at byte ${partition.offset}, ${formatBytes(partition.size)} (${partition.size} bytes)`,
    `File system    ${shown(fileSystem.kind)}, label ${shown(fileSystem.label)}, UUID ${shown(fileSystem.uuid)}`,
    '',
    ...images.flatMap((image) => imageLines(image, partition)),
    'How to use it: start the Holdfast rescue medium, or any system with holdfast, with the disk in the',
    'machine, and give the name of the disk (such as /dev/sda) and of this file:',
    '',
    '    holdfast list DISK --aid FILE',
    '    holdfast restore DISK --aid FILE',
    '',
    'Without this file, the same commands find the images by searching the disk.',
    '',
    'The program reads what follows. Lines above may be changed or added to, these not.',
    BEGIN,
    `${json}${END}`,
    `SHA-256 ${digestOf(json)}`,
    '',
  ].join('\n');
};

/** Whether a file starts like a recovery aid, whatever is behind. */
export const isAidFile = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.subarray(0, 64))
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .startsWith(TITLE);

const between = (text: string): { readonly json: string; readonly digest: string } | undefined => {
  const begin = text.indexOf(`\n${BEGIN}\n`);
  if (begin < 0) return undefined;
  const from = begin + BEGIN.length + 2;
  const end = text.indexOf(`\n${END}\n`, from);
  if (end < 0) return undefined;
  const digest = /^SHA-256 ([0-9a-f]{64})\s*$/m.exec(text.slice(end + END.length + 2))?.[1];
  return digest === undefined ? undefined : { json: text.slice(from, end + 1), digest };
};

/**
 * Reads a recovery aid; `bytes` begin like one. A fault is said in words for people: what is not whole is not used, and no reason
 * to end. Mail and editors may have changed the ends of lines.
 */
export const parseAid = (bytes: Uint8Array): AidDocument | { readonly fault: string } => {
  const text = Buffer.from(bytes).toString('utf8').replaceAll('\r\n', '\n');
  const found = between(text);
  if (found === undefined) return { fault: 'the part that the program reads is not there' };
  if (digestOf(found.json) !== found.digest) return { fault: 'it does not match its checksum' };
  let json: unknown;
  try {
    json = JSON.parse(found.json);
  } catch {
    return { fault: 'the part that the program reads is no JSON' };
  }
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const where = v.getDotPath(issue) ?? 'document';
  return { fault: where === 'format' ? 'it was written by a newer version' : `${where}: ${issue.message}` };
};

/** What the search uses of it. */
export const aidOf = ({ partition, images }: AidDocument): Aid => ({
  partition,
  images: images.map(({ id, generation, anchors, extentsDigest }) => ({
    id,
    generation,
    anchorHomes: anchors,
    extentsDigest: Buffer.from(extentsDigest, 'hex'),
  })),
});

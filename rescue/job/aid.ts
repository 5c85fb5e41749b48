import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { deviceNumber } from '../device/block-facts.ts';
import { footingOf } from '../device/footing.ts';
import { usage } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { ANCHOR_INTERVAL } from '../image/layout.ts';
import type { Aid } from '../locate/aid.ts';
import {
  type AidDocument,
  type AidImage,
  aidOf,
  formatAid,
  isAidFile,
  MAX_AID_ANCHORS,
  MAX_AID_EXTENTS,
  MAX_AID_LENGTH,
  parseAid,
} from '../locate/aid-file.ts';
import { type Found, resolveSiblings } from '../locate/found.ts';
import type { JobContext } from './context.ts';
import type { Subject } from './subject.ts';

const { O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

const misuse = (option: '--aid' | '--aid-out', path: string, reason: string, code: string, cause?: unknown) =>
  usage(`${option} ${path}: ${reason}`, { code: `aid.${code}`, ...(cause === undefined ? {} : { cause }) });

/** The bytes of a small regular file; undefined for one that is longer than any aid. */
const readSmall = (path: string): Uint8Array | undefined => {
  // Opening a pipe would wait for somebody to write to it.
  const handle = openSync(path, O_RDONLY | O_NONBLOCK);
  try {
    if (!fstatSync(handle).isFile()) return undefined;
    const bytes = new Uint8Array(MAX_AID_LENGTH + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(handle, bytes, length, bytes.length - length, null);
    return length > MAX_AID_LENGTH ? undefined : bytes.subarray(0, length);
  } finally {
    closeSync(handle);
  }
};

const isKnown = (text: string | null | undefined): text is string =>
  text !== null && text !== undefined && text !== '';

/** Why an aid may be that of another disk. */
const otherDisk = (
  { disk }: AidDocument,
  identity: Pick<Subject['target']['identity'], 'model' | 'serial'>,
): string | undefined => {
  for (const what of ['serial', 'model'] as const) {
    const [theirs, ours] = [disk[what], identity[what]];
    if (isKnown(theirs) && isKnown(ours) && theirs !== ours) return `${what} ${theirs}, this one has ${ours}`;
  }
  return undefined;
};

/**
 * Reads the recovery aid at `path`. One that is damaged or of another disk is said, and the search goes on.
 * Throws `usage` (`aid.missing`, `aid.not-aid`) for a file that is none.
 */
export const readAid = (
  context: JobContext,
  path: string,
  identity: Pick<Subject['target']['identity'], 'model' | 'serial'>,
): Aid | { readonly fault: string } => {
  let bytes: Uint8Array | undefined;
  try {
    bytes = readSmall(path);
  } catch (error) {
    throw misuse('--aid', path, `cannot be read (${codeOf(error)})`, 'missing', error);
  }
  if (bytes === undefined || !isAidFile(bytes))
    throw misuse('--aid', path, 'not a recovery aid file', 'not-aid');
  const document = parseAid(bytes);
  if ('fault' in document) {
    context.note(`The recovery aid ${path} is not used: ${document.fault}.`, 'warning');
    return { fault: `not used: ${document.fault}` };
  }
  const other = otherDisk(document, identity);
  if (other !== undefined) {
    context.note(
      `The recovery aid ${path} was written for another disk (${other}): it is tried all the same.`,
      'warning',
    );
  }
  return aidOf(document);
};

/** Anchors in the order in which to try them: the first, the last, then those between, thinned out if they are many. */
const anchorsOf = ({ homes }: Image): number[] => {
  const { slotCount } = homes;
  const between = Math.floor((slotCount - 2) / ANCHOR_INTERVAL);
  const step = Math.max(1, Math.ceil(between / (MAX_AID_ANCHORS - 2)));
  const indices = [0, slotCount - 1];
  for (let number = step; number <= between; number += step) indices.push(number * ANCHOR_INTERVAL);
  return indices.map((index) => homes.homeOf(index));
};

const imageOf = (image: Image): AidImage => ({
  id: image.id,
  generation: image.identity.generation,
  sequence: image.commit?.sequence ?? image.control.sequence,
  kind: image.control.kind,
  name: image.control.name,
  created: image.control.created,
  slotSize: image.identity.slotSize,
  anchors: anchorsOf(image),
  extentCount: image.extents.length,
  extents: image.extents.slice(0, MAX_AID_EXTENTS).map(({ start, length }) => [start, length]),
  extentsDigest: Buffer.from(image.extentsDigest).toString('hex'),
});

/** The image that was chosen and the others of its partition, as an aid names them. */
const documentOf = (
  found: Found,
  { device, diskOffset, target }: Pick<Subject, 'device' | 'diskOffset' | 'target'>,
): AidDocument => {
  const { image, start } = found;
  const { control } = image;
  const siblings = resolveSiblings(device, found).siblings.filter((each) => each.start === start);
  return {
    format: 1,
    disk: {
      size: control.disk?.size ?? (target.kind === 'partition' ? 0 : target.identity.size),
      sectorSize: image.identity.sectorSize,
      model: target.identity.model ?? control.disk?.model ?? null,
      serial: target.identity.serial ?? control.disk?.serial ?? null,
    },
    partition: {
      offset: start + diskOffset,
      size: image.identity.partitionSize,
      number: found.number ?? control.partition.number,
      uuid: control.partition.uuid,
    },
    fileSystem: {
      kind: control.fileSystem.kind,
      label: control.fileSystem.label,
      uuid: control.fileSystem.uuid,
    },
    images: [image, ...siblings.map((each) => each.image)].map(imageOf),
  };
};

/**
 * Throws `usage` (`aid.exists`, `aid.target`) unless an aid may be written at `path`: a file that is something else is not
 * written over. Returns the path to write to, links followed.
 */
export const checkAidOut = (path: string, target: string): string => {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return path;
  const theirs = statSync(target, { throwIfNoEntry: false });
  if (theirs !== undefined && theirs.dev === found.dev && theirs.ino === found.ino)
    throw misuse('--aid-out', path, 'this is what the command works on', 'target');
  let bytes: Uint8Array | undefined;
  try {
    bytes = found.isFile() ? readSmall(path) : undefined;
  } catch (error) {
    throw misuse('--aid-out', path, `cannot be read (${codeOf(error)})`, 'exists', error);
  }
  if (bytes !== undefined && isAidFile(bytes)) return realpathSync(path);
  throw misuse('--aid-out', path, 'it is there already, and is no recovery aid', 'exists');
};

/** Whether a file at `path` lies on the disk that `target` is or is a part of, as far as the kernel says. */
const liesOn = (path: string, target: string): boolean => {
  const { dev } = statSync(dirname(resolve(path)), { bigint: true });
  try {
    // The kernel has a folder for each block device, by number.
    const folder = realpathSync(`/sys/dev/block/${deviceNumber(dev)}`);
    return (
      footingOf(`/dev/${folder.split('/').at(-1)!.replaceAll('!', '/')}`).base === footingOf(target).base
    );
  } catch {
    // Not on a block device, or it is not known on which.
    return false;
  }
};

/** Writes a recovery aid for the image that was found, whole or not at all. Throws `usage` (`aid.out`, `aid.exists`). */
export const writeAid = (
  context: JobContext,
  path: string,
  found: Found,
  subject: Pick<Subject, 'device' | 'diskOffset' | 'target'>,
): void => {
  const place = checkAidOut(path, subject.target.path);
  const text = Buffer.from(formatAid(documentOf(found, subject), context.now));
  const made = `${place}.${process.pid}.new`;
  try {
    const handle = openSync(made, O_WRONLY | O_CREAT | O_EXCL, 0o644);
    try {
      for (let done = 0; done < text.length; ) done += writeSync(handle, text, done);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(made, place);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') rmSync(made, { force: true });
    throw misuse('--aid-out', path, `cannot be written (${codeOf(error)})`, 'out', error);
  }
  if (liesOn(place, subject.target.path)) {
    context.note(
      `${path} lies on the disk that it is to help with: copy it to another one, or it is lost with the disk.`,
      'warning',
    );
  }
};

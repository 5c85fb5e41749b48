import { createHash } from 'node:crypto';
import { type HoldfastError, isHoldfastError, refused } from '../errors.ts';
import type { Problem } from '../fs/filesystem.ts';
import { probeFileSystem } from '../fs/probe.ts';
import { readAudit } from '../image/audit.ts';
import type { Image } from '../image/image.ts';
import { recordLength } from '../image/record.ts';
import { parseSlotHeader, payloadIntact } from '../image/slot.ts';
import { openChosen } from './chosen.ts';
import { JobContext, type JobOptions } from './context.ts';
import { forEachSlot } from './read-back.ts';
import { placeOfSlot } from './removal.ts';
import { lostCommits, repairOn } from './repair.ts';
import type { VerifyRequest, VerifyResult } from './results.ts';
import { bitmapDamage } from './salvage.ts';
import { openPartition } from './subject.ts';
import { statsOf, summarise } from './summary.ts';
import { watchingWrites } from './unfinished.ts';
import { verifyFrames } from './verify-image.ts';
import { clusterRuns, openWith } from './volume.ts';

/** Problems that a report lists; more are only counted. */
const LIMIT = 100;

class Report {
  readonly problems: Problem[] = [];
  #more = 0;

  add(code: string, message: string, where: string): void {
    if (this.problems.length < LIMIT) this.problems.push({ code, message, where });
    else this.#more += 1;
  }

  finished(): readonly Problem[] {
    if (this.#more === 0) return this.problems;
    return [
      ...this.problems,
      { code: 'verify.more', message: `${this.#more} more problems`, where: 'the image' },
    ];
  }
}

/**
 * Checks slots, frames, index, and that the file system lists every cluster of the container. Never writes, unless it is told to
 * repair: then what was found is mended as far as that goes, and all is checked again.
 */
export const verify = async (request: VerifyRequest, options: JobOptions = {}): Promise<VerifyResult> => {
  const context = new JobContext(options);
  try {
    const first = await examine(context, request);
    if (!request.repair) return first;
    const { repaired, bytesWritten } = await repair(context, request, first);
    const { id } = first.image;
    const second = await examine(context, { ...request, image: id });
    return { ...second, stats: { ...second.stats, bytesWritten }, repaired };
  } finally {
    await context.close();
  }
};

const examine = async (context: JobContext, request: VerifyRequest): Promise<VerifyResult> => {
  const chosen = await openChosen(context, request);
  try {
    const { image, state, reason } = chosen.found;
    const report = new Report();
    if (state !== 'committed')
      report.add(`image.${state}`, reason ?? `the image is ${state}`, `image ${image.id}`);
    await verifySlots(context, image, chosen.fromFile, report);
    verifyMutable(context, image, report);
    verifyStreams(image, report);
    await verifyContent(context, image, report);
    if (!chosen.fromFile && image.displaced !== true) verifyClaim(context, image, report);
    return {
      target: request.target,
      image: summarise(chosen.found),
      stats: statsOf(context, image, chosen.traffic()),
      problems: report.finished(),
    };
  } finally {
    chosen.close();
  }
};

/** Throws `usage` for a container file, `refused` where the volume or the image may not be written. */
const repair = async (
  context: JobContext,
  { target, partition: asked }: VerifyRequest,
  { image }: VerifyResult,
): Promise<{ readonly repaired: string[]; readonly bytesWritten: number }> => {
  const number = asked ?? image.partition.number ?? undefined;
  const whole = image.partition.offset === 0;
  const partition = openPartition(target, { partition: whole ? asked : number, write: true });
  try {
    if (partition.offset !== image.partition.offset) {
      throw refused(`image ${image.id.slice(0, 8)} does not lie in a partition that ${target} lists`, {
        code: 'not-in-partition',
        expected: `a partition that begins at byte ${image.partition.offset}`,
        found: `one that begins at byte ${partition.offset}`,
        wayOut: 'Bring the partition back first with restore; or name the partition itself.',
      });
    }
    const access = { ...partition, identity: partition.subject.target.identity };
    const repaired = await watchingWrites(partition.device, AGAIN, (device) =>
      repairOn(context, { ...access, device }, image.id),
    );
    return { repaired, bytesWritten: partition.traffic().bytesWritten };
  } finally {
    partition.close();
  }
};

const AGAIN = 'Run the same command again: it goes on where this one stopped.';

/** What the mutable area has twice, once or not at all. */
const verifyMutable = (context: JobContext, image: Image, report: Report): void => {
  const lost = lostCommits(image.device, image);
  if (lost === 1 && image.commit !== undefined)
    report.add('commit.copy', 'one of the two commit records is lost', 'the mutable area of the image');
  if (image.mutableHomes === undefined) return;
  if (readAudit(image.device, image.mutableHomes, image.identity.imageId) === undefined)
    context.note('The image has no history; verify --repair begins it anew.');
};

const verifySlots = (context: JobContext, image: Image, fromFile: boolean, report: Report): Promise<void> => {
  const where = (index: number, home: number): string => `slot ${index} at byte ${home}`;
  const placeOf = (index: number, home: number): number =>
    image.displaced === true ? placeOfSlot(image, index) : home;
  const check = (index: number, home: number, slot: Uint8Array): void => {
    try {
      const header = parseSlotHeader(slot, home);
      const { imageId, generation } = image.identity;
      if (
        Buffer.compare(header.imageId, imageId) !== 0 ||
        (header.generation !== generation && image.displaced !== true) ||
        header.index !== index
      ) {
        report.add('slot.foreign', 'another slot stands here', where(index, home));
      } else if (!fromFile && header.home !== placeOf(index, home)) {
        report.add('slot.moved', `its home is byte ${header.home}`, where(index, home));
      } else if (!payloadIntact(slot, header)) {
        report.add('slot.payload', 'the payload does not match its CRC-32', where(index, home));
      }
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      report.add(error.detail.code, error.message, where(index, home));
    }
  };
  return forEachSlot(context, 'verify-slots', image.device, image.homes, check, (index, home, error) => {
    report.add('slot.unreadable', error.message, where(index, home));
  });
};

/** Every frame, through the index; where that is damaged, through the records themselves. */
const verifyContent = async (context: JobContext, image: Image, report: Report): Promise<void> => {
  const damaged = (code: string, error: HoldfastError | undefined, what: string): void => {
    if (error !== undefined) report.add(code, error.message, what);
  };
  damaged('index.bitmap', bitmapDamage(image), 'which clusters were in use');
  try {
    await verifyFrames(context, image, image.control.spaces, ({ extents, reason: why }) => {
      const [first] = extents;
      const where = first === undefined ? 'log' : `clusters at byte ${first.start} of the partition`;
      report.add('frame.damaged', why, where);
    });
  } catch (error) {
    if (!isHoldfastError(error, 'corrupt')) throw error;
    report.add(error.detail.code, error.message, 'the cluster map');
  }
  damaged('index.map', image.indexDamage(), 'the cluster map');
};

/** Each stream of the log: as many records as its head says, with the digests it says. */
const verifyStreams = (image: Image, report: Report): void => {
  const log = image.log();
  const seen = new Map<string, { records: number; digest: ReturnType<typeof createHash> }>();
  let at = 0;
  try {
    while (at < log.length) {
      // The head alone: the frames are checked by the workers.
      const head = log.head(at);
      const length = recordLength(head.runs.length, head.storedLength);
      const stream = seen.get(head.stream) ?? { records: 0, digest: createHash('sha256') };
      if (head.sequence !== stream.records) {
        report.add(
          'log.sequence',
          `record ${stream.records} of stream ${head.stream} is missing`,
          `log position ${at}`,
        );
      }
      stream.records += 1;
      stream.digest.update(head.digest);
      seen.set(head.stream, stream);
      at += length;
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    report.add(error.detail.code, error.message, `log position ${at}`);
    return;
  }
  for (const { stream, records, digest } of image.streams) {
    const found = seen.get(stream);
    if (found?.records !== records || Buffer.compare(found.digest.digest(), digest) !== 0) {
      report.add('stream.digest', `stream ${stream} is not what the anchors say`, 'log');
    }
  }
};

/**
 * The file system must list exactly the container's clusters; a volume that cannot be read is a problem of its own. Where there
 * is none any more, as after a disaster, the image is none the worse for it.
 */
const verifyClaim = (context: JobContext, image: Image, report: Report): void => {
  const where = 'the file system in the partition';
  try {
    const probed = probeFileSystem(image.device);
    if (!('driver' in probed)) {
      context.note(
        `The partition holds no file system that lists the image (found: ${probed.other}); a restore brings it back.`,
        'warning',
      );
      return;
    }
    const fileSystem = openWith(probed.driver, image.device);
    const { clusterSize, clusterBase } = fileSystem.geometry;
    const own = JSON.stringify(clusterRuns(image.extents, clusterSize, clusterBase));
    const listed = fileSystem.containers().some(({ runs }) => {
      const extents = runs.map(({ start, length }) => ({
        start: clusterBase + start * clusterSize,
        length: length * clusterSize,
      }));
      return JSON.stringify(clusterRuns(extents, clusterSize, clusterBase)) === own;
    });
    if (!listed)
      report.add('claim.missing', 'no file in /.holdfast has exactly the clusters of the image', where);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    report.add('claim.unreadable', error.message, where);
  }
};

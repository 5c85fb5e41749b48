import { SpanSet } from '../bytes/runs.ts';
import { refused } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { ImageView } from '../image/view.ts';
import type { Found } from '../locate/found.ts';
import type { TablePlan } from '../partition/plan.ts';
import type { Extent } from '../units.ts';
import { planCompanions, refuseTableOverImage } from './companions.ts';
import { JobContext, type JobOptions } from './context.ts';
import type { RestorePlace } from './destination.ts';
import { restoreIntent } from './intents.ts';
import { Losses } from './losses.ts';
import { type LostNames, nameLosses } from './lost-files.ts';
import { LostView } from './lost-view.ts';
import { checkMoves } from './make-way.ts';
import { planDiskTable, planSalvagedView, planView } from './restore-plan.ts';
import { findSource, openPlace, type RestoreSource } from './restore-source.ts';
import { type WriteProgress, writeRestored } from './restore-write.ts';
import { type RestoreRequest, type RestoreResult, UnfinishedError } from './results.ts';
import { forSalvage } from './salvage.ts';
import { Standing } from './standing.ts';
import { statsOf, summarise } from './summary.ts';
import { requireWhole, verifyFrames } from './verify-image.ts';
import { decodeXzBlocking } from './xz-blocking.ts';

/** Brings a partition back from an image; in place, the image and its siblings survive untouched. */
export const restore = async (request: RestoreRequest, options: JobOptions = {}): Promise<RestoreResult> => {
  const context = new JobContext(options);
  const closers: (() => void)[] = [];
  try {
    const asFound = await findSource(context, request, closers);
    const source = request.salvage ? forSalvage(asFound, (text) => context.note(text, 'warning')) : asFound;
    const place = await openPlace(context, request, source);
    closers.push(() => place.close());
    context.origin = place.start;
    const result = await restoreTo(context, request, source, place);
    closers.pop()!();
    if (result.written && (result.tableChanged || result.companions.length > 0)) {
      const trouble = place.reread();
      if (trouble !== undefined) {
        context.note(
          `The kernel did not take over the new partition table (${trouble}): restart the machine.`,
          'warning',
        );
      }
    }
    const traffic = place.traffic();
    const read = source.subject.device.traffic.bytesRead;
    return {
      target: request.target,
      image: summarise(source.chosen),
      stats: statsOf(context, source.chosen.image, { ...traffic, bytesRead: traffic.bytesRead + read }),
      partitionTable: result.table,
      ...(result.companions.length === 0 ? {} : { companions: result.companions }),
      imagesKept: source.kept.map((each) => each.image.id),
      written: result.written,
      lost: result.lost,
      lostFrames: result.lostFrames,
      lostBytes: result.lostBytes,
      ...(result.lostNames === undefined ? {} : { lostNames: result.lostNames }),
      ...(result.unlisted === undefined ? {} : { unlisted: result.unlisted }),
    };
  } finally {
    for (const close of closers.reverse()) close();
    await context.close();
  }
};

const UNFINISHED: Readonly<Record<WriteProgress['stage'], string>> = {
  standing: 'is as it was but for free clusters, and all images are untouched.',
  destroyed: 'is half restored and cannot be mounted; the image is untouched.',
  back: 'is restored, but for notes in the images.',
};

interface Outcome {
  readonly written: boolean;
  readonly table: RestoreResult['partitionTable'];
  readonly companions: readonly string[];
  readonly tableChanged: boolean;
  readonly lost: readonly Extent[];
  readonly lostFrames: number;
  readonly lostBytes: number;
  readonly lostNames?: LostNames;
  readonly unlisted?: string;
}

const noteIndex = (context: JobContext, image: Image): void => {
  const damage = image.indexDamage();
  if (damage === undefined) return;
  context.note(
    `The index of the image is damaged (${damage.message}); its data records say themselves where they belong.`,
    'warning',
  );
};

/** The same with source and place open: everything is checked and planned before the first write. */
export const restoreTo = async (
  context: JobContext,
  request: Pick<RestoreRequest, 'salvage' | 'verifyAfter' | 'dryRun' | 'confirm' | 'companions'>,
  source: Pick<RestoreSource, 'chosen' | 'kept' | 'found' | 'reading'> &
    Partial<Pick<RestoreSource, 'dropped'>>,
  place: RestorePlace,
): Promise<Outcome> => {
  const { image } = source.chosen;
  refuseGaps(source.chosen, request.salvage);
  const table = planPlaceTable(place, source);
  refuseTableOverImage(place, table);
  const companions = await planCompanions(context, image, place, table, request.companions ?? false);
  const own = image.control.spaces.filter((each) => each.of === 'partition');
  const lost = new Losses(place.start);
  const needed = [...own, ...companions.writes.map(({ space }) => space)];
  const standing = place.isNew
    ? undefined
    : new Standing(place.partition, new SpanSet(image.control.geometry.recognition));
  await verifyFrames(context, image, needed, (each) => lost.add(each), standing);
  noteIndex(context, image);
  if (!request.salvage) requireWhole(lost, image);
  const view = new LostView(new ImageView(image, decodeXzBlocking), lost.partition);
  const names =
    lost.count === 0 ? undefined : nameLosses(image.control.fileSystem.kind, view, lost.partition);
  const survivors = source.kept.map((each) => each.image);
  const ground = { partition: place.partition, found: beside(source) };
  const diskOffset = (place.subject?.diskOffset ?? 0) + place.start;
  const final =
    lost.count === 0
      ? planView(context, image, survivors, ground, diskOffset)
      : planSalvagedView(context, image, survivors, ground, diskOffset, lost.partition);
  const unlisted = survivors.length === 0 ? undefined : final.unlisted?.reason;
  await checkMoves(context, image, final.moves);
  const damage = { lost, names, unlisted };
  const agreed = await request.confirm(restoreIntent(source, place, table, companions, damage, final.moves));
  if (!agreed) throw refused('not confirmed: nothing was written', { code: 'unconfirmed' });
  const outcome = {
    table: place.isNew ? 'none' : table === undefined || table.action === 'none' ? 'kept' : table.action,
    companions: companions.writes.map(({ name }) => name),
    tableChanged: table !== undefined && table.patch.phases.length > 0,
    lost: lost.places,
    lostFrames: lost.count,
    lostBytes: lost.bytes,
    ...(names === undefined ? {} : { lostNames: names }),
    ...(unlisted === undefined ? {} : { unlisted }),
  } as const;
  if (request.dryRun) return { ...outcome, written: false };
  await context.checkpoint();
  const progress: WriteProgress = { stage: 'standing' };
  try {
    const dropped = [...(source.dropped ?? []), ...place.destroyed]
      .filter(({ start }) => start === place.start)
      .map((each) => each.image);
    const { moves } = final;
    const plan = { final, table, companions: companions.writes, lost, moves, standing, dropped };
    await writeRestored(context, request.verifyAfter, source, place, progress, plan);
  } catch (error) {
    throw new UnfinishedError(
      error as Error,
      `${place.path} ${UNFINISHED[progress.stage]} Run the same command again.`,
    );
  }
  return { ...outcome, written: true };
};

/** What else lies in the partition and is not to be destroyed: leftovers of the images that are kept among it. */
const beside = ({ chosen, kept, found }: Pick<RestoreSource, 'chosen' | 'kept' | 'found'>): Image[] =>
  found
    .filter(({ start, image, state }) => {
      const isKept = kept.some((each) => each.image.id === image.id);
      return start === chosen.start && (isKept || state === 'prepared');
    })
    .map(({ image }) => image);

const refuseGaps = (chosen: Found, salvage: boolean): void => {
  if (salvage || chosen.state !== 'damaged' || chosen.foundBy !== 'reassembly') return;
  throw refused(`parts of image ${chosen.image.id.slice(0, 8)} are lost: ${chosen.reason}`, {
    code: 'gaps',
    wayOut: 'What is left can be restored with --salvage.',
  });
};

const planPlaceTable = (
  place: RestorePlace,
  source: Pick<RestoreSource, 'chosen' | 'found'>,
): TablePlan | undefined => {
  if (place.disk === undefined) return undefined;
  const others = source.found.filter((each) => each !== source.chosen && each.state === 'committed');
  return planDiskTable(place.disk, place.table, { image: source.chosen.image, start: place.start }, others);
};

import { normalise, SpanSet, subtract } from '../bytes/runs.ts';
import type { Guard } from '../device/guard.ts';
import { refused } from '../errors.ts';
import type { FileSystem } from '../fs/filesystem.ts';
import type { Patch } from '../fs/patch.ts';
import { appendAudit } from '../image/audit.ts';
import { nextOf } from '../image/commit.ts';
import type { WrittenContainer } from '../image/ending.ts';
import type { Image } from '../image/image.ts';
import { clearJournal, journalLength, writeJournal } from '../image/journal.ts';
import { PREFERRED_EXTENT } from '../image/placement.ts';
import { openImage } from '../image/reader.ts';
import { formatImageId } from '../image/slot.ts';
import { ContainerWriter } from '../image/writer.ts';
import type { Extent, Run } from '../units.ts';
import { applyPatch } from './apply.ts';
import { captureAll } from './capture.ts';
import type { JobContext } from './context.ts';
import type { CreatePlan } from './create-plan.ts';
import { containerName, controlOf, newImageId, slotIdentity } from './identity.ts';
import { readBackContainer } from './read-back.ts';
import { type CreateRequest, UnfinishedError } from './results.ts';
import { commitImage } from './siblings.ts';
import { clusterRuns, mutableExtents, type PartitionAccess } from './volume.ts';

/** What the new image says of itself, in its control stream and in every slot. */
export const describeImage = (
  context: JobContext,
  access: PartitionAccess,
  plan: CreatePlan,
  request: Pick<CreateRequest, 'kind' | 'name' | 'codec'>,
  imageId: Uint8Array,
) => {
  const sequence = nextOf(plan.above, 'sequence number');
  const control = controlOf(access, plan.fileSystem, {
    imageId,
    kind: request.kind,
    name: request.name ?? defaultName(context.now),
    sequence,
    created: context.now,
    codec: { name: request.codec.codec, level: request.codec.level },
    containers: plan.listed.map(({ name }) => name),
  });
  return { control, identity: slotIdentity(access, plan.fileSystem, imageId, plan.placement.slotSize) };
};

const defaultName = (now: number): string =>
  new Date(now * 1000).toISOString().slice(0, 16).replace('T', ' ');

/** The patch that makes the volume list the container. */
export const claimPatch = (
  context: JobContext,
  plan: CreatePlan,
  name: string,
  extents: readonly Extent[],
): Patch => {
  const { clusterSize, clusterBase } = plan.fileSystem.geometry;
  const runs = clusterRuns(extents, clusterSize, clusterBase);
  const avoid = new SpanSet(runs);
  return plan.driver.patch(plan.view, (editor) => {
    plan.driver.claim(editor, { name, runs, time: context.now, avoid });
  });
};

export interface Written {
  readonly container: WrittenContainer;
  readonly imageId: Uint8Array;
  readonly name: string;
  readonly sequence: number;
}

/** Containers are neither part of an image nor in the way of one. */
const containerRuns = (fileSystem: FileSystem): Run[] =>
  normalise(fileSystem.excludes().flatMap(({ reason, runs }) => (reason === 'container' ? runs : [])));

/** Everything up to the first byte of the claim: only free clusters are written. */
export const writeContainer = async (
  context: JobContext,
  guard: Guard,
  access: PartitionAccess,
  plan: CreatePlan,
  request: Pick<CreateRequest, 'kind' | 'name' | 'codec'>,
): Promise<Written> => {
  const imageId = newImageId();
  const { control, identity } = describeImage(context, access, plan, request, imageId);
  const writer = new ContainerWriter({ device: guard, identity, placement: plan.placement, control });
  const name = containerName(request.kind, control.id);
  if (plan.listed.some((each) => each.name === name)) {
    throw refused(`the file system lists a container ${name} already`, {
      code: 'claim.exists',
      wayOut: 'Leave HOLDFAST_ID unset, or give another id.',
    });
  }
  await captureAll(context, plan.captures, writer, request.codec, plan.rawBytes);
  writer.addBitmap(subtract(plan.fileSystem.allocation(), containerRuns(plan.fileSystem)));
  writer.addProperties({ label: control.fileSystem.label, filesystem: control.fileSystem.kind });
  const container = writer.finish(plan.usedBytes, (extents) =>
    journalLength(claimPatch(context, plan, name, extents)),
  );
  if (container.extents.every((extent) => extent.length < PREFERRED_EXTENT)) {
    context.note(
      'No piece of this image is 1 MiB long: a quick scan may miss it, a full one finds it.',
      'warning',
    );
  }
  guard.flush();
  await readBackContainer(context, guard, container.homes, identity);
  return { container, imageId, name, sequence: control.sequence };
};

/** Claim and commit: from the first byte of the claim on, an error leaves something to be finished. */
export const commitContainer = async (
  context: JobContext,
  guard: Guard,
  plan: CreatePlan,
  { container, imageId, name, sequence }: Written,
): Promise<Image> => {
  const patch = claimPatch(context, plan, name, container.extents);
  await context.checkpoint();
  guard.protect(`${formatImageId(imageId)}/1`, {
    sealed: container.sealed,
    mutable: mutableExtents(container),
  });
  const open = <T>(body: Parameters<typeof guard.withOpened<T>>[1]): T =>
    guard.withOpened(mutableExtents(container), body);
  context.progress('claim', 0, 1);
  try {
    open((device) => {
      writeJournal(device, container.journal, { purpose: 'claim', generation: 1, imageId, patch });
    });
    applyPatch(guard, patch);
    const image = openImage({ device: guard, anchorHome: container.homes.homeOf(0) });
    commitImage(guard, { image, sequence, time: context.now, others: plan.siblings, beside: plan.beside });
    open((device) => {
      clearJournal(device, container.journal);
      const entry = { action: 'created', time: context.now, salvaged: false } as const;
      appendAudit(device, container.mutableHomes, imageId, entry);
    });
  } catch (error) {
    throw new UnfinishedError(
      error as Error,
      'Run the same command again: it finishes or undoes what was begun.',
    );
  }
  context.progress('claim', 1, 1);
  return openImage({ device: guard, anchorHome: container.homes.homeOf(0) });
};

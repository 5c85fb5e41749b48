import { JobContext, type JobOptions } from './context.ts';
import { isContainerFile, locateOn, openContainerFile } from './locating.ts';
import { proposalFor } from './proposal.ts';
import type { ListRequest, ListResult } from './results.ts';
import { openSubject } from './subject.ts';
import { summarise } from './summary.ts';

/**
 * Finds the images on TARGET. Never writes. An empty list is a result, not an error; throws `unsupported` when all that is
 * there was made by a newer version.
 */
export const list = async (request: ListRequest, options: JobOptions = {}): Promise<ListResult> => {
  const context = new JobContext(options);
  const subject = openSubject(request.target, false);
  try {
    const { depth, partition, aid } = request;
    if (isContainerFile(subject)) {
      if (aid !== undefined) context.note(`${request.target} is an image itself: --aid is of no use.`);
      return listFile(request);
    }
    const located = await locateOn(context, subject, { depth, partition, aid });
    if (located.images.length === 0 && located.newer !== undefined) throw located.newer;
    const proposedTable = proposalFor(subject, located.images);
    return {
      target: request.target,
      depth: located.depth,
      // The scan counts its own reads, the device counts everything.
      bytesRead: subject.device.traffic.bytesRead,
      bytesCovered: located.bytesCovered,
      steps: located.steps,
      images: located.images.map(summarise),
      ...(proposedTable === undefined ? {} : { proposedTable }),
    };
  } finally {
    subject.close();
    await context.close();
  }
};

/** A container file is one image, whatever else lies on the disk that holds it. */
const listFile = (request: ListRequest): ListResult => {
  const file = openContainerFile(request.target);
  try {
    const { image } = file;
    const state = image.state === 'removed' || image.state === 'superseded' ? 'stale' : image.state;
    const found = {
      image,
      start: 0,
      number: undefined,
      state,
      reason: image.reason,
      foundBy: 'filesystem',
    } as const;
    const size = image.device.size;
    const step = { step: 'filesystem', found: 1, bytesRead: 0, bytesCovered: 0 } as const;
    return {
      target: request.target,
      depth: request.depth,
      bytesRead: 0,
      bytesCovered: size,
      steps: [step],
      images: [summarise(found)],
    };
  } finally {
    file.close();
  }
};

import type { Found } from '../locate/found.ts';
import type { JobContext } from './context.ts';
import { isContainerFile, locateOn, openContainerFile, selectImage } from './locating.ts';
import type { SelectRequest } from './results.ts';
import { openSubject, type Subject } from './subject.ts';

/** One image that a request names, on a target or in a container file, open for reading. */
export interface ChosenImage {
  readonly found: Found;
  readonly fromFile: boolean;
  /** What TARGET is. */
  readonly subject: Pick<Subject, 'device' | 'diskOffset' | 'target'>;
  readonly traffic: () => { readonly bytesRead: number; readonly bytesWritten: number };
  close(): void;
}

/** Finds and opens the image. Throws as `locateOn`, `selectImage` and `openContainerFile` do. */
export const openChosen = async (context: JobContext, request: SelectRequest): Promise<ChosenImage> => {
  const subject = openSubject(request.target, false);
  const traffic = () => subject.device.traffic;
  try {
    if (!isContainerFile(subject)) {
      const { partition, image, aid } = request;
      const located = await locateOn(context, subject, { depth: 'quick', partition, image, aid });
      const found = selectImage(located, image, { displaced: true });
      return { found, fromFile: false, subject, traffic, close: () => subject.close() };
    }
    if (request.aid !== undefined) context.note(`${request.target} is an image itself: --aid is of no use.`);
    const { image, close } = openContainerFile(request.target);
    const state = image.state === 'removed' || image.state === 'superseded' ? 'stale' : image.state;
    const found: Found = {
      image,
      start: 0,
      number: undefined,
      state,
      reason: image.reason,
      foundBy: 'filesystem',
    };
    return {
      found,
      fromFile: true,
      subject,
      traffic,
      close: () => {
        close();
        subject.close();
      },
    };
  } catch (error) {
    subject.close();
    throw error;
  }
};

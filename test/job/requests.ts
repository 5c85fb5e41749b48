import type { JobEvent } from '../../rescue/job/context.ts';
import { create } from '../../rescue/job/create.ts';
import { info } from '../../rescue/job/info.ts';
import { list } from '../../rescue/job/list.ts';
import { remove } from '../../rescue/job/remove.ts';
import { restore } from '../../rescue/job/restore.ts';
import type {
  CreateRequest,
  CreateResult,
  ListRequest,
  ListResult,
  RemoveRequest,
  RestoreRequest,
  RestoreResult,
  VerifyRequest,
  VerifyResult,
} from '../../rescue/job/results.ts';
import { verify } from '../../rescue/job/verify.ts';

/** 2025-06-15 15:06:40 UTC: every job's "now", so that a patch can be computed again. */
export const NOW = 1_750_000_000;

const yes = async (): Promise<boolean> => true;

/** The jobs with the command line's defaults and every question answered with yes; a test names what differs. */
export const makeImage = (
  target: string,
  request: Partial<CreateRequest> = {},
  onEvent?: (event: JobEvent) => void,
): Promise<CreateResult> => makeImageAt(NOW, target, request, onEvent);

/** As a request of another day. */
export const makeImageAt = (
  now: number,
  target: string,
  request: Partial<CreateRequest>,
  onEvent?: (event: JobEvent) => void,
): Promise<CreateResult> =>
  create(
    {
      target,
      kind: 'user',
      codec: { codec: 'zstd', level: 3 },
      keepOld: false,
      replaceFirst: false,
      forceFactory: false,
      dryRun: false,
      ...request,
    },
    { now, ...(onEvent === undefined ? {} : { onEvent }) },
  );

export const listImages = (target: string, request: Partial<ListRequest> = {}): Promise<ListResult> =>
  list({ target, depth: 'quick', ...request }, { now: NOW });

export const restoreImage = (
  target: string,
  request: Partial<RestoreRequest> = {},
  onEvent?: (event: JobEvent) => void,
): Promise<RestoreResult> =>
  restore(
    {
      target,
      image: 'latest',
      drop: [],
      salvage: false,
      verifyAfter: true,
      dryRun: false,
      confirm: yes,
      ...request,
    },
    { now: NOW, ...(onEvent === undefined ? {} : { onEvent }) },
  );

export const verifyImage = (target: string, request: Partial<VerifyRequest> = {}): Promise<VerifyResult> =>
  verify({ target, image: 'latest', repair: false, ...request }, { now: NOW });

export const removeImage = (target: string, request: Partial<RemoveRequest> & { image: string }) =>
  remove({ target, dryRun: false, confirm: yes, ...request }, { now: NOW });

export const infoOf = (target: string, image: string) => info({ target, image }, { now: NOW });

import type { JobOptions } from './context.ts';
import type { DisksResult } from './disks.ts';
import type {
  CreateRequest,
  CreateResult,
  InfoRequest,
  InfoResult,
  ListRequest,
  ListResult,
  RemoveRequest,
  RemoveResult,
  RestoreRequest,
  RestoreResult,
  VerifyRequest,
  VerifyResult,
} from './results.ts';

/** The engine's jobs as its skins see them: the program passes the real ones, tests pass their own. */
export interface Jobs {
  create(request: CreateRequest, options: JobOptions): Promise<CreateResult>;
  list(request: ListRequest, options: JobOptions): Promise<ListResult>;
  info(request: InfoRequest, options: JobOptions): Promise<InfoResult>;
  verify(request: VerifyRequest, options: JobOptions): Promise<VerifyResult>;
  restore(request: RestoreRequest, options: JobOptions): Promise<RestoreResult>;
  remove(request: RemoveRequest, options: JobOptions): Promise<RemoveResult>;
}

/** With what only the screen and the unattended run need. */
export interface AllJobs extends Jobs {
  /** `request` is empty. */
  disks(request: object, options: JobOptions): Promise<DisksResult>;
}
export type JobName = keyof AllJobs;

import type { JobOptions } from '../job/context.ts';
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
} from '../job/results.ts';

/** The engine's jobs as the command line sees them: the program passes the real ones, tests pass their own. */
export interface Jobs {
  create(request: CreateRequest, options: JobOptions): Promise<CreateResult>;
  list(request: ListRequest, options: JobOptions): Promise<ListResult>;
  info(request: InfoRequest, options: JobOptions): Promise<InfoResult>;
  verify(request: VerifyRequest, options: JobOptions): Promise<VerifyResult>;
  restore(request: RestoreRequest, options: JobOptions): Promise<RestoreResult>;
  remove(request: RemoveRequest, options: JobOptions): Promise<RemoveResult>;
}

import { type ErrorKind, HoldfastError } from '../errors.ts';
import { UnfinishedError } from '../job/results.ts';

/** Every exit code of the program: drives what it returns, its help and its documentation. */
export const EXIT = {
  done: { code: 0, when: 'done' },
  unfinished: {
    code: 1,
    when: 'failed after the first write (what to do next is said), or an internal error',
  },
  usage: { code: 2, when: 'wrong usage: bad option, missing path, directory, empty file' },
  'not-found': { code: 3, when: 'no image found' },
  refused: {
    code: 4,
    when: 'refused, nothing written: source damaged or of unknown kind, mounted, read-only, dirty, no space, ambiguous, unconfirmed, device gone before the first write',
  },
  damaged: {
    code: 5,
    when: 'image or container damaged; also a verify that found problems, and a restore with --salvage that had to leave something out',
  },
  cancelled: { code: 130, when: 'cancelled' },
} as const;
export type ExitName = keyof typeof EXIT;
export type ExitCode = (typeof EXIT)[ExitName]['code'];

/** What an error means if nothing was written yet. `corrupt` depends on what is damaged. */
const OF_KIND: Record<Exclude<ErrorKind, 'corrupt'>, ExitName> = {
  usage: 'usage',
  'not-found': 'not-found',
  refused: 'refused',
  unsupported: 'refused',
  io: 'refused',
  cancelled: 'cancelled',
};

/** First part of the code of errors about an image or its container; other damage is the source's. */
const IMAGE_STRUCTURES = new Set([
  'slot',
  'record',
  'image',
  'anchor',
  'log',
  'map',
  'bitmap',
  'extents',
  'control',
  'frame',
  'journal',
  'patch',
  'commit',
  'reassemble',
  'saved-table',
]);

const exitOf = (error: HoldfastError): ExitName => {
  if (error.kind !== 'corrupt') return OF_KIND[error.kind];
  return IMAGE_STRUCTURES.has(error.detail.code.split('.')[0]!) ? 'damaged' : 'refused';
};

/** An error in the terms of the command line. */
export interface Failure {
  readonly exit: ExitName;
  readonly kind: ErrorKind | 'unfinished' | 'internal';
  /** Stable, within the kind. */
  readonly reason: string;
  readonly message: string;
  readonly where?: { readonly structure?: string; readonly offset?: number };
  /** What to do now, after an interruption that left something half done. */
  readonly next?: string;
  /** The error itself, for the log. */
  readonly error: unknown;
}

const whereOf = ({ detail: { structure, offset } }: HoldfastError): Pick<Failure, 'where'> =>
  structure === undefined && offset === undefined
    ? {}
    : {
        where: {
          ...(structure === undefined ? {} : { structure }),
          ...(offset === undefined ? {} : { offset }),
        },
      };

const internal = (error: unknown): Failure => {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    exit: 'unfinished',
    kind: 'internal',
    reason: 'internal',
    message: `internal error, please report: ${text}`,
    error,
  };
};

/** Turns whatever was thrown into a failure. Never throws. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof UnfinishedError) {
    const inner = failureOf(error.cause);
    const cancelled = inner.kind === 'cancelled';
    return {
      ...inner,
      exit: cancelled ? 'cancelled' : 'unfinished',
      kind: cancelled ? 'cancelled' : inner.kind === 'internal' ? 'internal' : 'unfinished',
      next: error.next,
      error,
    };
  }
  if (!(error instanceof HoldfastError)) return internal(error);
  return {
    exit: exitOf(error),
    kind: error.kind,
    reason: error.detail.code,
    message: error.message,
    ...whereOf(error),
    error,
  };
};

/** The document that `--json` prints for a failure. */
export const failureDocument = (failure: Failure) => ({
  error: {
    code: EXIT[failure.exit].code,
    kind: failure.kind,
    reason: failure.reason,
    message: failure.message,
    ...(failure.where === undefined ? {} : { where: failure.where }),
    ...(failure.next === undefined ? {} : { next: failure.next }),
  },
});

/** The error, its stack and its causes down to the first, for the log. */
export const traceOf = (error: unknown): string => {
  const parts: string[] = [];
  const seen = new Set<unknown>();
  for (let at = error; at !== undefined && !seen.has(at) && parts.length < 10; ) {
    seen.add(at);
    parts.push(at instanceof Error ? (at.stack ?? `${at.name}: ${at.message}`) : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join('\ncaused by: ');
};

import { type ErrorDetail, type ErrorKind, HoldfastError } from '../errors.ts';
import type { JobEvent } from './context.ts';
import type { JobName } from './jobs.ts';
import { type Intent, UnfinishedError } from './results.ts';

/** What goes between a skin's thread and the thread in which a job runs. */

export interface JobStart {
  readonly name: JobName;
  /** Without its `confirm`, which is asked for by message. */
  readonly request: object;
  readonly asks: boolean;
  readonly now: number | undefined;
}

export type ToJob =
  | { readonly cancel: true }
  | { readonly agreed: boolean }
  | { readonly declined: PackedError };

export type FromJob =
  | { readonly event: JobEvent }
  | { readonly intent: Intent }
  | { readonly result: object }
  | { readonly failure: PackedError };

/** An error in a form that survives the way from thread to thread: classes do not. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly holdfast?: { readonly kind: ErrorKind; readonly detail: ErrorDetail };
  /** Of an `UnfinishedError`. */
  readonly next?: string;
  readonly cause?: PackedError;
}

/** Causes that are kept. */
const DEPTH = 5;

export const packError = (error: unknown, depth = DEPTH): PackedError => {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  const { name, message, stack, cause } = error;
  const holdfast =
    error instanceof HoldfastError
      ? { kind: error.kind, detail: { ...error.detail, cause: undefined } }
      : undefined;
  return {
    name,
    message,
    stack,
    ...(holdfast === undefined ? {} : { holdfast }),
    ...(error instanceof UnfinishedError ? { next: error.next } : {}),
    ...(cause === undefined || depth === 0 ? {} : { cause: packError(cause, depth - 1) }),
  };
};

/** The error again, of the class that it had. */
export const unpackError = (packed: PackedError): Error => {
  const cause = packed.cause === undefined ? undefined : unpackError(packed.cause);
  const error = rebuilt(packed, cause);
  // The message has been put together already.
  error.message = packed.message;
  if (packed.stack !== undefined) error.stack = packed.stack;
  return error;
};

const rebuilt = ({ name, message, holdfast, next }: PackedError, cause: Error | undefined): Error => {
  if (next !== undefined) return new UnfinishedError(cause ?? new Error(message), next);
  if (holdfast !== undefined) return new HoldfastError(holdfast.kind, message, { ...holdfast.detail, cause });
  const error = new Error(message, cause === undefined ? undefined : { cause });
  error.name = name;
  return error;
};

/**
 * Every failure that a person can cause or meet is a `HoldfastError` of one of few kinds. A message says what was
 * attempted on which structure, where, what was expected and what was found; `cause` keeps the original.
 */
export const ERROR_KINDS = [
  /** The device failed, vanished or is shorter than it said. */
  'io',
  /** An on-disk structure contradicts itself or its checksum. */
  'corrupt',
  /** Well-formed, but a format, version or feature that this program does not handle. */
  'unsupported',
  /** A request that is understood and declined; nothing was written. Always names the way out. */
  'refused',
  /** No image found. */
  'not-found',
  /** Wrong usage of the command line or of an interface. */
  'usage',
  /** Stopped at a safe point because it was asked to. */
  'cancelled',
] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];

export interface ErrorDetail {
  /** Stable machine-readable identifier within the kind, e.g. `mounted`, `gpt.header-crc`. */
  readonly code: string;
  /** The structure concerned, in the field's own term: `ext superblock`, `slot header`. */
  readonly structure?: string;
  /** Byte offset from the start of the device that was read. */
  readonly offset?: number;
  readonly expected?: string | number;
  readonly found?: string | number;
  /** What the person can do about it. */
  readonly wayOut?: string;
  readonly cause?: unknown;
}

export class HoldfastError extends Error {
  readonly kind: ErrorKind;
  readonly detail: ErrorDetail;
  /** The message without the way out. */
  readonly reason: string;

  constructor(kind: ErrorKind, message: string, detail: ErrorDetail) {
    const reason = reasonOf(message, detail);
    super(withWayOut(reason, detail), detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'HoldfastError';
    this.reason = reason;
    this.kind = kind;
    this.detail = detail;
  }
}

const reasonOf = (message: string, detail: ErrorDetail): string => {
  let text = message;
  if (detail.structure !== undefined) text = `${detail.structure}: ${text}`;
  if (detail.offset !== undefined) text += ` at byte position ${detail.offset}`;
  if (detail.expected !== undefined) text += `, expected ${detail.expected}`;
  if (detail.found !== undefined) text += `, found ${detail.found}`;
  return text;
};

/** What was found may be a sentence of its own. */
const withWayOut = (reason: string, { wayOut }: ErrorDetail): string =>
  wayOut === undefined ? reason : `${reason.replace(/\.+$/, '')}. ${wayOut}`;

type Thrower = (message: string, detail: ErrorDetail) => HoldfastError;
const of =
  (kind: ErrorKind): Thrower =>
  (message, detail) =>
    new HoldfastError(kind, message, detail);

export const ioError = of('io');
export const corrupt = of('corrupt');
export const unsupported = of('unsupported');
export const refused = of('refused');
export const notFound = of('not-found');
export const usage = of('usage');
export const cancelled = of('cancelled');

/** True when `error` is a HoldfastError, of kind `kind` if one is given. */
export const isHoldfastError = (error: unknown, kind?: ErrorKind): error is HoldfastError =>
  error instanceof HoldfastError && (kind === undefined || error.kind === kind);

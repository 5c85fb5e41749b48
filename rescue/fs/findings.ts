import { type HoldfastError, isHoldfastError } from '../errors.ts';
import type { Problem } from './filesystem.ts';

/** How the drivers' checks word and gather what they find. */

/** Position in words, as the errors spell it. */
export const at = (structure: string, offset: number): string =>
  `${structure}, byte position 0x${offset.toString(16)}`;

export interface FindingDefaults {
  /** Where an error does not say it. */
  readonly structure: string;
  readonly wayOut: string;
}

/** True for damage and for what is not supported; other errors (`io`) are no findings. */
export const isFinding = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, 'corrupt') || isHoldfastError(error, 'unsupported');

export const problemOf = (error: HoldfastError, { structure, wayOut }: FindingDefaults): Problem => {
  const { code, offset, ...detail } = error.detail;
  const where = detail.structure ?? structure;
  return {
    code,
    message: error.message,
    where: offset === undefined ? where : at(where, offset),
    wayOut: detail.wayOut ?? wayOut,
  };
};

/**
 * Words the problems of a driver's own table: `{expected}` and `{found}` in its texts are filled in. `Value`: what the driver
 * fills in.
 */
export const wordedBy =
  <Code extends string, Value extends string | number>(
    texts: Readonly<Record<Code, string>>,
    wayOut: string,
  ) =>
  (
    code: Code,
    where: string,
    values: { readonly expected?: Value; readonly found?: Value } = {},
  ): Problem => {
    const fill = texts[code].replace(/\{(\w+)\}/g, (_, name) => String(values[name as 'expected' | 'found']));
    return { code, message: `${where}: ${fill}`, where, wayOut };
  };

/** Passes problems on; damage that stops the reader becomes one more problem. Other errors go on up. */
export const guardedBy = (defaults: FindingDefaults) =>
  function* guarded(problems: Iterable<Problem>): Generator<Problem> {
    try {
      yield* problems;
    } catch (error) {
      if (!isFinding(error)) throw error;
      yield problemOf(error, defaults);
    }
  };

/** The first `limit` of a list that may be long. */
export const first = <Item>(items: Iterable<Item>, limit: number): Item[] => {
  const taken: Item[] = [];
  for (const item of items) {
    if (taken.length >= limit) break;
    taken.push(item);
  }
  return taken;
};

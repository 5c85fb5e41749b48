import { HoldfastError } from '../../rescue/errors.ts';

/** `kind:code` of the error that `body` throws, or `nothing thrown`; errors of other classes go up. */
export const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    if (error instanceof HoldfastError) return `${error.kind}:${error.detail.code}`;
    throw error;
  }
  return 'nothing thrown';
};

import type { TuiWorld } from './app.ts';
import type { TuiOutcome } from './screen.ts';

/** Questions and answers, for terminals that cannot move their cursor. */
export const runPlain = async (_world: TuiWorld): Promise<TuiOutcome> => ({ next: 'quit' });

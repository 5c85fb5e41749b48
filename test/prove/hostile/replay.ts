import type { Cleanup } from '../../support/cleanup.ts';
import type { PieceResult } from '../part.ts';
import { AllocationMeter } from './allocation.ts';
import { attempt, isFault } from './attempt.ts';
import { fixtures } from './fixtures.ts';
import { targetNamed } from './targets.ts';

/** Tries an input that once broke something: each kind of fault counts as in fuzzing. */
export const replay = async (name: string, cleanup: Cleanup): Promise<PieceResult> => {
  const fixture = fixtures().find((each) => each.name === name);
  if (fixture === undefined) throw new Error(`${name}: there is no such input`);
  const parser = await targetNamed(fixture.target).open(cleanup);
  const meter = new AllocationMeter();
  try {
    const result = await attempt(parser, parser.decode(fixture.input), meter);
    if (!isFault(result)) return { counts: { replayed: 1 }, faults: [] };
    const { kind, message } = result;
    return {
      counts: { replayed: 1, crashes: kind === 'crash' ? 1 : 0, limits: kind === 'limit' ? 1 : 0 },
      faults: [`${kind}: ${message}`],
    };
  } finally {
    meter.end();
  }
};

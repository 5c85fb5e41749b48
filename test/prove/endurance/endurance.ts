import { join } from 'node:path';
import type { Cleanup } from '../../support/cleanup.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import type { Outcome, Part, Piece, PieceResult, Report } from '../part.ts';
import { Endurance, WRECKS } from './cycle.ts';
import { ENDURANCE_VOLUMES, enduranceVolume } from './volumes.ts';

const FULL_CYCLES = 100;
const SAMPLE_CYCLES = 3;
/** ext4, FAT32, NTFS. */
const SAMPLE_VOLUMES = ENDURANCE_VOLUMES.slice(0, 3);

const run = async (piece: Piece, cleanup: Cleanup): Promise<PieceResult> => {
  const { volume: name, cycles, seed } = piece.work as { volume: string; cycles: number; seed: number };
  const volume = enduranceVolume(name);
  const path = join(temporaryFolder(cleanup), 'volume');
  await volume.make(path);
  const endurance = new Endurance(volume, path, `${name}, seed ${seed}`);
  for (let index = 0; index < cycles; index += 1) {
    try {
      const faults = await endurance.cycle(index);
      // What went wrong once goes on being wrong: the first cycle is what is of use.
      if (faults.length > 0) return { counts: endurance.counts, faults };
    } catch (error) {
      return {
        counts: endurance.counts,
        faults: [`cycle ${index}: ${error instanceof Error ? error.stack : String(error)}`],
      };
    }
  }
  return { counts: endurance.counts, faults: [] };
};

const report = (
  outcomes: readonly Outcome[],
  sum: (count: string) => number,
  depth: 'sample' | 'full',
): Report => {
  const isFull = depth === 'full';
  const cycles = isFull ? ENDURANCE_VOLUMES.length * FULL_CYCLES : SAMPLE_VOLUMES.length * SAMPLE_CYCLES;
  return {
    figures: [
      { what: 'cycles', value: sum('cycles'), least: cycles, most: cycles },
      { what: 'cycles that leaked a cluster', value: sum('cycles that leaked'), least: 0, most: 0 },
      { what: 'files that came back different', value: sum('files that differ'), least: 0, most: 0 },
      {
        what: 'commands killed first, when they had begun to write',
        value: sum('killed'),
        ...(isFull ? { least: 100 } : {}),
      },
      {
        what: 'of these, creates after which the owner went on first',
        value: sum('owner went on'),
        ...(isFull ? { least: 20 } : {}),
      },
    ],
    tables: [
      {
        title: 'What was wrecked how often',
        head: ['volume', 'cycles', ...WRECKS],
        rows: outcomes.map(({ piece, result }) => [
          piece.name,
          ...['cycles', ...WRECKS].map((each) => String(result.counts[each] ?? 0)),
        ]),
      },
    ],
  };
};

export const endurance: Part = {
  name: 'endurance',
  pieces: (depth, seed) =>
    (depth === 'full' ? ENDURANCE_VOLUMES : SAMPLE_VOLUMES).map(({ name }) => ({
      name,
      work: { volume: name, cycles: depth === 'full' ? FULL_CYCLES : SAMPLE_CYCLES, seed },
    })),
  run,
  report,
  pieceSeconds: 2 * 3600,
};

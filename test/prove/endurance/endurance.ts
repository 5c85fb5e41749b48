import { join } from 'node:path';
import type { Cleanup } from '../../support/cleanup.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import type { Depth, Outcome, Part, Piece, PieceResult, Report } from '../part.ts';
import { Endurance, WRECKS } from './cycle.ts';
import { ENDURANCE_VOLUMES, type EnduranceVolume, enduranceVolume } from './volumes.ts';

const SAMPLE_CYCLES = 3;
const FULL_CYCLES = 100;
/** Of other shapes of the same file systems. */
const VARIANT_CYCLES = 25;
/** ext4, FAT32, NTFS. */
const FILE_SYSTEMS = ENDURANCE_VOLUMES.slice(0, 3);

const cyclesOf = (volume: EnduranceVolume, depth: Depth): number => {
  if (depth === 'sample') return FILE_SYSTEMS.includes(volume) ? SAMPLE_CYCLES : 0;
  return FILE_SYSTEMS.includes(volume) ? FULL_CYCLES : VARIANT_CYCLES;
};

/** Compiled code is kept for the programs and threads that each cycle starts: most of their time goes into it otherwise. */
const keepCompiledCode = (cleanup: Cleanup): void => {
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return;
  process.env['NODE_COMPILE_CACHE'] = temporaryFolder(cleanup);
  cleanup.teardown(() => delete process.env['NODE_COMPILE_CACHE']);
};

const run = async (piece: Piece, cleanup: Cleanup): Promise<PieceResult> => {
  const { volume: name, cycles, seed } = piece.work as { volume: string; cycles: number; seed: number };
  const volume = enduranceVolume(name);
  const path = join(temporaryFolder(cleanup), 'volume');
  keepCompiledCode(cleanup);
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

const report = (outcomes: readonly Outcome[], sum: (count: string) => number, depth: Depth): Report => {
  const isFull = depth === 'full';
  const cycles = ENDURANCE_VOLUMES.reduce((all, volume) => all + cyclesOf(volume, depth), 0);
  return {
    figures: [
      { what: 'cycles', value: sum('cycles'), least: cycles, most: cycles },
      { what: 'cycles that leaked a cluster', value: sum('cycles that leaked'), least: 0, most: 0 },
      { what: 'files that came back different', value: sum('files that differ'), least: 0, most: 0 },
      {
        what: 'commands killed first, when they had begun to write',
        value: sum('killed'),
        ...(isFull ? { least: 50 } : {}),
      },
      {
        what: 'of these, creates after which the owner went on first',
        value: sum('owner went on'),
        ...(isFull ? { least: 10 } : {}),
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
    ENDURANCE_VOLUMES.map((volume) => ({
      name: volume.name,
      work: { volume: volume.name, cycles: cyclesOf(volume, depth), seed },
    })).filter(({ work }) => work.cycles > 0),
  run,
  report,
  pieceSeconds: 2 * 3600,
};

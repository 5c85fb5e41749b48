import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBinary } from '../../../build/binary.ts';
import { formatBytes, GIB, KIB, MIB } from '../../../rescue/units.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import type { Figure, Outcome, Part, Piece, PieceResult, Plain, Report } from '../part.ts';
import { FULL_KINDS, SAMPLE_KINDS, type ScaleKind, scaleKind } from './kinds.ts';
import { COMMANDS, type Command, ScaleSide, SIDES, type SideResult, type Taken } from './sides.ts';

/** Resident memory, whatever the size of the disk. */
const MOST_MEMORY_MIB = 256;
/** Time for each gigabyte in use, large against small. */
const MOST_RATIO = 1.3;
/** Commands that move what is in use. How long a list takes has nothing to do with it. */
const BY_SIZE: readonly Command[] = ['create', 'verify', 'restore'];

interface Detail {
  readonly files: number;
  readonly large: SideResult;
  readonly small: SideResult;
}

/** Both volumes, two images in each, and what is restored, at a cluster for each file. */
const refuseWithoutRoom = (kind: ScaleKind): void => {
  const needed = kind.files * 18 * KIB;
  const { bavail, bsize } = statfsSync(tmpdir());
  if (bavail * bsize < needed)
    throw new Error(
      `${formatBytes(needed)} are needed in ${tmpdir()}, ${formatBytes(bavail * bsize)} are free`,
    );
};

const run = async (piece: Piece, cleanup: Cleanup): Promise<PieceResult> => {
  const { kind: name, rounds } = piece.work as { kind: string; rounds: number };
  const kind = scaleKind(name);
  refuseWithoutRoom(kind);
  const folder = temporaryFolder(cleanup);
  const program = join(folder, 'holdfast');
  await buildBinary(program);
  const sides = SIDES.map((side) => new ScaleSide(kind, side, folder, program));
  for (const side of sides) await side.make(cleanup);
  // By turns, so that whatever else the machine does meanwhile meets both.
  for (let round = 0; round < rounds; round += 1) {
    for (const side of sides) await side.imageRound();
    for (const side of sides) await side.restoreRound();
  }
  for (const side of sides) {
    await side.check();
    side.remove();
  }
  const [small, large] = sides.map(({ result }) => result);
  const faults = sides.flatMap((side) => side.faults);
  for (const { result } of sides)
    if (result.compared !== kind.files)
      faults.push(`${result.compared} of ${kind.files} files were compared`);
  return {
    counts: { files: large!.compared },
    faults,
    detail: { files: kind.files, small: small!, large: large! } as unknown as Plain,
  };
};

/** The quickest run: what others do on the machine only makes one longer. */
const quickest = (runs: readonly Taken[]): Taken =>
  runs.reduce((best, each) => (each.seconds < best.seconds ? each : best));

const peakOf = (side: SideResult): number =>
  Math.max(...COMMANDS.flatMap((command) => side.taken[command].map(({ peak }) => peak)));

const perGigabyte = (side: SideResult, command: Command): number =>
  quickest(side.taken[command]).seconds / (side.used / GIB);

/** Bytes as MiB, rounded up: a limit is not met by rounding. */
const inMib = (bytes: number): number => Math.ceil(bytes / MIB);

const rounded = (value: number): number => Math.ceil(value * 100) / 100;

const figuresOf = (name: string, { large, small }: Detail, depth: string): Figure[] => [
  {
    what: `${name}: peak memory of any command`,
    value: inMib(peakOf(large)),
    unit: 'MiB',
    most: MOST_MEMORY_MIB,
  },
  // A few megabytes take as long as the program takes to start: of a sample no time is told.
  ...(depth === 'full'
    ? BY_SIZE.map((command) => ({
        what: `${name}: ${command}, time for each GiB in use against a small volume`,
        value: rounded(perGigabyte(large, command) / perGigabyte(small, command)),
        most: MOST_RATIO,
      }))
    : []),
];

const rowsOf = (name: string, detail: Detail): string[][] =>
  (['large', 'small'] as const).flatMap((side) =>
    COMMANDS.map((command) => {
      const result = detail[side];
      const { seconds, cpu } = quickest(result.taken[command]);
      const peak = Math.max(...result.taken[command].map((each) => each.peak));
      return [
        side === 'large' ? name : 'the same files, small',
        command,
        `${(result.used / GIB).toFixed(1)} GiB`,
        `${seconds.toFixed(1)} s`,
        BY_SIZE.includes(command) ? `${perGigabyte(result, command).toFixed(2)} s` : '',
        `${cpu.toFixed(1)} s`,
        `${inMib(peak)} MiB`,
      ];
    }),
  );

const report = (
  outcomes: readonly Outcome[],
  sum: (count: string) => number,
  depth: 'sample' | 'full',
): Report => {
  const done = outcomes.flatMap(({ piece, result }) =>
    result.detail === undefined ? [] : [{ name: piece.name, detail: result.detail as unknown as Detail }],
  );
  return {
    figures: [
      { what: 'files that came back the same', value: sum('files'), least: 1 },
      ...done.flatMap(({ name, detail }) => figuresOf(name, detail, depth)),
    ],
    tables: [
      {
        title: 'The quickest of all rounds',
        head: ['volume', 'command', 'in use', 'time', 'for each GiB in use', 'CPU time', 'peak memory'],
        rows: done.flatMap(({ name, detail }) => rowsOf(name, detail)),
      },
    ],
  };
};

export const scale: Part = {
  name: 'scale',
  pieces: (depth) =>
    (depth === 'full' ? FULL_KINDS : SAMPLE_KINDS).map(({ name }) => ({
      name,
      work: { kind: name, rounds: depth === 'full' ? 2 : 1 },
    })),
  run,
  report,
  pieceSeconds: 3 * 3600,
  // Times are taken, and much room is: one at a time.
  jobs: 1,
};

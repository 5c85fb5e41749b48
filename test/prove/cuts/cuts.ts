import { JobContext } from '../../../rescue/job/context.ts';
import { type Owner, type SweepOptions, sweep } from '../../job/power-cut/scene.ts';
import { COMMANDS, type Command, SCENES, type SceneName, titleOf } from '../../job/power-cut/scenes.ts';
import type { Outcome, Part, Piece, PieceResult, Table } from '../part.ts';

/**
 * Power cuts at every write of every command, on every kind of volume. A piece is a share of the cuts of one command on one volume;
 * each process records the command anew, so that a share of its own writes is what it cuts.
 */

/** So many pieces are made of one scene that each takes about half a minute. */
const SHARES: Readonly<Record<Command, number>> = {
  create: 2,
  'create, replacing': 4,
  remove: 2,
  restore: 6,
  'restore, moving an image': 8,
  'verify --repair': 3,
};

/** Of what a disk's cache may have kept, at each cut. */
const SUBSETS = 8;
const BOTH = ['checked', 'unchecked'] as const satisfies readonly Owner[];

/** At most so many faults of one piece are told: a mistake in an order of writes makes hundreds. */
const MOST_TOLD = 5;

interface Work {
  readonly scene: string;
  readonly options: SweepOptions;
}

const pieceOf = (scene: SceneName, options: SweepOptions): Piece => {
  const title = titleOf(scene);
  const share = options.share === undefined ? '' : `, ${options.share.index + 1} of ${options.share.of}`;
  return { name: `${title}${share}`, work: { scene: title, options: { ...options } } };
};

const fullPieces = (seed: number): Piece[] =>
  SCENES.flatMap((scene) => {
    const of = SHARES[scene.command];
    return Array.from({ length: of }, (_, index) =>
      pieceOf(scene, { seed, tears: true, subsets: SUBSETS, owners: BOTH, share: { index, of } }),
    );
  });

/**
 * `npm test`: a claim and a release cut at each of their writes on one volume of each file system, without what is torn; a few cuts of the
 * rest. The order of the writes is what these few must tell, and whether a guard holds.
 */
const SAMPLED = new Map<string, Omit<SweepOptions, 'seed'>>([
  ...['create: ext2', 'create: FAT12', 'create: NTFS', 'remove: ext2', 'remove: FAT12'].map(
    (title): [string, Omit<SweepOptions, 'seed'>] => [
      title,
      { onlyVisible: true, tears: false, subsets: 0, owners: [] },
    ],
  ),
  ...[
    'create: ext4 with a journal',
    'restore: FAT16',
    'restore, moving an image: ext4 without a journal',
  ].map((title): [string, Omit<SweepOptions, 'seed'>] => [
    title,
    { tears: true, subsets: 1, most: 4, owners: BOTH.slice(0, 1) },
  ]),
  ...['create, replacing: FAT32', 'create, replacing: NTFS', 'verify --repair (as a copy): ext2'].map(
    (title): [string, Omit<SweepOptions, 'seed'>] => [
      title,
      { tears: true, subsets: 1, most: 3, owners: BOTH.slice(0, 1) },
    ],
  ),
]);

const samplePieces = (seed: number): Piece[] =>
  SCENES.flatMap((scene) => {
    const options = SAMPLED.get(titleOf(scene));
    return options === undefined ? [] : [pieceOf(scene, { ...options, seed })];
  });

const run: Part['run'] = async (piece, cleanup): Promise<PieceResult> => {
  const { scene: title, options } = piece.work as unknown as Work;
  const name = SCENES.find((each) => titleOf(each) === title);
  if (name === undefined) throw new Error(`${title}: there is no such scene`);
  const context = new JobContext({ now: 1_800_000_000 });
  try {
    const scene = await name.make(cleanup, context);
    const { tried, torn, again, owned, losses, faults } = await sweep(scene, options);
    const more = faults.length - MOST_TOLD;
    return {
      counts: { tried, torn, again, owned, losses },
      faults: [...faults.slice(0, MOST_TOLD), ...(more > 0 ? [`and ${more} more faults`] : [])],
      detail: { volume: name.volume, command: name.command },
    };
  } finally {
    await context.close();
  }
};

/** Media tried by volume and command. */
const tableOf = (outcomes: readonly Outcome[]): Table => {
  const counts = new Map<string, Map<string, { tried: number; losses: number }>>();
  for (const { result } of outcomes) {
    const detail = result.detail as { volume: string; command: string } | undefined;
    if (detail === undefined) continue;
    const row = counts.get(detail.volume) ?? new Map<string, { tried: number; losses: number }>();
    counts.set(detail.volume, row);
    const { tried = 0, losses = 0 } = result.counts;
    const so = row.get(detail.command) ?? { tried: 0, losses: 0 };
    row.set(detail.command, { tried: so.tried + tried, losses: so.losses + losses });
  }
  const said = (count: { tried: number; losses: number } | undefined): string =>
    count === undefined ? '' : `${count.tried}${count.losses === 0 ? '' : `, ${count.losses} LOST`}`;
  return {
    title: 'Media tried, by volume and command (with a number of losses, where there are any)',
    head: ['volume', ...COMMANDS],
    rows: [...counts].map(([volume, row]) => [volume, ...COMMANDS.map((command) => said(row.get(command)))]),
  };
};

export const cuts: Part = {
  name: 'cuts',
  pieces: (depth, seed) => (depth === 'full' ? fullPieces(seed) : samplePieces(seed)),
  run,
  report: (outcomes, sum, depth) => ({
    figures: [
      {
        what: 'media that a power cut may leave, tried',
        value: sum('tried'),
        least: depth === 'full' ? 8000 : 50,
      },
      { what: 'of them torn: a part of a write, or a later one without an earlier', value: sum('torn') },
      { what: 'times that the command was run again, and judged', value: sum('again') },
      {
        what: "of them after the owner's system had changed files",
        value: sum('owned'),
        ...(depth === 'full' ? { least: 3000 } : {}),
      },
      { what: 'losses', value: sum('losses'), most: 0, least: 0 },
    ],
    tables: [tableOf(outcomes)],
  }),
};

import { intersect, totalLength } from '../../../rescue/bytes/runs.ts';
import { isHoldfastError } from '../../../rescue/errors.ts';
import type { RestoreResult } from '../../../rescue/job/results.ts';
import { restoreImage } from '../../job/requests.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import type { Depth, Outcome, Part, Piece, PieceResult, Plain, Report } from '../part.ts';
import { destroy, overwrite, SHAPES, type Shape } from './destroy.ts';
import { judgeBytes, judgeNames } from './judge.ts';
import { SLOT_KINDS } from './slot-kinds.ts';
import { onCopy, type Stage, setStage } from './stage.ts';
import { truthOf, used } from './truth.ts';
import { KINDS, kindNamed } from './volumes.ts';

/** What of a container is destroyed, in parts of one. */
export const SHARES = [0.0001, 0.001, 0.01, 0.1] as const;

interface Work {
  readonly [key: string]: Plain | undefined;
  readonly kind: string;
  /** Undefined: slot kinds instead. */
  readonly shape?: Shape;
  /** Of the volume and of all damage. */
  readonly seed: string;
  /** Trials of each share. */
  readonly rounds: number;
}

/** Sums of the trials of one shape and share. */
interface Row {
  readonly shape: Shape;
  readonly share: number;
  trials: number;
  containerBytes: number;
  destroyedBytes: number;
  dataBytes: number;
  /** In frames of which a byte was destroyed. */
  hitBytes: number;
  /** Of the data, as the program says. */
  lostBytes: number;
  /** As the program says, with what was free and is named because nobody knows any more that it was. */
  namedBytes: number;
}

const salvage = (stage: Stage, path: string): Promise<RestoreResult> =>
  restoreImage(path, { image: stage.image.id, salvage: true });

const unreadable = (error: unknown): string | undefined =>
  isHoldfastError(error) ? error.message : undefined;

class Counts {
  readonly counts: Record<string, number> = {};
  readonly faults: string[] = [];

  add(name: string, number = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + number;
  }
}

const tryShare = async (stage: Stage, row: Row, seed: string, counts: Counts): Promise<void> => {
  const { whole } = stage;
  await onCopy(stage, async (path) => {
    const destruction = destroy(path, whole.extents, { shape: row.shape, share: row.share, seed });
    const truth = truthOf(whole, destruction.spans);
    counts.add('trials');
    const fault = (text: string): void =>
      void counts.faults.push(`${row.share * 100} % ${row.shape}, seed ${seed}: ${text}`);
    let result: RestoreResult;
    try {
      result = await salvage(stage, path);
    } catch (error) {
      const said = unreadable(error);
      if (said === undefined) throw error;
      if (truth.readable) fault(`nothing was restored: ${said}`);
      else counts.add('nothing left to read it with');
      return;
    }
    row.trials += 1;
    row.containerBytes += totalLength(whole.extents);
    row.destroyedBytes += destruction.bytes;
    row.dataBytes += totalLength(whole.held);
    row.hitBytes += truth.lostBytes;
    row.lostBytes += totalLength(intersect(result.lost, whole.held));
    row.namedBytes += result.lostBytes;
    counts.add('records hit', truth.recordsHit);
    counts.add('frames hit', truth.dataHit);
    if (result.unlisted !== undefined) counts.add('volumes that do not list their image');
    for (const each of judgeBytes(stage, path, truth, result)) fault(each);
    const names = judgeNames(stage, truth, result);
    counts.add('files', names.files);
    counts.add('unnamed', names.unnamed);
    for (const each of names.faults) fault(each);
  });
};

const tryShares = async (cleanup: Cleanup, work: Work & { readonly shape: Shape }): Promise<PieceResult> => {
  const stage = await setStage(cleanup, kindNamed(work.kind), work.seed);
  const counts = new Counts();
  const rows = SHARES.map(
    (share): Row => ({
      ...{ shape: work.shape, share, trials: 0, containerBytes: 0, destroyedBytes: 0 },
      ...{ dataBytes: 0, hitBytes: 0, lostBytes: 0, namedBytes: 0 },
    }),
  );
  for (const row of rows)
    for (let round = 0; round < work.rounds; round += 1)
      await tryShare(stage, row, `${work.seed} ${work.kind} ${work.shape} ${row.share} ${round}`, counts);
  return { counts: counts.counts, faults: counts.faults, detail: rows.map((row) => ({ ...row })) };
};

const trySlotKinds = async (cleanup: Cleanup, work: Work): Promise<PieceResult> => {
  const stage = await setStage(cleanup, kindNamed(work.kind), work.seed);
  const counts = new Counts();
  for (const [name, places] of Object.entries(SLOT_KINDS)) {
    await onCopy(stage, async (path) => {
      const spans = places(stage.whole);
      overwrite(path, spans, work.seed);
      counts.add('slot kinds');
      const fault = (text: string): void => void counts.faults.push(`${name} lost: ${text}`);
      if (spans.length === 0) fault('there is nothing to destroy');
      try {
        const result = await salvage(stage, path);
        // Without an index nobody knows that a gap held no data; bytes that were in use must not be among it.
        const held = totalLength(used(stage.whole, result.lost));
        if (held > 0) fault(`${held} bytes of data are lost with it`);
        // Nothing may be lost: as if no record had been hit.
        const none = { ...truthOf(stage.whole, []), anchored: truthOf(stage.whole, spans).anchored };
        for (const each of judgeBytes(stage, path, none, result)) fault(each);
        stage.kind.judge(cleanup, path);
      } catch (error) {
        fault(error instanceof Error ? error.message : String(error));
      }
    });
  }
  return { counts: counts.counts, faults: counts.faults };
};

const pieces = (depth: Depth, seed: number): Piece[] => {
  const full = depth === 'full';
  const kinds = full ? KINDS : KINDS.filter(({ name }) => name === 'ext4');
  const shares = kinds.flatMap(({ name: kind }) =>
    SHAPES.filter((shape) => full || shape === 'clusters').map((shape): Piece => {
      const work: Work = { kind, shape, seed: String(seed), rounds: full ? 4 : 1 };
      return { name: `${kind}: ${shape}`, work };
    }),
  );
  const slots = kinds.map(({ name: kind }): Piece => {
    const work: Work = { kind, seed: String(seed), rounds: 1 };
    return { name: `${kind}: slot kinds`, work };
  });
  return full ? [...slots, ...shares] : shares;
};

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(3)} %`;

const table = (outcomes: readonly Outcome[]) => {
  const rows = outcomes.flatMap(({ result }) => (result.detail ?? []) as unknown as Row[]);
  const lines = SHAPES.flatMap((shape) =>
    SHARES.flatMap((share) => {
      const same = rows.filter((row) => row.shape === shape && row.share === share);
      const sum = (key: Exclude<keyof Row, 'shape' | 'share'>): number =>
        same.reduce((total, row) => total + row[key], 0);
      if (sum('trials') === 0) return [];
      return [
        [
          shape,
          `${share * 100} %`,
          String(sum('trials')),
          percent(sum('destroyedBytes'), sum('containerBytes')),
          percent(sum('hitBytes'), sum('dataBytes')),
          percent(sum('lostBytes'), sum('dataBytes')),
          percent(sum('namedBytes'), sum('dataBytes')),
        ],
      ];
    }),
  );
  return {
    title: 'Share of data lost against share of the container destroyed',
    head: [
      'destroyed',
      'share',
      'images',
      'destroyed in fact',
      'data in frames that were hit',
      'data lost',
      'named as lost, free clusters included',
    ],
    rows: lines,
  };
};

const report = (outcomes: readonly Outcome[], sum: (count: string) => number, depth: Depth): Report => ({
  figures: [
    { what: 'images damaged at random', value: sum('trials'), least: depth === 'full' ? 300 : 4 },
    {
      what: 'of them with nothing left that says what the volume was',
      value: sum('nothing left to read it with'),
    },
    { what: 'frames hit', value: sum('frames hit'), least: 1 },
    { what: 'files of which something was lost', value: sum('files'), least: 1 },
    { what: 'of them without a name: what leads to them was lost too', value: sum('unnamed') },
    {
      what: 'volumes that do not list their image: more than the content of files was lost',
      value: sum('volumes that do not list their image'),
    },
    { what: 'kinds of slots and records destroyed completely', value: sum('slot kinds') },
    {
      what: 'faults: bytes wrong though their frames survived, losses not named or named wrongly, data lost with a slot kind',
      value: outcomes.reduce((total, { result }) => total + result.faults.length, 0),
      most: 0,
    },
  ],
  tables: [table(outcomes)],
});

export const damage: Part = {
  name: 'damage',
  pieces,
  run: (piece, cleanup) => {
    const work = piece.work as Work;
    const { shape } = work;
    return shape === undefined ? trySlotKinds(cleanup, work) : tryShares(cleanup, { ...work, shape });
  },
  report,
};

import { basename } from 'node:path';
import type { Cleanup } from '../../support/cleanup.ts';
import { duplicate } from '../../support/duplicate.ts';
import type { Outcome, Part, Piece, PieceResult } from '../part.ts';
import { makeSpecimens, SPECIMENS } from './collection.ts';
import { type Examined, examine, type Jobs } from './examine.ts';
import { openCopy, subjectsOf } from './subject.ts';
import { classTable, imageTable, type Row } from './table.ts';

/**
 * Other people's disks: whatever is handed to `create`, it refuses with a reason and has written nothing, or it makes an image that brings
 * back every cluster in use. The pieces of the proof are disk images that it makes and damages itself; `../foreign.ts` has pieces of a folder.
 */

/** Specimens of one base that are tried in a row, or one file of a collection. */
type Work = { readonly specimens: readonly string[]; readonly seed: number } | { readonly file: string };

/** Images of a piece at most: so many are made from one base, which takes its time. */
const PER_PIECE = 6;

const inPieces = (seed: number, names: readonly string[]): Piece[] => {
  const byBase = new Map<string, string[]>();
  for (const { name, base } of SPECIMENS)
    if (names.includes(name)) byBase.set(base, [...(byBase.get(base) ?? []), name]);
  // Bases of which there is one specimen only go together.
  const groups = [...byBase.values()];
  const lone = groups.filter(({ length }) => length === 1).flat();
  return [...groups.filter(({ length }) => length > 1), lone].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / PER_PIECE) }, (_, index): Piece => {
      const specimens = group.slice(index * PER_PIECE, (index + 1) * PER_PIECE);
      const work: Work = { specimens, seed };
      return {
        name: `${specimens[0]}${specimens.length > 1 ? `, and ${specimens.length - 1} more` : ''}`,
        work,
      };
    }),
  );
};

/** One of each kind that ends well, one that is refused, and a whole disk. */
const SAMPLE = [
  'ext2: wrong counts in inodes: too many links of a folder',
  'ext2: state: not cleanly unmounted',
  'FAT16: state: dirty, says the FAT',
  'FAT16: media byte: another in the boot sector than in the FAT',
  'NTFS: $Bitmap: clusters that nobody owns',
  'NTFS: state: dirty',
];

/** Every volume in one disk image. */
export const examineFile = async (
  cleanup: Cleanup,
  path: string,
  name: string,
  jobs?: Jobs,
): Promise<readonly Examined[]> => {
  const copy = openCopy(cleanup, path);
  const rows: Examined[] = [];
  for (const subject of subjectsOf(copy, name)) {
    const own = duplicate(copy, `${copy}.subject`);
    rows.push(await examine(cleanup, own, subject, jobs));
  }
  return rows;
};

const resultOf = (rows: readonly Row[]): PieceResult => {
  const count = (outcome: Examined['outcome']): number =>
    rows.filter((row) => row.outcome === outcome).length;
  return {
    counts: {
      images: rows.length,
      restored: count('restored'),
      refused: count('refused'),
      leftAlone: count('left alone'),
      compared: rows.reduce((sum, row) => sum + row.compared, 0),
    },
    faults: rows.flatMap((row) => row.faults.map((fault) => `${row.name}: ${fault}`)),
    detail: rows.map((row) => ({ ...row })),
  };
};

export const rowsOf = (outcomes: readonly Outcome[]): Row[] =>
  outcomes.flatMap(({ result }) => (result.detail as unknown as Row[] | undefined) ?? []);

const MIB = 2 ** 20;

export const foreign: Part = {
  name: 'foreign',
  pieceSeconds: 1200,
  pieces: (depth, seed) => inPieces(seed, depth === 'sample' ? SAMPLE : SPECIMENS.map(({ name }) => name)),
  run: async (piece, cleanup) => {
    const work = piece.work as unknown as Work;
    if ('file' in work)
      return resultOf(
        (await examineFile(cleanup, work.file, piece.name)).map((row) => ({ ...row, kind: '' })),
      );
    const rows: Row[] = [];
    for (const { specimen, path } of makeSpecimens(cleanup, work.specimens, work.seed)) {
      for (const row of await examineFile(cleanup, path, basename(path)))
        rows.push({ ...row, name: row.name.replace(/^\d+/, specimen.name), kind: specimen.kind });
    }
    return resultOf(rows);
  },
  report: (outcomes, sum, depth) => {
    const rows = rowsOf(outcomes);
    const full = depth === 'full';
    const kinds = new Set(rows.map(({ kind }) => kind));
    return {
      figures: [
        { what: 'volumes examined', value: sum('images'), ...(full ? { least: 100 } : { least: 1 }) },
        { what: 'classes of damage and oddity', value: kinds.size, ...(full ? { least: 20 } : {}) },
        { what: 'refused with a reason, not a byte changed', value: sum('refused') },
        { what: 'imaged, destroyed and restored', value: sum('restored') },
        {
          what: 'share of those that were restored',
          value: Math.floor((100 * sum('restored')) / Math.max(1, sum('images'))),
          unit: '%',
          ...(full ? { least: 30 } : {}),
        },
        {
          what: 'restored although their judge complains of them',
          value: rows.filter((row) => row.outcome === 'restored' && row.before === 'not clean').length,
        },
        {
          what: 'compared after the restore, clusters in use',
          value: Math.round(sum('compared') / MIB),
          unit: 'MiB',
        },
        {
          what: 'faults',
          value: outcomes.reduce((total, { result }) => total + result.faults.length, 0),
          most: 0,
        },
      ],
      tables: full ? [classTable(rows)] : [imageTable(rows)],
    };
  },
};

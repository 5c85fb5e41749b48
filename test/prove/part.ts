import type { Cleanup } from '../support/cleanup.ts';

/** `sample` is what `npm test` tries of a part, half a minute of one core at most; `full` is `npm run prove`. */
export type Depth = 'sample' | 'full';

/** A value that survives the way to another process and back. */
export type Plain =
  | string
  | number
  | boolean
  | null
  | readonly Plain[]
  | { readonly [key: string]: Plain | undefined };

/** Something to try that depends on nothing but itself: pieces run in any order, each in a process that may have run others before. */
export interface Piece {
  /** Unlike all others of the part; said with every fault. */
  readonly name: string;
  /** What it takes to repeat it exactly: a seed, a kind of volume, a range of cuts. */
  readonly work: Plain;
}

export interface PieceResult {
  /** What was counted, e.g. `cuts`; counts of one name are summed over pieces. */
  readonly counts: Readonly<Record<string, number>>;
  /** What went wrong, each with all that it takes to find it again. None: the piece holds. */
  readonly faults: readonly string[];
  /** Anything else that the report wants to say of this piece. */
  readonly detail?: Plain;
}

/** A figure with what it has to be, which is checked: a figure that misses is a failure of the proof. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  /** Said behind the value, e.g. `MiB`, `%`. */
  readonly unit?: string;
  readonly least?: number;
  readonly most?: number;
}

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Report {
  readonly figures: readonly Figure[];
  readonly tables: readonly Table[];
}

export interface Outcome {
  readonly piece: Piece;
  readonly result: PieceResult;
  readonly seconds: number;
}

/** One thing that is proved. */
export interface Part {
  /** As on the command line; also the name of its section in RELIABILITY.md. */
  readonly name: string;
  /**
   * All pieces of this depth, the same for the same seed. A full part has at least as many as the machine has cores, of about the same length,
   * so that all cores have work until its end.
   */
  pieces(depth: Depth, seed: number): readonly Piece[];
  /** Tries one. An error thrown is a fault of the piece, as is a process that dies of it. */
  run(piece: Piece, cleanup: Cleanup): Promise<PieceResult>;
  /** Figures and tables of all pieces. `sum` adds up one count. */
  report(outcomes: readonly Outcome[], sum: (count: string) => number, depth: Depth): Report;
  /** Seconds after which a piece is killed, which is a fault. Default: half an hour. */
  readonly pieceSeconds?: number;
  /** How many pieces may run at once, where it is not one for each core: memory or disk may allow less. */
  readonly jobs?: number;
}

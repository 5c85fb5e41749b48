import type { Cache } from '../cache.ts';
import type { Measurement } from '../measure.ts';
import type { RowId } from '../targets.ts';

/** One run that was checked, and what its image took: bytes. */
export interface Outcome extends Measurement {
  readonly stored?: number;
}

/** Something that is timed: one of our jobs, or what it is measured against. */
export interface Contestant {
  /** What the table calls it. */
  readonly label: string;
  /** Prepares, untimed; measures; checks, untimed. Throws where the result is not right. */
  run(cache: Cache): Promise<Outcome>;
  /** If it makes sense with this content of the page cache only. */
  readonly only?: Cache;
}

/** Whom a row compares us with: `full` is our own full restore, `once` reading what is in use once, `one` our own with one thread. */
export const ROLES = ['ours', 'peer', 'dd', 'full', 'once', 'one'] as const;
export type Role = (typeof ROLES)[number];

export interface Row {
  readonly id: RowId;
  /** What "of the work" means in its targets: bytes in use, or of the disk that is searched. */
  readonly bytes: number;
  /** One contestant may play in several rows: it runs once per round. */
  readonly contestants: { readonly ours: Contestant } & { readonly [role in Role]?: Contestant };
}

import type { Extent } from '../../../rescue/units.ts';

/** A stretch of a file: bytes `offset` and after of its content lie at byte `start` of the volume. */
export interface PlacedPiece {
  readonly offset: number;
  readonly start: number;
  readonly length: number;
}

/** A file, as another program says where it lies. */
export interface FilePlaces {
  readonly path: string;
  /** FAT: what it is called where long names are lost, of it or of folders above it. */
  readonly shortPaths?: readonly string[];
  readonly pieces: readonly PlacedPiece[];
  /** All that leads to it: if any of this is lost, nobody can say that these bytes were this file's. */
  readonly leads: readonly Extent[];
}

/** The folders above a path, the root first. */
export const above = (path: string): string[] => {
  const names = path.split('/').slice(1, -1);
  return ['/', ...names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)];
};

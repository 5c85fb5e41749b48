/**
 * `npm run sweep` sets HOLDFAST_SWEEP=full: every cut, more subsets of what was not flushed, every owner's way.
 * Otherwise at most `most` media of each sweep, spread over the run: each costs seconds. HOLDFAST_SWEEP_MOST asks for more.
 */
const full = process.env['HOLDFAST_SWEEP'] === 'full';

export const DEPTH = full
  ? { sample: 1, subsets: 12, tornSample: 1, unchecked: true, most: Number.POSITIVE_INFINITY }
  : {
      sample: 4,
      subsets: 1,
      tornSample: 3,
      unchecked: false,
      most: Number(process.env['HOLDFAST_SWEEP_MOST'] ?? 12),
    };

/** A sweep that tried fewer media than this proves nothing. `whole` is what a whole one tries at least. */
export const enoughMedia = (whole: number): number => Math.min(DEPTH.most, whole);

/** For titles: what is claimed is what is done. */
export const CUTS = full ? 'power cut at every write' : 'power cuts at a sample of all writes';

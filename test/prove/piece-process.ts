import { withCleanup } from '../support/cleanup.ts';
import type { Piece, PieceResult } from './part.ts';
import { partNamed } from './parts.ts';

/** The process that tries pieces: each message names a part and has a piece, each answer is its result. */

const attempt = async (part: string, piece: Piece): Promise<PieceResult> => {
  try {
    return await withCleanup((cleanup) => partNamed(part).run(piece, cleanup));
  } catch (error) {
    return { counts: {}, faults: [error instanceof Error ? (error.stack ?? error.message) : String(error)] };
  }
};

process.on('message', async ({ part, piece }: { part: string; piece: Piece }) => {
  process.send?.(await attempt(part, piece));
});
// Without it a Ctrl-C that the parent sees too would leave this one waiting for messages.
process.on('disconnect', () => process.exit());

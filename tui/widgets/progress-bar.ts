import type { Look, Row } from '../cells.ts';
import { row, span } from '../cells.ts';

/** `[####......]  40 %` */
export const progressBar = (done: number, total: number, columns: number, look: Look): Row => {
  const share = total <= 0 ? 0 : Math.max(0, Math.min(1, done / total));
  const label = `${String(Math.floor(share * 100)).padStart(4)} %`;
  const room = Math.max(1, columns - label.length - 2);
  const filled = Math.round(share * room);
  return row(
    span('[', 'dim'),
    span(look.glyphs.full.repeat(filled), 'verified'),
    span(look.glyphs.dot.repeat(room - filled), 'untouched'),
    span(']', 'dim'),
    label,
  );
};

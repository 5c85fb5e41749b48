import { MIB } from '../../units.ts';
import type { Problem } from '../filesystem.ts';
import { FIRST_DATA_ENTRY } from './layout.ts';
import { at, problem } from './problems.ts';
import { FatTable } from './table.ts';
import type { FatVolume } from './volume.ts';

const PIECE = MIB;

/**
 * FATs that are kept alike but are not: which one is right nobody can know. Compared are the entries of clusters, FAT32's
 * upper four bits left out; entries 0 and 1 are each driver's own business, and what lies behind the last is nobody's.
 * Gives the first difference only. Throws `io`.
 */
export function* tableProblems(volume: FatVolume): Generator<Problem> {
  const { parameters, device, bits, clusterCount } = volume;
  const [first, second] = parameters.tables;
  if (!parameters.mirrored || first === undefined || second === undefined) return;
  const entries = clusterCount + FIRST_DATA_ENTRY;
  const length = Math.ceil((entries * bits) / 8);
  const other = new FatTable(device, parameters, 1);
  for (let done = 0; done < length; done += PIECE) {
    const piece = Math.min(PIECE, length - done);
    if (Buffer.compare(device.read(first + done, piece), device.read(second + done, piece)) === 0) continue;
    // Entries of 12 bits reach over the end of a piece: the one before it is looked at too.
    const from = Math.max(FIRST_DATA_ENTRY, Math.floor((done * 8) / bits) - 1);
    const to = Math.min(entries, Math.ceil(((done + piece) * 8) / bits));
    for (let entry = from; entry < to; entry += 1) {
      const [expected, found] = [volume.table.entry(entry), other.entry(entry)];
      if (expected === found) continue;
      const where = at(`FAT entry ${entry}`, volume.table.positionOf(entry));
      yield problem('fat.tables-differ', where, { expected, found });
      return;
    }
  }
}

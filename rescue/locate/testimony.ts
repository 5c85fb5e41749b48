import { isHoldfastError } from '../errors.ts';
import { parseAnchor } from '../image/anchor.ts';
import type { Commit } from '../image/commit.ts';
import { ANCHOR_INTERVAL } from '../image/layout.ts';
import type { SlotSource } from '../image/log-reader.ts';
import { readSlot } from '../image/reader.ts';
import { sha256 } from '../image/record.ts';
import type { SlotIdentity } from '../image/slot.ts';
import { isPlaced } from './place.ts';

/** What anchors have to agree with, of an image that was put together from slots. */
export interface Statement {
  readonly source: SlotSource;
  readonly identity: SlotIdentity;
  /** The delta-coded extent table of the log. */
  readonly table: Uint8Array;
  readonly commit: Commit;
}

/** Anchors that are read: a lie in all of them is seen in any. */
const MOST_READ = 64;

function* anchorIndices(slotCount: number): Generator<number> {
  for (let index = 0; index < slotCount - 1; index += ANCHOR_INTERVAL) yield index;
  yield slotCount - 1;
}

/**
 * Index of an anchor that is whole and says something else than slots, extent table and commit record do; undefined when none does. Damage does not make an
 * anchor that its own checksum vouches for: somebody wrote it so. Throws nothing but what is no `HoldfastError`.
 */
export const contradictingAnchor = ({ source, identity, table, commit }: Statement): number | undefined => {
  const { device, homes } = source;
  const { partitionSize } = identity;
  const digest = sha256(table);
  let read = 0;
  for (const index of anchorIndices(homes.slotCount)) {
    if (read === MOST_READ) break;
    if (!isPlaced(homes, index, partitionSize)) continue;
    read += 1;
    const home = homes.homeOf(index);
    let payload: Uint8Array;
    try {
      const slot = readSlot(device, home, identity);
      if (slot.header.kind !== 'anchor' || slot.header.index !== index) continue;
      payload = slot.payload;
    } catch (error) {
      // Lost, or not readable: it says nothing.
      if (!isHoldfastError(error)) throw error;
      continue;
    }
    if (!agrees(payload, home, digest, { source, identity, table, commit })) return index;
  }
  return undefined;
};

const agrees = (
  payload: Uint8Array,
  home: number,
  digest: Uint8Array,
  { source: { homes }, identity, commit }: Statement,
): boolean => {
  try {
    const anchor = parseAnchor(payload, home, identity.partitionSize, homes.slotSize);
    return (
      Buffer.compare(anchor.extentsDigest, digest) === 0 &&
      Buffer.compare(anchor.rootDigest, commit.rootDigest) === 0
    );
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return false;
  }
};

import { corrupt } from '../../errors.ts';
import type { Inode } from './inode.ts';
import { BLOCK_POINTERS, DIRECT_BLOCKS } from './layout.ts';
import type { MapItem } from './mapping.ts';
import type { ExtVolume } from './volume.ts';

/** Bytes of a block pointer. */
const POINTER = 4;

/**
 * What an inode's block map of direct and indirect pointers maps (ifork.rst "Direct/Indirect Block Addressing"), in
 * file order, neighbours joined, each indirect block before what it holds. A map that holds more blocks than the
 * volume must hold some of them twice: there the walk ends.
 * Throws `corrupt` (`ext.block-map`, `ext.block-range`).
 */
export function* readBlockMap(volume: ExtVolume, inode: Inode): Generator<MapItem> {
  const structure = `ext block map of inode ${inode.number}`;
  let budget = volume.blockCount;
  let open:
    | { kind: 'data'; logical: number; start: number; length: number; uninitialised: false }
    | undefined;

  const spend = (): void => {
    budget -= 1;
    if (budget >= 0) return;
    throw corrupt('maps more blocks than the volume has', {
      code: 'ext.block-map',
      structure,
      offset: inode.offset,
      expected: `at most ${volume.blockCount}`,
    });
  };

  function* visit(pointers: Uint8Array, depth: number, logical: number, span: number): Generator<MapItem> {
    const view = new DataView(pointers.buffer, pointers.byteOffset, pointers.byteLength);
    const count = pointers.length / POINTER;
    for (let index = 0; index < count; index += 1) {
      const block = view.getUint32(index * POINTER, true);
      if (block === 0) continue;
      spend();
      volume.requireBlocks(block, 1, structure);
      const at = logical + index * span;
      if (depth > 0) {
        yield { kind: 'node', start: block, length: 1 };
        yield* visit(volume.readBlock(block, structure), depth - 1, at, span / (volume.blockSize / POINTER));
      } else if (
        open !== undefined &&
        open.start + open.length === block &&
        open.logical + open.length === at
      ) {
        open.length += 1;
      } else {
        if (open !== undefined) yield open;
        open = { kind: 'data', logical: at, start: block, length: 1, uninitialised: false };
      }
    }
  }

  yield* visit(inode.map.subarray(0, DIRECT_BLOCKS * POINTER), 0, 0, 1);
  let logical = DIRECT_BLOCKS;
  let span = 1;
  for (let index = DIRECT_BLOCKS; index < BLOCK_POINTERS; index += 1) {
    span *= volume.blockSize / POINTER;
    yield* visit(
      inode.map.subarray(index * POINTER, (index + 1) * POINTER),
      index - DIRECT_BLOCKS + 1,
      logical,
      span,
    );
    logical += span;
  }
  if (open !== undefined) yield open;
}

import { roundUp } from '../../../rescue/units.ts';
import { deviceTraffic, trafficSince } from '../counters.ts';
import { onDevice } from '../jobs.ts';
import { bytesMoved, type Measurement, measure } from '../measure.ts';
import type { Stage } from '../stage.ts';
import type { Contestant, Outcome } from './row.ts';

/** dd(1) counts in blocks of 1 MiB here. */
const BLOCK = 1024 * 1024;
const blocks = (bytes: number): number => roundUp(bytes, BLOCK) / BLOCK;

/**
 * `$1` blocks read as the page cache has them, `$2` read again and again from what was read then (`$3` blocks), past the cache of the
 * device; `$4` blocks written and synced. `$5` the device to read, `$6` the one to write.
 */
const SCRIPT = [
  'dd if="$5" of=/dev/null bs=1M count=$1 status=none',
  'left=$2; while ((left > 0)); do n=$((left < $3 ? left : $3)); dd if="$5" of=/dev/null bs=1M count=$n iflag=direct status=none; left=$((left - n)); done',
  'dd if=/dev/zero of="$6" bs=1M count=$4 conv=notrunc,fsync status=none',
].join('; ');

/**
 * dd over the bytes that one of our runs moved: as many read and as many written, one after the other. What we read first, the image, it
 * reads as the page cache has it; what we read more than once, it reads again past the cache of the device, as we do.
 */
export const ddOfMoved = (stage: Stage, label: string, last: () => Outcome | undefined): Contestant => ({
  label,
  run: async (cache): Promise<Measurement> => {
    const moved = last();
    if (moved === undefined) throw new Error(`${label}: nothing was moved yet`);
    const { read, written } = bytesMoved(moved);
    const first = Math.min(read, moved.stored ?? read, stage.sizeOf(stage.packed()));
    const target = stage.target();
    return await onDevice(target, 'cold', (to) =>
      onDevice(stage.packed(), cache, async (from, cleanup) => {
        const before = deviceTraffic(to);
        const counts = [first, read - first, first, written].map((bytes) => String(blocks(bytes)));
        const measured = await measure(cleanup, SCRIPT, [...counts, from, to], { device: from });
        const wrote = trafficSince(to, before).written;
        if (wrote < written) throw new Error(`dd wrote ${wrote} bytes instead of ${written}`);
        return { ...measured, device: { read: measured.device?.read ?? 0, written: wrote } };
      }),
    );
  },
});

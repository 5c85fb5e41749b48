import { crc32 } from 'node:zlib';
import type { Device } from '../../rescue/device/device.ts';
import { encodeFrame } from '../../rescue/image/codec.ts';
import { writeCommit } from '../../rescue/image/commit.ts';
import type { Control } from '../../rescue/image/control.ts';
import type { WrittenContainer } from '../../rescue/image/ending.ts';
import { NO_DIGEST, type RecordRun, sha256 } from '../../rescue/image/record.ts';
import { formatImageId, type SlotIdentity } from '../../rescue/image/slot.ts';
import { ContainerWriter } from '../../rescue/image/writer.ts';
import { type ByteLength, type Extent, MIB, type Run } from '../../rescue/units.ts';
import { identityOf } from './containers.ts';

export const CLUSTER = 4096;
/** Clusters in one frame of these containers. */
const FRAME = 8;

const controlOf = (identity: SlotIdentity): Control => {
  const { partitionSize: size, partitionOffset: offset } = identity;
  return {
    format: 1,
    id: formatImageId(identity.imageId),
    kind: 'user',
    name: 'made up',
    sequence: 1,
    created: 1_700_000_000,
    tool: 'test',
    fileSystem: { kind: 'ext4', label: '', uuid: '', parameters: {} },
    geometry: {
      clusterSize: CLUSTER,
      clusterCount: size / CLUSTER,
      clusterBase: 0,
      size,
      outside: [],
      recognition: [],
    },
    partition: { offset, size, number: 1, uuid: null, type: null, name: null },
    disk: { size: size + 2 * MIB, sectorSize: 512, model: null, serial: null },
    spaces: [
      { id: 0, of: 'partition', start: 0, length: size, unit: CLUSTER },
      { id: 1, of: 'disk', start: 0, length: MIB, unit: 512 },
    ],
    table: null,
    containers: [],
    zeroOnRestore: [],
    codec: { name: 'zstd', level: 1 },
  };
};

export interface Captured extends WrittenContainer {
  readonly identity: SlotIdentity;
  readonly used: readonly Run[];
}

/** A stretch of a frame that is zero or not. */
const stretches = (raw: Uint8Array, first: number, unit: ByteLength): RecordRun[] => {
  const runs: RecordRun[] = [];
  for (let at = 0; at < raw.length; at += unit) {
    const zero = raw.subarray(at, at + unit).every((byte) => byte === 0);
    const last = runs.at(-1);
    if (last !== undefined && (last.zero === true) === zero) {
      runs[runs.length - 1] = { ...last, length: last.length + 1 };
    } else runs.push({ start: first + at / unit, length: 1, ...(zero ? { zero: true } : {}) });
  }
  return runs;
};

/** Writes an image of `used` into `extents` of the partition, frame by frame, and commits it. */
export const captureInto = (
  partition: Device,
  used: readonly Run[],
  extents: readonly Extent[],
  overrides: Partial<SlotIdentity> = {},
  patchLength: ByteLength = 200_000,
): Captured => {
  const identity = identityOf({ partitionSize: partition.size, partitionOffset: MIB, ...overrides });
  const placement = { slotSize: identity.slotSize, extents };
  const writer = new ContainerWriter({
    device: partition,
    identity,
    placement,
    control: controlOf(identity),
  });
  const add = (space: number, unit: ByteLength, start: number, raw: Uint8Array): void => {
    const runs = stretches(raw, start, unit);
    const content = Buffer.concat(
      runs
        .filter((run) => run.zero !== true)
        .map((run) => raw.subarray((run.start - start) * unit, (run.start - start + run.length) * unit)),
    );
    const { codec, stored } = encodeFrame(content, { codec: 'zstd', level: 1 });
    const frame =
      content.length === 0
        ? { codec: 'zero' as const, stored: content, storedCrc: 0, digest: NO_DIGEST }
        : { codec, stored, storedCrc: crc32(stored), digest: sha256(content) };
    writer.addFrame({ space, unit, runs, rawLength: content.length, ...frame });
  };
  for (const run of used) {
    for (let at = 0; at < run.length; at += FRAME) {
      const start = run.start + at;
      add(0, CLUSTER, start, partition.read(start * CLUSTER, Math.min(FRAME, run.length - at) * CLUSTER));
    }
  }
  add(1, 512, 0, new Uint8Array(8 * 512).fill(0x5a));
  writer.addBitmap(used);
  const written = writer.finish(
    used.reduce((sum, run) => sum + run.length * CLUSTER, 0),
    () => patchLength,
  );
  writeCommit(partition, written.mutableHomes, {
    generation: identity.generation,
    sequence: 1,
    imageId: identity.imageId,
    rootDigest: written.rootDigest,
    time: 1,
    state: 'committed',
    siblings: [],
    siblingTotal: 0,
  });
  return { ...written, identity, used };
};

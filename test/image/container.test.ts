import { crc32 } from 'node:zlib';
import test from 'ava';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { encodeFrame } from '../../rescue/image/codec.ts';
import { writeCommit } from '../../rescue/image/commit.ts';
import type { Control } from '../../rescue/image/control.ts';
import { planPlacement } from '../../rescue/image/placement.ts';
import { openFromSlot, openImage } from '../../rescue/image/reader.ts';
import { NO_DIGEST, sha256 } from '../../rescue/image/record.ts';
import { parseSlotHeader, type SlotIdentity } from '../../rescue/image/slot.ts';
import { ImageView } from '../../rescue/image/view.ts';
import { ContainerWriter } from '../../rescue/image/writer.ts';
import { MIB, type Run } from '../../rescue/units.ts';

const CLUSTER = 4096;

const identityOf = (size: number, slotSize: number): SlotIdentity => ({
  imageId: Uint8Array.from({ length: 16 }, (_, index) => index + 1),
  generation: 1,
  slotSize,
  fileSystem: 3,
  deviceKind: 1,
  fileSystemUuid: new Uint8Array(16),
  clusterSize: CLUSTER,
  clusterBase: 0,
  sectorSize: 512,
  partitionOffset: MIB,
  partitionSize: size,
  diskSize: size + 2 * MIB,
  partitionScheme: 2,
  partitionNumber: 1,
  partitionUuid: new Uint8Array(16),
  partitionType: new Uint8Array(16),
});

const controlOf = (size: number): Control => ({
  format: 1,
  id: '0102030405060708090a0b0c0d0e0f10',
  kind: 'user',
  name: 'test',
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
  partition: { offset: MIB, size, number: 1, uuid: null, type: null, name: null },
  disk: { size: size + 2 * MIB, sectorSize: 512, model: null, serial: null },
  spaces: [{ id: 0, of: 'partition', start: 0, length: size, unit: CLUSTER }],
  table: null,
  containers: [],
  zeroOnRestore: [],
  codec: { name: 'zstd', level: 1 },
});

/** Captures `used` of a device into its free clusters, frame by frame, as a job would but in one thread. */
const capture = (device: MemoryDevice, used: readonly Run[], free: readonly Run[], slotSize = 65536) => {
  const placement = planPlacement({
    free: () => free,
    clusterSize: CLUSTER,
    clusterBase: 0,
    wanted: 12 * MIB,
    enough: MIB,
  });
  const writer = new ContainerWriter({
    device,
    identity: identityOf(device.size, slotSize),
    placement: { ...placement, slotSize },
    control: controlOf(device.size),
  });
  for (const run of used) {
    for (let at = 0; at < run.length; at += 64) {
      const start = run.start + at;
      const length = Math.min(64, run.length - at);
      const raw = device.read(start * CLUSTER, length * CLUSTER);
      const zero = raw.every((byte) => byte === 0);
      const packed = encodeFrame(raw, { codec: 'zstd', level: 1 });
      writer.addFrame({
        space: 0,
        unit: CLUSTER,
        runs: [zero ? { start, length, zero: true } : { start, length }],
        codec: zero ? 'zero' : packed.codec,
        stored: zero ? new Uint8Array(0) : packed.stored,
        rawLength: zero ? 0 : raw.length,
        storedCrc: zero ? 0 : crc32(packed.stored),
        digest: zero ? NO_DIGEST : sha256(raw),
      });
    }
  }
  writer.addBitmap(used);
  return writer.finish(used.length * CLUSTER, (extents) => 1000 + 100 * extents.length);
};

const filled = (size: number, used: readonly Run[]): MemoryDevice => {
  const device = new MemoryDevice(size);
  used.forEach((run, index) => {
    if (index % 3 === 2) return; // stays zero
    const bytes = Buffer.alloc(run.length * CLUSTER);
    for (let at = 0; at + 4 <= bytes.length; at += 4)
      bytes.writeUInt32LE((at * 2654435761 + index) >>> 0, at);
    device.write(run.start * CLUSTER, bytes);
  });
  return device;
};

for (const slotSize of [4096, 65536]) {
  test(`a container of ${slotSize}-byte slots gives back what was captured`, (t) => {
    const used = [
      { start: 0, length: 300 },
      { start: 400, length: 1 },
      { start: 500, length: 700 },
      { start: 1300, length: 5 },
    ];
    const free = [
      { start: 1400, length: 64 },
      { start: 1500, length: 640 },
      { start: 2200, length: 1800 },
    ];
    const device = filled(16 * MIB, used);
    const before = used.map((run) => device.read(run.start * CLUSTER, run.length * CLUSTER));
    const written = capture(device, used, free, slotSize);
    const top = written.extents[0]!;
    t.is(top.start + top.length, 4000 * CLUSTER, 'the first anchor is at the top');
    const image = openImage({ device, anchorHome: top.start });
    t.is(image.state, 'prepared');
    t.deepEqual(image.extents, written.extents);
    t.deepEqual(image.sealed, written.sealed);
    writeCommit(device, written.mutableHomes, {
      generation: 1,
      sequence: 1,
      imageId: image.identity.imageId,
      rootDigest: written.rootDigest,
      time: 1,
      state: 'committed',
      siblings: [],
      siblingTotal: 0,
    });
    const header = parseSlotHeader(device.read(written.homes.homeOf(7), 256), 0);
    const again = openFromSlot(device, header)!;
    t.is(again.state, 'committed');
    const view = new ImageView(again);
    used.forEach((run, index) => {
      t.is(Buffer.compare(view.read(run.start * CLUSTER, run.length * CLUSTER), before[index]!), 0);
    });
    t.deepEqual([...again.inUse()], used);
  });
}

test('many extents: the table is followed through the slots when it does not fit an anchor', (t) => {
  const used = [{ start: 0, length: 2000 }];
  const free = Array.from({ length: 3000 }, (_, index) => ({ start: 4000 + index * 3, length: 1 }));
  const device = filled(64 * MIB, used);
  const written = capture(device, used, free, 4096);
  t.true(written.extents.length > 1800);
  const image = openImage({ device, anchorHome: written.extents[0]!.start });
  t.deepEqual(image.extents, written.extents);
  const other = openImage({ device, anchorHome: written.homes.homeOf(written.homes.slotCount - 1) });
  t.is(other.id, image.id);
  const bytes = new ImageView(image).read(0, 2000 * CLUSTER);
  t.is(Buffer.compare(bytes, device.read(0, 2000 * CLUSTER)), 0);
});

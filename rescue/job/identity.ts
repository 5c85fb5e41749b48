import { randomBytes } from 'node:crypto';
import { usage } from '../errors.ts';
import type { FileSystem } from '../fs/filesystem.ts';
import type { Control, ImageKind } from '../image/control.ts';
import { DEVICE_KIND, FILE_SYSTEM_CODE, MAX_UNIT_SIZE, PARTITION_SCHEME, SPACE } from '../image/layout.ts';
import { fileSystemUuidBytes, formatImageId, type SlotIdentity } from '../image/slot.ts';
import { companionSpaces, isEfiSystemSpace, writableRanges } from '../partition/companion.ts';
import { guidBytes } from '../partition/guid.ts';
import { saveTable } from '../partition/saved.ts';
import { VERSION } from '../version.ts';
import type { PartitionAccess } from './volume.ts';

/** 16 bytes: `HOLDFAST_ID` (32 hexadecimal digits) for reproducible containers, else random. */
export const newImageId = (): Uint8Array => {
  const fixed = process.env['HOLDFAST_ID'];
  if (fixed === undefined || fixed === '') return Uint8Array.from(randomBytes(16));
  if (!/^[0-9a-fA-F]{32}$/.test(fixed)) {
    throw usage('HOLDFAST_ID is not an id', { code: 'id', expected: '32 hexadecimal digits', found: fixed });
  }
  return Uint8Array.from(Buffer.from(fixed, 'hex'));
};

/** At most 16 bytes, zeros behind. */
const padded = (bytes: Uint8Array): Uint8Array => {
  const field = new Uint8Array(16);
  field.set(bytes.subarray(0, 16));
  return field;
};

/** PARTUUID and type as the slot header keeps them: GUIDs as on disk, MBR's as 4 bytes and 1 byte. */
const partitionFields = (access: PartitionAccess) => {
  const { entry, disk } = access;
  if (entry === undefined || disk === undefined) {
    return { scheme: PARTITION_SCHEME.none, uuid: new Uint8Array(16), type: new Uint8Array(16) };
  }
  if (disk.table.scheme === 'gpt') {
    return { scheme: PARTITION_SCHEME.gpt, uuid: guidBytes(entry.uuid), type: guidBytes(entry.type) };
  }
  const signature = Buffer.from(entry.uuid.slice(0, 8), 'hex').reverse();
  return {
    scheme: PARTITION_SCHEME.mbr,
    uuid: padded(signature),
    type: padded(Uint8Array.of(Number.parseInt(entry.type, 16))),
  };
};

export const slotIdentity = (
  access: PartitionAccess,
  fileSystem: FileSystem,
  imageId: Uint8Array,
  slotSize: number,
): SlotIdentity => {
  const { geometry } = fileSystem;
  const { scheme, uuid, type } = partitionFields(access);
  const deviceKind = access.identity.mapped
    ? DEVICE_KIND.mapped
    : access.disk === undefined && access.diskOffset === 0
      ? DEVICE_KIND['whole disk']
      : DEVICE_KIND.partition;
  return {
    imageId,
    generation: 1,
    slotSize,
    fileSystem: FILE_SYSTEM_CODE[fileSystem.kind],
    deviceKind,
    fileSystemUuid: fileSystemUuidBytes(fileSystem.uuid),
    clusterSize: geometry.clusterSize,
    clusterBase: geometry.clusterBase,
    sectorSize: access.device.sectorSize,
    partitionOffset: access.diskOffset,
    partitionSize: access.device.size,
    diskSize: access.disk?.device.size ?? 0,
    partitionScheme: scheme,
    partitionNumber: Math.min(255, access.entry?.number ?? 0),
    partitionUuid: uuid,
    partitionType: type,
  };
};

/** Units in which the image counts clusters: clusters themselves unless they are larger than a frame should be. */
export const unitOf = (clusterSize: number): number => Math.min(clusterSize, MAX_UNIT_SIZE);

/** What the map's unit numbers count: the clusters, what lies outside them, and the companion ranges of the disk. */
export const addressSpaces = (access: PartitionAccess, fileSystem: FileSystem): Control['spaces'] => {
  const { geometry } = fileSystem;
  const spaces: Control['spaces'] = [
    {
      id: SPACE.partition,
      of: 'partition',
      start: geometry.clusterBase,
      length: geometry.clusterCount * geometry.clusterSize,
      unit: unitOf(geometry.clusterSize),
    },
  ];
  if (access.disk !== undefined) {
    const unit = access.device.sectorSize;
    for (const { id, start, length } of companionSpaces(access.disk.table)) {
      // A companion that lies in this very partition needs no copy of its own.
      const efi = isEfiSystemSpace(id);
      if (efi && access.efiSystems?.some((each) => each.id === id) !== true) continue;
      const own = start < access.diskOffset + access.device.size && start + length > access.diskOffset;
      if (!own && writableRanges({ id, start, length }, access.disk.table).length > 0) {
        spaces.push({ id, of: 'disk', start, length: length - (length % unit), unit });
      }
    }
  }
  if (geometry.outside.length > 0) {
    const unit = access.device.sectorSize;
    const length = access.device.size - (access.device.size % unit);
    spaces.push({ id: SPACE.outside, of: 'partition', start: 0, length, unit });
  }
  // Data lies in the log, and entries in the map, ascending by space.
  return spaces.sort((a, b) => a.id - b.id);
};

export interface ControlRequest {
  readonly imageId: Uint8Array;
  readonly kind: ImageKind;
  readonly name: string;
  readonly sequence: number;
  readonly created: number;
  readonly codec: Control['codec'];
  /** Names of the containers that the captured metadata lists. */
  readonly containers: readonly string[];
}

/** A larger table than this is left out of the control document; slots and entries still say enough to rebuild. */
const MAX_TABLE_JSON = 160 * 1024;

export const controlOf = (
  access: PartitionAccess,
  fileSystem: FileSystem,
  request: ControlRequest,
): Control => {
  const { entry, disk, identity } = access;
  const { geometry } = fileSystem;
  const table = disk === undefined ? null : saveTable(disk.device, disk.table);
  const clip = (text: string): string => text.slice(0, 256);
  const parameters = Object.fromEntries(
    Object.entries(fileSystem.parameters()).map(([key, value]) => [
      key,
      typeof value === 'string' ? clip(value) : value,
    ]),
  );
  const { clusterSize, clusterBase } = geometry;
  const zeroOnRestore = fileSystem
    .excludes()
    .filter((exclude) => exclude.onRestore === 'zero')
    .flatMap((exclude) => exclude.runs.slice(0, 1))
    .map((run) => ({ start: clusterBase + run.start * clusterSize, length: clusterSize }));
  return {
    format: 1,
    id: formatImageId(request.imageId),
    kind: request.kind,
    name: request.name,
    sequence: request.sequence,
    created: request.created,
    tool: `holdfast ${VERSION}`,
    fileSystem: { kind: fileSystem.kind, label: clip(fileSystem.label), uuid: fileSystem.uuid, parameters },
    geometry: {
      clusterSize,
      clusterCount: geometry.clusterCount,
      clusterBase,
      size: geometry.size,
      outside: geometry.outside.map(({ start, length }) => ({ start, length })),
      recognition: geometry.recognition.map(({ start, length }) => ({ start, length })),
    },
    partition: {
      offset: access.diskOffset,
      size: access.device.size,
      number: entry?.number ?? null,
      uuid: entry?.uuid ?? null,
      type: entry?.type ?? null,
      name: entry === undefined ? null : clip(entry.name),
    },
    disk:
      disk === undefined
        ? null
        : {
            size: disk.device.size,
            sectorSize: disk.device.sectorSize,
            model: identity.model ?? null,
            serial: identity.serial ?? null,
          },
    spaces: addressSpaces(access, fileSystem),
    table: table === null || JSON.stringify(table).length > MAX_TABLE_JSON ? null : table,
    containers: request.containers.map((name) => ({ name })),
    zeroOnRestore,
    codec: request.codec,
  };
};

/** `NAME` of `/.holdfast/NAME.hfi`. */
export const containerName = (kind: string, id: string): string => `${kind}-${id.slice(0, 12)}`;

import { cancelled, refused } from '../../rescue/errors.ts';
import type { JobEvent, JobOptions } from '../../rescue/job/context.ts';
import type { DiskFacts, PartitionFacts } from '../../rescue/job/disks.ts';
import type { AllJobs } from '../../rescue/job/jobs.ts';
import {
  type ImageSummary,
  type Intent,
  type ProposedTable,
  UnfinishedError,
} from '../../rescue/job/results.ts';
import type { Partition } from '../../rescue/partition/model.ts';
import type { TablePlan } from '../../rescue/partition/plan.ts';
import type { LiveTable } from '../../rescue/partition/table.ts';
import { GIB, MIB } from '../../rescue/units.ts';
import { fakeJobs, IMAGE, INTENT, STATS } from '../cli/world.ts';

/** Disks, images and jobs that exist nowhere, the same at every look: for pictures and snapshots. */

const partition = (
  facts: Partial<PartitionFacts> & Pick<PartitionFacts, 'number' | 'offset' | 'size'>,
): PartitionFacts => ({
  path: null,
  partuuid: '',
  name: '',
  type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  content: { filesystem: null, name: 'unknown', label: '', uuid: '', containers: 0 },
  mountPoints: [],
  ...facts,
});

const disk = (facts: Partial<DiskFacts> & Pick<DiskFacts, 'path' | 'size'>): DiskFacts => ({
  model: '',
  serial: '',
  sectorSize: 512,
  bus: 'ata',
  rotational: false,
  removable: false,
  readOnly: false,
  medium: false,
  table: { scheme: 'gpt', valid: true, trouble: '' },
  partitions: [],
  content: null,
  mountPoints: [],
  ...facts,
});

export const DISKS: readonly DiskFacts[] = [
  disk({
    path: '/dev/sda',
    model: 'Kelp Forest SSD 870',
    serial: 'KF870-00431',
    size: 64 * GIB,
    table: { scheme: 'none', valid: false, trouble: '' },
    content: { filesystem: null, name: 'unknown', label: '', uuid: '', containers: 0 },
  }),
  disk({
    path: '/dev/nvme0n1',
    model: 'Tide NVMe 1TB',
    serial: 'T1-9977',
    size: 931 * GIB,
    bus: 'nvme',
    partitions: [
      partition({
        number: 1,
        path: '/dev/nvme0n1p1',
        offset: MIB,
        size: 60 * GIB,
        content: { filesystem: 'ext4', name: 'ext4', label: 'root', uuid: '', containers: 2 },
      }),
      partition({
        number: 2,
        path: '/dev/nvme0n1p2',
        offset: 61 * GIB,
        size: 16 * GIB,
        content: { filesystem: null, name: 'swap', label: '', uuid: '', containers: 0 },
      }),
      partition({
        number: 3,
        path: '/dev/nvme0n1p3',
        offset: 78 * GIB,
        size: 700 * GIB,
        name: 'home',
        content: { filesystem: 'ext4', name: 'ext4', label: 'evil\x1b[2Jlabel', uuid: '', containers: 0 },
        mountPoints: ['/home'],
      }),
    ],
  }),
  disk({
    path: '/dev/sdb',
    model: 'Holdfast stick',
    serial: 'USB-1',
    size: 8 * GIB,
    bus: 'usb',
    removable: true,
    medium: true,
    table: { scheme: 'mbr', valid: true, trouble: '' },
  }),
];

export const IMAGES: readonly ImageSummary[] = [
  IMAGE,
  {
    ...IMAGE,
    id: '77aa10f3c4d5e6f708192a3b4c5d6e7f',
    name: 'as delivered',
    kind: 'factory',
    sequence: 1,
    created: '2026-03-01T08:00:00.000Z',
    extents: [[36 * GIB, 3 * GIB]],
    usedBytes: 7 * GIB,
    storedBytes: 3 * GIB,
  },
  {
    ...IMAGE,
    id: 'd0d0a1b2c4d5e6f708192a3b4c5d6e7f',
    name: '',
    sequence: 2,
    created: '2026-07-12T19:45:00.000Z',
    state: 'damaged',
    reason: '3 slots cannot be read',
    foundBy: 'reassembly',
    extents: [[20 * GIB, GIB]],
    storedBytes: GIB,
  },
];

/** A disk that has lost its table, and all that can be found on one. */
const MANY: readonly ImageSummary[] = [
  IMAGE,
  {
    ...IMAGE,
    id: '5b1e77d0c4d5e6f708192a3b4c5d6e7f',
    name: 'before the term',
    sequence: 2,
    created: '2026-09-01T06:30:00.000Z',
    extents: [[26 * GIB, 2 * GIB]],
    usedBytes: 9 * GIB,
    storedBytes: 2 * GIB,
  },
  IMAGES[1]!,
  {
    ...IMAGE,
    id: 'c4fe00a1c4d5e6f708192a3b4c5d6e7f',
    name: 'photos',
    sequence: 1,
    created: '2026-10-03T17:20:00.000Z',
    label: 'data',
    partition: { offset: 41 * GIB, size: 20 * GIB, number: 3, partuuid: '7d1c5a90-03' },
    extents: [[58 * GIB, 2 * GIB]],
    usedBytes: 3 * GIB,
    storedBytes: 2 * GIB,
  },
  {
    ...IMAGE,
    id: 'ab34cd56c4d5e6f708192a3b4c5d6e7f',
    name: 'of a virtual machine',
    sequence: 1,
    created: '2026-05-05T05:05:00.000Z',
    state: 'foreign',
    reason: 'it lies inside the partition of image 3f2a91c4, at a start of its own',
    partition: { offset: 12 * GIB + MIB, size: 8 * GIB, number: 1, partuuid: null },
    extents: [[19 * GIB, GIB]],
  },
  {
    ...IMAGE,
    id: 'ef900d12c4d5e6f708192a3b4c5d6e7f',
    name: 'old disk',
    sequence: 4,
    created: '2025-12-24T18:00:00.000Z',
    state: 'moved',
    reason: 'its partition began at byte 2097152 of the disk, its slots say 1048576',
    extents: [[24 * GIB, GIB]],
  },
  IMAGES[2]!,
];

const PROPOSED: ProposedTable = {
  scheme: 'gpt',
  diskId: 'c0ffee00-1234-4abc-8def-0123456789ab',
  sectorSize: 512,
  reason: 'the disk has no partition table: a new GPT is built from what the images say',
  partitions: [
    [1, 64 * GIB - 600 * MIB, 512 * MIB, 'EFI system partition'],
    [2, MIB, 40 * GIB, 'root'],
    [3, 41 * GIB, 20 * GIB, 'data'],
  ].map(([number, offset, size, name]) => ({
    number: number as number,
    offset: offset as number,
    size: size as number,
    name: name as string,
    type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
    uuid: '',
    bootable: false,
    images: MANY.filter(
      ({ partition: place, state }) => place.number === number && state === 'committed',
    ).map(({ id }) => id),
  })),
  dropped: [],
  notes: [],
};

const entry = (number: number, start: number, size: number, name: string): Partition => ({
  number,
  start,
  size,
  name,
  type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  uuid: `0f8a7b6c-0000-4f30-9a5b-00000000000${number}`,
  bootable: false,
  attributes: '0000000000000000',
  logical: false,
});

const table = (partitions: readonly Partition[]): LiveTable => ({
  scheme: partitions.length === 0 ? 'none' : 'gpt',
  valid: partitions.length > 0,
  sectorSize: 512,
  diskSize: 64 * GIB,
  diskId: '',
  partitions,
  extended: [],
  problems: [],
  mbr: null,
  gpt: null,
});

const REBUILT: TablePlan = {
  action: 'rebuilt',
  reason: 'the disk has no partition table: a new GPT is built from what the images say',
  before: table([]),
  after: table([
    entry(1, MIB, 512 * MIB, 'boot'),
    entry(2, 513 * MIB, 40 * GIB, 'root'),
    entry(3, 41 * GIB, 20 * GIB, ''),
  ]),
  patch: {
    sectorSize: 512,
    phases: [[{ offset: 0, before: new Uint8Array(512), after: new Uint8Array(512) }]],
  },
  dropped: [],
  notes: [],
};

export const PLAN: Intent = {
  ...INTENT,
  deviceName: 'sda',
  target: {
    path: '/dev/sda',
    size: 64 * GIB,
    model: 'Kelp Forest SSD 870',
    serial: 'KF870-00431',
    label: 'root',
  },
  writes: ['The partition of 40.0 GiB at byte 1048576 gets back 12.0 GiB as of 2026-11-20T14:03:00.000Z.'],
  keeps: [
    'user image 3f2a91c4 "before update" stays where it is.',
    'factory image 77aa10f3 "as delivered" stays where it is.',
  ],
  loses: ['Everything that is on this partition now and is not in the image.'],
  table: REBUILT,
};

/** How far the jobs go by themselves. */
export type Scenario =
  | 'all'
  | 'scanning'
  | 'writing'
  | 'nothing'
  | 'many'
  | 'refused'
  | 'internal'
  | 'none'
  | 'medium';
/** Events come at fixed times of a clock that only events move: rates are the same at every run. */
export class Clock {
  now = 0;
}

const untilStopped = (options: JobOptions): Promise<never> =>
  new Promise((_, reject) => {
    const stop = (): void => reject(cancelled('stopped on request', { code: 'cancelled' }));
    if (options.signal?.aborted === true) stop();
    options.signal?.addEventListener('abort', stop);
  });

const step = 256 * MIB;

export const madeUpJobs = (scenario: Scenario, clock: Clock): AllJobs => {
  const play = (options: JobOptions, events: readonly JobEvent[]): void => {
    for (const event of events) {
      clock.now += 100;
      options.onEvent?.(event);
    }
  };
  const scanning = (share: number): JobEvent[] =>
    Array.from({ length: Math.floor(share * 64) }, (_, index): JobEvent[] => {
      const at = 63 * GIB - index * GIB;
      const hit = at >= 30 * GIB && at < 34 * GIB;
      return [
        { touched: hit ? 'slot' : 'read', extents: [[at, step]] },
        { phase: 'scan', done: (index + 1) * GIB, total: 64 * GIB },
      ];
    }).flat();
  const writing = (share: number): JobEvent[] => {
    const events: JobEvent[] = [];
    for (let index = 0; index < share * 60; index += 1) {
      const at = MIB + index * step * 2;
      events.push({ touched: 'written', extents: [[at, index % 3 === 0 ? step / 2 : step * 2]] });
      events.push({ phase: 'write', done: index * 200 * MIB, total: 60 * 200 * MIB });
    }
    return events;
  };
  const jobs = fakeJobs([]);
  return {
    ...jobs,
    disks: async () => ({ disks: scenario === 'none' ? [] : DISKS }),
    list: async (request, options) => {
      if (scenario === 'scanning') {
        play(options, scanning(0.6));
        options.onEvent?.({
          note: 'the partition table cannot be trusted: the whole disk is searched',
          severity: 'info',
        });
        return untilStopped(options);
      }
      if (scenario === 'internal') throw new TypeError('x is undefined');
      return {
        target: request.target,
        depth: request.depth,
        bytesRead: 5 * MIB,
        bytesCovered: 64 * GIB,
        steps: [],
        images: scenario === 'nothing' ? [] : scenario === 'many' ? MANY : IMAGES,
        ...(scenario === 'many' ? { proposedTable: PROPOSED } : {}),
      };
    },
    restore: async (request, options) => {
      play(options, [{ phase: 'verify-image', done: 12 * GIB, total: 12 * GIB }]);
      if (scenario === 'refused')
        throw refused('the image has data where image 77aa10f3 lies (3.0 GiB)', {
          code: 'collision',
          wayOut: 'Let that image go with --drop 77aa10f3, or restore to another disk with --to.',
        });
      if (!(await request.confirm(PLAN)))
        throw refused('not confirmed: nothing was written', { code: 'unconfirmed' });
      play(options, writing(scenario === 'writing' ? 0.6 : 1));
      if (scenario === 'writing') {
        await untilStopped(options).catch((error: Error) => {
          throw new UnfinishedError(
            error,
            '/dev/sda is unfinished and cannot be mounted; the image is untouched. Run the same command again.',
          );
        });
      }
      play(options, [{ phase: 'read-back', done: 12 * GIB, total: 12 * GIB }]);
      return {
        target: request.target,
        image: IMAGE,
        stats: STATS,
        partitionTable: 'rebuilt',
        imagesKept: [IMAGE.id, IMAGES[1]!.id],
        written: true,
        lost: [],
        lostFrames: 0,
        lostBytes: 0,
      };
    },
    create: async (request, options) => {
      await request.confirm?.({
        ...PLAN,
        action: 'create',
        deviceName: 'nvme0n1p1',
        target: {
          path: '/dev/nvme0n1p1',
          size: 60 * GIB,
          model: 'Tide NVMe 1TB',
          serial: 'T1-9977',
          label: 'root',
        },
        image: undefined,
        writes: [
          'An image of 12.0 GiB in use is written into free clusters, into 7.0 GiB at most.',
          'The file system lists it afterwards as a file in /.holdfast.',
        ],
        keeps: ['All files, and all other images.'],
        loses: ['The user image 3f2a91c4 "before update", which the new one replaces.'],
        table: undefined,
      });
      return jobs.create(request, options);
    },
    remove: async (request, options) => {
      const loses = ['The user image 3f2a91c4 "before update": it cannot be brought back.'];
      if (!(await request.confirm({ ...PLAN, action: 'remove', loses, table: undefined })))
        throw refused('not confirmed: nothing was written', { code: 'unconfirmed' });
      return jobs.remove({ ...request, confirm: async () => true }, options);
    },
  };
};

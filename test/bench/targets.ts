import { MIB } from '../../rescue/units.ts';
import type { Role } from './rows/row.ts';

/** The most that our process may have resident: bytes. */
export const MEMORY_LIMIT = 256 * MIB;

/** One figure that a row is to reach. All but `speed` are of our own run, unless they say otherwise. */
export type Goal =
  /** The other one's time divided by ours. */
  | { readonly what: 'speed'; readonly against: Exclude<Role, 'ours'>; readonly atLeast: number }
  /** Bytes of our image divided by those of theirs. */
  | { readonly what: 'stored'; readonly against: Exclude<Role, 'ours'>; readonly atMost: number }
  /** Bytes read or written: a count, or a share of the row's bytes. */
  | { readonly what: 'read' | 'written'; readonly atMost: number; readonly unit: 'bytes' | 'share' }
  | { readonly what: 'seconds'; readonly atMost: number }
  /** The row's bytes per second; `of`: not of our own run, but of this one. */
  | { readonly what: 'rate'; readonly of?: Role; readonly atLeast: number }
  | { readonly what: 'memory'; readonly atMost: number };

/** What is to be reached: any one of the goals will do. */
export type Target = readonly Goal[];

export interface RowTargets {
  readonly work: string;
  readonly targets: readonly Target[];
}

/** All of it in one place, in the order of the table. The limit of memory holds for every row. */
export const ROWS = {
  create: {
    work: 'create, zstd level 1',
    targets: [
      [{ what: 'speed', against: 'peer', atLeast: 3 }],
      [{ what: 'stored', against: 'peer', atMost: 1.05 }],
    ],
  },
  store: {
    work: 'create, store',
    targets: [
      [{ what: 'speed', against: 'peer', atLeast: 2 }],
      [{ what: 'speed', against: 'dd', atLeast: 0.8 }],
    ],
  },
  restore: {
    work: 'restore, verified before and read back after',
    targets: [
      [
        { what: 'speed', against: 'peer', atLeast: 1.5 },
        { what: 'speed', against: 'dd', atLeast: 0.8 },
      ],
    ],
  },
  'restore-fast': {
    work: 'restore, --no-verify-after',
    targets: [
      [
        { what: 'speed', against: 'peer', atLeast: 2.5 },
        { what: 'speed', against: 'dd', atLeast: 0.8 },
      ],
    ],
  },
  nightly: {
    work: 'restore where 1 % of the clusters differ',
    targets: [
      [{ what: 'speed', against: 'once', atLeast: 1 }],
      [{ what: 'written', atMost: 0.02, unit: 'share' }],
    ],
  },
  verify: {
    work: 'verify',
    targets: [[{ what: 'speed', against: 'peer', atLeast: 2 }]],
  },
  'locate-end': {
    work: 'locate, image at the end of a 1 TiB sparse disk',
    targets: [[{ what: 'read', atMost: 64 * MIB, unit: 'bytes' }], [{ what: 'seconds', atMost: 1 }]],
  },
  'locate-anywhere': {
    work: 'locate, a 1 GiB packed container anywhere on 2 TiB',
    targets: [[{ what: 'read', atMost: 1 / 500, unit: 'share' }]],
  },
  'locate-full': {
    work: 'locate, full depth on a warm disk',
    targets: [[{ what: 'rate', atLeast: 2e9 }]],
  },
  'locate-threads': {
    work: 'the scan alone, full depth on a warm disk, with two threads',
    targets: [
      [{ what: 'rate', of: 'one', atLeast: 2e9 }],
      [{ what: 'speed', against: 'one', atLeast: 1.25 }],
    ],
  },
} as const satisfies Readonly<Record<string, RowTargets>>;

export type RowId = keyof typeof ROWS;

export const ROW_IDS = Object.keys(ROWS) as RowId[];

export const targetsOf = (id: RowId): readonly Target[] => [
  ...ROWS[id].targets,
  [{ what: 'memory', atMost: MEMORY_LIMIT }],
];

/** `create,restore` as row names. Throws for a name that no row has. */
export const rowsNamed = (names: string): RowId[] =>
  names.split(',').map((name) => {
    const id = ROW_IDS.find((each) => each === name);
    if (id === undefined) throw new Error(`--rows ${name}: give some of ${ROW_IDS.join(',')}`);
    return id;
  });

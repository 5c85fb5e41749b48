import type { Content, DiskFacts } from '../../rescue/job/disks.ts';
import type { ImageSummary } from '../../rescue/job/results.ts';
import { GIB, MIB } from '../../rescue/units.ts';

/** Disks and images of whole cloth, for rules that look at nothing else. */

const CONTENT: Content = { filesystem: 'ext4', name: 'ext4', label: '', uuid: '', containers: 0 };
export const UNKNOWN: Content = { ...CONTENT, filesystem: null, name: 'unknown' };

export const partition = (number: number, more: Partial<DiskFacts['partitions'][number]> = {}) => ({
  number,
  path: `/dev/sda${number}`,
  offset: number * GIB,
  size: GIB,
  name: '',
  type: '83',
  partuuid: `5eaf00d5-0${number}`,
  content: CONTENT,
  mountPoints: [],
  ...more,
});

export const disk = (more: Partial<DiskFacts> = {}): DiskFacts => ({
  path: '/dev/sda',
  model: 'SAMPLE',
  serial: 'S1',
  size: 10 * GIB,
  sectorSize: 512,
  bus: 'ata',
  rotational: false,
  removable: false,
  readOnly: false,
  medium: false,
  table: { scheme: 'mbr', valid: true, trouble: '' },
  partitions: [partition(1), partition(2)],
  content: null,
  mountPoints: [],
  ...more,
});

/** A disk of which nothing is left. */
export const wrecked = (more: Partial<DiskFacts> = {}): DiskFacts =>
  disk({ table: { scheme: 'none', valid: false, trouble: '' }, partitions: [], content: UNKNOWN, ...more });

export const image = (id: string, more: Partial<ImageSummary> = {}): ImageSummary => ({
  id: id.padEnd(32, '0'),
  name: `image ${id}`,
  kind: 'user',
  sequence: 1,
  created: '2026-11-20T14:03:00Z',
  generation: 1,
  state: 'committed',
  foundBy: 'scan',
  filesystem: 'ext4',
  label: 'root',
  uuid: '0f8a7b6c-1d2e-4f30-9a5b-6c7d8e9f0a1b',
  partition: { offset: GIB, size: GIB, number: 1, partuuid: '5eaf00d5-01' },
  clusterSize: 4096,
  usedBytes: 100 * MIB,
  storedBytes: 50 * MIB,
  extents: [[GIB, 50 * MIB]],
  sealedExtents: [[GIB, 49 * MIB]],
  ...more,
});

import type { ReadableDevice } from '../../device/device.ts';
import { corrupt } from '../../errors.ts';
import type { ByteLength, ByteOffset, Cluster } from '../../units.ts';
import { type FatBits, type FatParameters, readParameters } from './boot.ts';
import { FIRST_DATA_ENTRY } from './layout.ts';
import { FatTable } from './table.ts';

/**
 * Of a set of clusters, in one page of 4 KiB. A FAT entry has 28 bits, so all pages together never take more than 32 MiB, and for a volume
 * of 64 GiB with clusters of 32 KiB they take 256 KiB.
 */
export const CLUSTERS_PER_PAGE = 32768;

/**
 * A FAT volume: its checked numbers, its clusters and the FAT that counts.
 *
 * **Two ways of counting.** FAT itself numbers clusters by their entry in the FAT, and the first two entries belong to
 * none: the data begins with entry 2. Holdfast's `Cluster` counts from the first byte of the data: **Cluster 0 is FAT
 * entry 2**. Whatever is typed `Cluster` counts so; a number as it stands in a FAT, a folder or the boot sector is called
 * an *entry*. Only `clusterOf` and `entryOf` go from one to the other.
 *
 * The FAT is cached in part; after writing to the device behind its back call `table.forget` (the numbers of the boot
 * sector stay as they were).
 */
export class FatVolume {
  readonly device: ReadableDevice;
  readonly parameters: FatParameters;
  readonly table: FatTable;

  /** Throws like `readParameters`. */
  constructor(device: ReadableDevice) {
    this.device = device;
    this.parameters = readParameters(device);
    this.table = new FatTable(device, this.parameters);
  }

  get bits(): FatBits {
    return this.parameters.bits;
  }

  get clusterSize(): ByteLength {
    return this.parameters.clusterSize;
  }

  get clusterCount(): number {
    return this.parameters.clusterCount;
  }

  clusterOf(entry: number): Cluster {
    return entry - FIRST_DATA_ENTRY;
  }

  entryOf(cluster: Cluster): number {
    return cluster + FIRST_DATA_ENTRY;
  }

  hasCluster(cluster: Cluster): boolean {
    return Number.isInteger(cluster) && cluster >= 0 && cluster < this.clusterCount;
  }

  /** Byte position of a cluster. Throws `corrupt` (`fat.cluster-range`) for a number that the volume does not have. */
  clusterOffset(cluster: Cluster, structure = 'FAT'): ByteOffset {
    if (!this.hasCluster(cluster)) {
      throw corrupt('no such cluster', {
        code: 'fat.cluster-range',
        structure,
        expected: `entry ${FIRST_DATA_ENTRY} to ${this.entryOf(this.clusterCount - 1)}`,
        found: this.entryOf(cluster),
      });
    }
    return this.parameters.clusterBase + cluster * this.clusterSize;
  }

  /** The cluster that holds the byte at `offset`, or undefined if it lies outside of all. */
  clusterAt(offset: ByteOffset): Cluster | undefined {
    const cluster = Math.floor((offset - this.parameters.clusterBase) / this.clusterSize);
    return this.hasCluster(cluster) ? cluster : undefined;
  }

  /** The bytes of `count` clusters from `cluster` on. Throws `corrupt` (`fat.cluster-range`), `io`. */
  readClusters(cluster: Cluster, count: number, structure?: string): Uint8Array {
    this.clusterOffset(cluster + count - 1, structure);
    return this.device.read(this.clusterOffset(cluster, structure), count * this.clusterSize);
  }
}

import { type ByteLength, MIB, type Run } from '../../units.ts';
import type { NtfsVolume } from './volume.ts';

/** Windows Vista and later keep so much free behind $MFT (KB961095), and as much again when that is used up. */
const ZONE: ByteLength = 200 * MIB;
/** Windows before that, and ntfs-3g: an eighth of the volume. */
const ZONE_SHARE = 1 / 8;

/**
 * Where $MFT is to grow without falling into pieces: behind its last run. No structure on the disk says so; it is what Windows fills last
 * and takes from first for $MFT.
 */
export const mftZone = (volume: NtfsVolume): Run[] => {
  const { clusterSize, clusterCount, mft } = volume;
  const { start = 0, length } = mft.at(mft.end - 1);
  const from = start + length;
  const size = Math.floor(Math.min(clusterCount * ZONE_SHARE, ZONE / clusterSize));
  const end = Math.min(from + size, clusterCount);
  return from < end ? [{ start: from, length: end - from }] : [];
};

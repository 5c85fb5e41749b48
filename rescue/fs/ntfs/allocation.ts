import { coalesce } from '../../bytes/runs.ts';
import { corrupt } from '../../errors.ts';
import type { Run } from '../../units.ts';
import { PagedBitmap } from './bitmap.ts';
import { requireContent } from './content.ts';
import { attributeRuns } from './file.ts';
import { AT_DATA, FILE_BADCLUS, FILE_BITMAP } from './layout.ts';
import type { NtfsVolume } from './volume.ts';

/** Named stream of $BadClus: a hole as long as the volume, with clusters only where they are bad (files/badclus). */
const BAD_STREAM = '$Bad';

/** $Bitmap: which clusters are in use. Throws `corrupt`, `io`. */
export const clusterBitmap = (volume: NtfsVolume): PagedBitmap => {
  const file = volume.file(FILE_BITMAP);
  const content = requireContent(file, AT_DATA, '', 'content');
  return new PagedBitmap(content, volume.clusterCount, file.record.place);
};

/** Clusters in use, ascending, joined; read page by page. Throws `corrupt`, `io`. */
export const allocatedRuns = (volume: NtfsVolume): Iterable<Run> => ({
  [Symbol.iterator]: () => clusterBitmap(volume).runs(),
});

/** Clusters that are marked as bad, ascending: in the stream the number of a VCN is that of its cluster. Throws `corrupt`. */
export const badRuns = (volume: NtfsVolume): Iterable<Run> => ({
  [Symbol.iterator]: () => coalesce(listedAsBad(volume)),
});

function* listedAsBad(volume: NtfsVolume): Generator<Run> {
  const file = volume.file(FILE_BADCLUS);
  for (const { vcn, start, length } of attributeRuns(file, AT_DATA, BAD_STREAM)) {
    if (start === undefined) continue;
    if (start !== vcn) {
      throw corrupt('a bad cluster stands in the wrong place', {
        code: 'ntfs.bad-clusters',
        ...file.record.place,
        expected: vcn,
        found: start,
      });
    }
    yield { start, length };
  }
}

import { NumberSet } from '../../bytes/number-set.ts';
import { totalLength } from '../../bytes/runs.ts';
import type { Problem } from '../filesystem.ts';
import { isFinding } from '../findings.ts';
import { clusterBitmap } from './allocation.ts';
import { PagedBitmap } from './bitmap.ts';
import { nameProblems } from './check-names.ts';
import { recordProblems } from './check-records.ts';
import { type Content, requireContent } from './content.ts';
import { AT_BITMAP, AT_DATA, FILE_MFT, FILE_MFTMIRR, MIRRORED_RECORDS, RECORD_HEADER } from './layout.ts';
import { NameLedger } from './name-ledger.ts';
import { readUpCase, type UpCase } from './names.ts';
import { at, gather, guarded, problem } from './problems.ts';
import { removeUpdateSequence } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

/**
 * Everything that is wrong with the volume's metadata, as far as it is looked at: all records in use with their attributes,
 * attribute lists and runs against $Bitmap and each other; all indexes of names, against the names that files keep; $MFTMirr.
 * Not looked at: indexes of other things ($Secure, $ObjId, ...), clusters and records in use that nobody owns (leaks), sizes and
 * times that folders repeat. A generator: whoever wants the first problems only stops asking. Throws `io`.
 */
export function* findProblems(volume: NtfsVolume): Generator<Problem> {
  yield* guarded(mirrorProblems(volume));
  yield* guarded(fileProblems(volume));
}

function* fileProblems(volume: NtfsVolume): Generator<Problem> {
  const clusters = clusterBitmap(volume);
  const mft = volume.file(FILE_MFT);
  const marks = new PagedBitmap(
    requireContent(mft, AT_BITMAP, '', 'bitmap'),
    volume.recordCount,
    mft.record.place,
  );
  let upCase: UpCase | undefined;
  const found: Problem[] = [];
  gather(
    (each) => found.push(each),
    () => {
      upCase = readUpCase(volume);
    },
  );
  yield* found;
  const check = {
    volume,
    upCase,
    clusters,
    marks,
    ledger: new NameLedger(),
    damagedRecords: new NumberSet(),
    damagedFolders: new NumberSet(),
  };
  yield* recordProblems(check, totalLength(clusters.runs()));
  yield* nameProblems(check);
}

const withoutSequence = (bytes: Uint8Array): Uint8Array => {
  const start = RECORD_HEADER.get(bytes, 'usa_ofs');
  return bytes.fill(0, start, start + 2 * RECORD_HEADER.get(bytes, 'usa_count'));
};

/** The sequence number may differ; what it protects may not. */
function* mirrorProblems(volume: NtfsVolume): Generator<Problem> {
  const { recordSize, parameters, clusterSize } = volume;
  const mirror = requireContent(volume.file(FILE_MFTMIRR), AT_DATA, '', 'content');
  const place = mirror.position(0);
  if (place !== parameters.mirrorCluster * clusterSize) {
    yield problem('ntfs.mirror-place', at('MFT record 1', volume.recordOffset(FILE_MFTMIRR)), {
      expected: parameters.mirrorCluster,
      found: place / clusterSize,
    });
    return;
  }
  for (let number = 0; number < MIRRORED_RECORDS; number += 1) {
    if ((number + 1) * recordSize > mirror.size) return;
    const offset = volume.recordOffset(number);
    const original = volume.record(number).bytes;
    const copy = mirrored(mirror, number, recordSize);
    if (copy !== undefined && Buffer.compare(withoutSequence(original), withoutSequence(copy)) === 0)
      continue;
    yield problem('ntfs.mirror', at(`MFT record ${number}`, offset));
  }
}

/** A record of the mirror, undefined if it is damaged. */
const mirrored = (mirror: Content, number: number, recordSize: number): Uint8Array | undefined => {
  const bytes = new Uint8Array(recordSize);
  mirror.readInto(number * recordSize, bytes);
  const place = { structure: `$MFTMirr, record ${number}`, offset: mirror.position(number * recordSize) };
  try {
    removeUpdateSequence(bytes, place);
    return bytes;
  } catch (error) {
    if (!isFinding(error)) throw error;
    return undefined;
  }
};

import type { HoldfastError } from '../../errors.ts';
import { roundUp } from '../../units.ts';
import type { ListEntry } from './attribute-list.ts';
import type { ClusterEditor } from './cluster-editor.ts';
import { extentRuns } from './file.ts';
import { AT_ATTRIBUTE_LIST, ATTRIBUTE_LIST_ENTRY, LONGEST_ATTRIBUTE_LIST } from './layout.ts';
import { ALIGNMENT, extentOverhead, nonResidentAttribute, residentAttribute } from './new-attribute.ts';
import type { RecordEditor } from './record-editor.ts';
import { referenceFields } from './reference.ts';
import { clustersOf } from './runlist.ts';
import { encodeRuns, joined } from './runlist-encoder.ts';
import type { StagedEdits } from './staged-edits.ts';
import type { NtfsVolume } from './volume.ts';

/** An entry as it is to be written. */
export type NewListEntry = Omit<ListEntry, 'place'>;

/** One entry of an attribute list; the name, if there is one, follows the fixed part. */
export const listEntry = ({ type, name, lowestVcn, reference, instance }: NewListEntry): Uint8Array => {
  const bytes = new Uint8Array(roundUp(ATTRIBUTE_LIST_ENTRY.size + 2 * name.length, ALIGNMENT));
  bytes.set(
    ATTRIBUTE_LIST_ENTRY.encode({
      type,
      length: bytes.length,
      name_length: name.length,
      name_offset: ATTRIBUTE_LIST_ENTRY.size,
      lowest_vcn: lowestVcn,
      ...referenceFields('mft_reference', reference),
      instance,
    }),
  );
  bytes.set(Buffer.from(name, 'utf16le'), ATTRIBUTE_LIST_ENTRY.size);
  return bytes;
};

export interface ListContext {
  readonly volume: NtfsVolume;
  readonly edits: StagedEdits;
  readonly clusters: ClusterEditor;
}

/** Whether a list can be so long (`LONGEST_ATTRIBUTE_LIST`). */
export const isListable = (list: Uint8Array): boolean => list.length <= LONGEST_ATTRIBUTE_LIST;

/**
 * Puts an attribute list into a file's first record, in the place of the one that is there: resident while it fits, else in fresh clusters, so that
 * the record's own write changes from one list to the other. Clusters of the old one are given back. Throws what `full` gives where
 * there is no room, and `refused` (`claim.no-space`).
 */
export const putAttributeList = (
  { volume, edits, clusters }: ListContext,
  base: RecordEditor,
  entries: readonly NewListEntry[],
  full: () => HoldfastError,
): void => {
  const list = Buffer.concat(entries.map(listEntry));
  if (!isListable(list)) throw full();
  const type = AT_ATTRIBUTE_LIST;
  const old = base.find(type, '');
  const room = base.room + (old?.length ?? 0);
  const instance = old?.instance ?? base.nextInstance();
  const put = (attribute: Uint8Array): void => {
    if (old === undefined) base.add(attribute);
    else base.replace(old, attribute);
  };
  if (old?.resident === false) clusters.give([...clustersOf(extentRuns(volume, old))]);
  const resident = residentAttribute({ type, instance, value: list });
  if (resident.length <= room) {
    put(resident);
    return;
  }
  const { clusterSize } = volume;
  const runs = joined(clusters.take(Math.ceil(list.length / clusterSize)));
  const { pairs, count, clusters: taken } = encodeRuns(runs, 0, room - extentOverhead());
  if (count < runs.length) throw full();
  const content = new Uint8Array(taken * clusterSize);
  content.set(list);
  let done = 0;
  for (const { start, length } of runs) {
    edits.write('prepare', volume.clusterOffset(start), content.subarray(done, done + length * clusterSize));
    done += length * clusterSize;
  }
  const sizes = { allocated: content.length, data: list.length };
  put(nonResidentAttribute({ type, instance, lowestVcn: 0, clusters: taken, pairs, sizes }));
};

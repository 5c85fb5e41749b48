import { totalLength } from '../../bytes/runs.ts';
import { refused } from '../../errors.ts';
import { type ByteLength, type Run, roundUp } from '../../units.ts';
import type { ClusterEditor } from './cluster-editor.ts';
import {
  AT_DATA,
  AT_FILE_NAME,
  AT_INDEX_ROOT,
  AT_SECURITY_DESCRIPTOR,
  AT_STANDARD_INFORMATION,
  ATTRIBUTE_HAS_INDEX,
  ATTRIBUTE_HIDDEN,
  ATTRIBUTE_LIST_ENTRY,
  ATTRIBUTE_READ_ONLY,
  ATTRIBUTE_SYSTEM,
  FILE_NAME,
  LONGEST_ATTRIBUTE_LIST,
  NAME_INDEX,
  NAMESPACE_POSIX,
  RECORD_IS_DIRECTORY,
  STANDARD_INFORMATION,
} from './layout.ts';
import { type NewListEntry, putAttributeList } from './list-editor.ts';
import type { MftEditor } from './mft-editor.ts';
import { ALIGNMENT, extentOverhead, nonResidentAttribute, residentAttribute } from './new-attribute.ts';
import type { RecordEditor } from './record-editor.ts';
import { type FileReference, referenceFields } from './reference.ts';
import { encodeRuns, joined } from './runlist-encoder.ts';
import { containerSecurity } from './security.ts';
import type { StagedEdits } from './staged-edits.ts';
import { fromSeconds } from './times.ts';
import type { NtfsVolume } from './volume.ts';

const CONTAINER_FILE = ATTRIBUTE_READ_ONLY | ATTRIBUTE_HIDDEN | ATTRIBUTE_SYSTEM;
const CONTAINER_FOLDER = ATTRIBUTE_HIDDEN | ATTRIBUTE_SYSTEM;

export interface EditContext {
  readonly volume: NtfsVolume;
  readonly edits: StagedEdits;
  readonly clusters: ClusterEditor;
  readonly mft: MftEditor;
}

export interface NewName {
  readonly name: string;
  readonly parent: FileReference;
  /** Seconds since 1970. */
  readonly time: number;
}

const times = (time: number) => {
  const stored = fromSeconds(time);
  return {
    creation_time: stored,
    last_data_change_time: stored,
    last_mft_change_time: stored,
    last_access_time: stored,
  };
};

const sizeBytes = (size: ByteLength): Uint8Array => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(size));
  return bytes;
};

/** The `$FILE_NAME` of a new file: the same bytes in its record and as the key in the folder's index. */
const fileName = ({ name, parent, time }: NewName, size: ByteLength, attributes: number): Uint8Array =>
  Buffer.concat([
    FILE_NAME.encode({
      ...referenceFields('parent_directory', parent),
      ...times(time),
      allocated_size: sizeBytes(size),
      data_size: sizeBytes(size),
      file_attributes: attributes,
      file_name_length: name.length,
      file_name_type: NAMESPACE_POSIX,
    }),
    Buffer.from(name, 'utf16le'),
  ]);

/** Adds what files and folders have alike. Gives the list entries' instances by type. */
const addCommon = (record: RecordEditor, time: number, attributes: number, key: Uint8Array) => {
  const instances = new Map<number, number>();
  const add = (type: number, value: Uint8Array, indexed = false): void => {
    const instance = record.nextInstance();
    instances.set(type, instance);
    record.add(residentAttribute({ type, instance, value, indexed }));
  };
  add(AT_STANDARD_INFORMATION, STANDARD_INFORMATION.encode({ ...times(time), file_attributes: attributes }));
  add(AT_FILE_NAME, key, true);
  add(AT_SECURITY_DESCRIPTOR, containerSecurity());
  return instances;
};

export interface NewRecord {
  readonly record: RecordEditor;
  /** Key of its entry in the folder's index. */
  readonly key: Uint8Array;
}

/** A folder with an index that has room for what is inserted before it is written. `root`: the value of its `$INDEX_ROOT`. */
export const newFolder = ({ mft }: EditContext, name: NewName, root: Uint8Array): NewRecord => {
  const record = mft.take(RECORD_IS_DIRECTORY);
  const key = fileName(name, 0, CONTAINER_FOLDER | ATTRIBUTE_HAS_INDEX);
  addCommon(record, name.time, CONTAINER_FOLDER, key);
  const instance = record.nextInstance();
  record.add(residentAttribute({ type: AT_INDEX_ROOT, name: NAME_INDEX, instance, value: root }));
  return { record, key };
};

/**
 * A container's file, written: its base record, and extension records where its runs do not fit. Throws `refused`
 * (`claim.too-scattered`) and what taking records and clusters throws.
 */
export const newFile = (context: EditContext, name: NewName, clusters: readonly Run[]): NewRecord => {
  const { mft, volume } = context;
  const record = mft.take(0);
  const size = totalLength(clusters) * volume.clusterSize;
  const key = fileName(name, size, CONTAINER_FILE);
  const instances = addCommon(record, name.time, CONTAINER_FILE, key);
  const runs = joined(clusters);
  const sizes = { allocated: size, data: size };
  const whole = encodeRuns(runs, 0, record.room - extentOverhead());
  if (whole.count === runs.length) {
    record.add(
      nonResidentAttribute({
        type: AT_DATA,
        instance: record.nextInstance(),
        lowestVcn: 0,
        clusters: whole.clusters,
        pairs: whole.pairs,
        sizes,
      }),
    );
  } else addInExtensions(context, record, instances, runs, sizes);
  mft.write('files', record);
  return { record, key };
};

/** An entry of an unnamed attribute. */
const ENTRY_SIZE = roundUp(ATTRIBUTE_LIST_ENTRY.size, ALIGNMENT);

/** All extents of the content go to extension records, and a list of everything to the base. */
const addInExtensions = (
  context: EditContext,
  base: RecordEditor,
  instances: ReadonlyMap<number, number>,
  runs: readonly Run[],
  sizes: { readonly allocated: ByteLength; readonly data: ByteLength },
): void => {
  const { mft } = context;
  const entries = [...instances].map(
    ([type, instance]): NewListEntry => ({
      type,
      name: '',
      lowestVcn: 0,
      reference: base.reference,
      instance,
    }),
  );
  let vcn = 0;
  for (let done = 0; done < runs.length; ) {
    if ((entries.length + 1) * ENTRY_SIZE > LONGEST_ATTRIBUTE_LIST) {
      throw refused('the container would lie in too many pieces', {
        code: 'claim.too-scattered',
        expected: `at most some ${done} runs`,
        found: runs.length,
        wayOut: 'Free some space, or defragment the volume',
      });
    }
    const extension = mft.take(0, base.reference);
    const { pairs, count, clusters } = encodeRuns(runs, done, extension.room - extentOverhead());
    const instance = extension.nextInstance();
    const shape = { type: AT_DATA, instance, lowestVcn: vcn, clusters, pairs };
    extension.add(nonResidentAttribute(vcn === 0 ? { ...shape, sizes } : shape));
    mft.write('extensions', extension);
    entries.push({ type: AT_DATA, name: '', lowestVcn: vcn, reference: extension.reference, instance });
    vcn += clusters;
    done += count;
  }
  putAttributeList(context, base, entries, () =>
    refused("no room for the list of the container's pieces", {
      code: 'claim.too-scattered',
      ...base.place,
      wayOut: 'Free some space, or defragment the volume',
    }),
  );
};

import type { ReadableDevice } from '../../device/device.ts';
import { corrupt } from '../../errors.ts';
import type { Extent } from '../../units.ts';
import { type Editor, type Patch, PatchBuilder } from '../patch.ts';
import { attributeRuns } from './file.ts';
import {
  AT_DATA,
  AT_VOLUME_INFORMATION,
  FILE_MFTMIRR,
  FILE_VOLUME,
  VOLUME_INFORMATION,
  VOLUME_IS_DIRTY,
} from './layout.ts';
import { resetLog } from './log-reset.ts';
import { RecordEditor } from './record-editor.ts';
import { RunMap } from './run-map.ts';
import { NtfsVolume } from './volume.ts';

/**
 * Runs `edit` on an overlay and gives what it changed as a patch that survives a power cut between any two phases: the volume is marked as
 * dirty by the first one, its log emptied by the second, and the mark taken back by the last. Throws what `edit` throws. Writes nothing.
 */
export const patch = (device: ReadableDevice, edit: (editor: Editor) => void): Patch => {
  const recorded = new PatchBuilder(device);
  edit(recorded);
  const plain = recorded.build();
  if (plain.phases.length === 0) return plain;
  const volume = new NtfsVolume(device);
  const builder = new PatchBuilder(device);
  const mark = marker(volume, builder);
  mark(true);
  resetLog(volume, builder);
  for (const phase of plain.phases) {
    for (const step of phase) builder.take(step);
    // A sector that holds record 3 beside another one was recorded without the mark.
    mark(true, false);
    builder.barrier();
  }
  mark(false);
  return builder.build();
};

/**
 * Sets the mark in the record of $Volume, and then in its copy; or takes it back where it was not there before, from the copy first: as
 * long as the two differ the volume is marked as dirty, so that the next run looks for what was cut off.
 */
const marker = (volume: NtfsVolume, builder: PatchBuilder) => {
  const copies = recordPlaces(volume);
  const before = flagsOf(open(builder, copies[0]!)).value & VOLUME_IS_DIRTY;
  return (dirty: boolean, ordered = true): void => {
    for (const extents of dirty ? copies : copies.toReversed()) {
      const record = open(builder, extents);
      const { at, value } = flagsOf(record);
      const wanted = (value & ~VOLUME_IS_DIRTY) | (dirty ? VOLUME_IS_DIRTY : before);
      if (wanted !== value) {
        VOLUME_INFORMATION.set(record.bytes, 'flags', wanted, at);
        write(builder, extents, record.protect());
      }
      if (ordered) builder.barrier();
    }
  };
};

/** Where record 3 lies, and its copy. */
const recordPlaces = (volume: NtfsVolume): Extent[][] => {
  const { recordSize, clusterSize } = volume;
  const mirror = volume.file(FILE_MFTMIRR);
  const map = RunMap.of(attributeRuns(mirror, AT_DATA, ''), mirror.record.place);
  return [volume.mft, map].map((each) => [
    ...each.extents(clusterSize, FILE_VOLUME * recordSize, recordSize),
  ]);
};

const open = (builder: PatchBuilder, extents: readonly Extent[]): RecordEditor =>
  RecordEditor.open(
    Buffer.concat(extents.map(({ start, length }) => builder.read(start, length))),
    FILE_VOLUME,
    extents[0]!.start,
  );

const flagsOf = (record: RecordEditor): { readonly at: number; readonly value: number } => {
  const found = record.find(AT_VOLUME_INFORMATION, '');
  if (found === undefined || !found.resident)
    throw corrupt('has no volume information', { code: 'ntfs.missing', ...record.place });
  const at = found.value.byteOffset - record.bytes.byteOffset;
  return { at, value: VOLUME_INFORMATION.get(record.bytes, 'flags', at) };
};

const write = (builder: PatchBuilder, extents: readonly Extent[], bytes: Uint8Array): void => {
  let done = 0;
  for (const { start, length } of extents) {
    builder.write(start, bytes.subarray(done, done + length));
    done += length;
  }
};

import { setBits } from '../../bytes/bitmap.ts';
import { totalLength } from '../../bytes/runs.ts';
import { corrupt } from '../../errors.ts';
import { type ByteLength, type ByteOffset, type Run, roundUp } from '../../units.ts';
import { PagedBitmap } from './bitmap.ts';
import { type ClusterEditor, clearBits } from './cluster-editor.ts';
import { requireContent } from './content.ts';
import { attributeRuns } from './file.ts';
import {
  AT_BITMAP,
  AT_DATA,
  AT_FILE_NAME,
  FILE_MFT,
  FILE_MFT_EXTENSION,
  FILE_MFTMIRR,
  MAGIC_FILE,
  MFT_RECORD,
  RECORD_IN_USE,
} from './layout.ts';
import { type GrowthContext, MftGrowth } from './mft-growth.ts';
import { RecordEditor } from './record-editor.ts';
import { type FileReference, readReference } from './reference.ts';
import { RunMap } from './run-map.ts';
import { clustersOf } from './runlist.ts';
import { joined } from './runlist-encoder.ts';
import type { Phase, StagedEdits } from './staged-edits.ts';
import { magicOf } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

/** Records below are the system's; ntfs-3g keeps 24 to 63 for extensions of $MFT itself. */
const FIRST_RECORD = 64;
/** The lowest record that may become an extension of $MFT: behind those of the system's files. */
const FIRST_EXTENSION = 16;
/** $MFT grows by so many. */
const GROWTH = 64;
/** The bitmap of $MFT grows by so many bytes. */
const BITMAP_STEP = 8;

/** An attribute of $MFT that grows. */
interface Growing {
  runs: Run[];
  map: RunMap;
  readonly mappedBefore: number;
}

/** Takes, writes and frees records, and makes $MFT longer when none is free. */
export class MftEditor {
  readonly #volume: NtfsVolume;
  readonly #edits: StagedEdits;
  readonly #clusters: ClusterEditor;
  readonly #marks: PagedBitmap;
  readonly #mirror: { readonly map: RunMap; readonly size: ByteLength };
  readonly #data: Growing;
  readonly #bitmap: Growing;
  readonly #knowsNumber: boolean;
  #count: number;
  #bitmapSize: ByteLength;
  /** Records up to this are taken, or not free. */
  #next = FIRST_RECORD;
  /** Records below that were taken for extensions of $MFT. */
  readonly #reserved = new Set<number>();

  /** Throws `corrupt`, `io`. */
  constructor(volume: NtfsVolume, edits: StagedEdits, clusters: ClusterEditor) {
    this.#volume = volume;
    this.#edits = edits;
    this.#clusters = clusters;
    const mft = volume.file(FILE_MFT);
    const content = requireContent(mft, AT_BITMAP, '', 'bitmap');
    this.#marks = new PagedBitmap(content, volume.recordCount, mft.record.place);
    const growing = (type: number): Growing => {
      const map = RunMap.of(attributeRuns(mft, type, ''), mft.record.place);
      const runs = [...clustersOf(map.runs())];
      if (totalLength(runs) !== map.end)
        throw corrupt('$MFT or its bitmap has a hole', { code: 'ntfs.hole', ...mft.record.place });
      return { runs, map, mappedBefore: map.end };
    };
    this.#data = growing(AT_DATA);
    this.#bitmap = growing(AT_BITMAP);
    const first = mft.find(AT_BITMAP, '');
    if (first === undefined || first.resident || first.initializedSize !== first.dataSize) {
      throw corrupt('the bitmap of $MFT has no clusters, or is not all there', {
        code: 'ntfs.bitmap-size',
        ...mft.record.place,
      });
    }
    this.#bitmapSize = content.size;
    this.#count = volume.recordCount;
    this.#knowsNumber = MFT_RECORD.get(mft.record.bytes, 'usa_ofs') >= MFT_RECORD.size;
    const mirror = volume.file(FILE_MFTMIRR);
    this.#mirror = {
      map: RunMap.of(attributeRuns(mirror, AT_DATA, ''), mirror.record.place),
      size: requireContent(mirror, AT_DATA, '', 'content').size,
    };
  }

  /** The record as it stands, to be changed. Throws `corrupt`, `io`. */
  open(number: number): RecordEditor {
    return RecordEditor.open(this.#standing(number), number, this.#offsetOf(number));
  }

  #offsetOf(number: number): ByteOffset {
    const { recordSize, clusterSize } = this.#volume;
    const [first] = this.#data.map.extents(clusterSize, number * recordSize, recordSize);
    return first!.start;
  }

  #standing(number: number): Uint8Array {
    const { recordSize, clusterSize } = this.#volume;
    const parts = [...this.#data.map.extents(clusterSize, number * recordSize, recordSize)];
    return Buffer.concat(parts.map(({ start, length }) => this.#edits.read(start, length)));
  }

  /**
   * A free record, marked and empty. `base`: it extends that one. Throws `refused` (`claim.no-space`), `corrupt`
   * (`ntfs.record-unmarked`), `io`.
   */
  take(flags: number, base?: FileReference): RecordEditor {
    const number = this.#findFree();
    this.#next = number + 1;
    this.#mark(number, true);
    return this.#format(number, flags | RECORD_IN_USE, base);
  }

  /** A record without attributes over the one that stands there. */
  #format(number: number, flags: number, base?: FileReference): RecordEditor {
    const standing = this.#standing(number);
    const known = magicOf(standing) === MAGIC_FILE;
    const sequence = known ? MFT_RECORD.get(standing, 'sequence_number') : 1;
    const usable = known && MFT_RECORD.get(standing, 'usa_ofs') <= MFT_RECORD.size;
    return RecordEditor.empty({
      number,
      size: this.#volume.recordSize,
      sequence: sequence === 0 ? 1 : sequence,
      knowsNumber: this.#knowsNumber,
      flags,
      links: base === undefined && (flags & RECORD_IN_USE) !== 0 ? 1 : 0,
      base,
      standing: usable ? standing : undefined,
      offset: this.#offsetOf(number),
    });
  }

  /** Bytes that attributes may take in a new record. */
  get emptyRoom(): ByteLength {
    return this.#format(FILE_MFT, 0).room;
  }

  #findFree(): number {
    const { recordCount } = this.#volume;
    while (this.#next < recordCount) {
      const number = this.#marks.firstClear({ start: this.#next, length: recordCount - this.#next });
      if (number === undefined) break;
      const bytes = this.#standing(number);
      if (magicOf(bytes) !== MAGIC_FILE || (MFT_RECORD.get(bytes, 'flags') & RECORD_IN_USE) === 0)
        return number;
      throw corrupt('is in use, but marked as free in the bitmap of $MFT', {
        code: 'ntfs.record-unmarked',
        structure: `MFT record ${number}`,
        offset: this.#offsetOf(number),
      });
    }
    const number = Math.max(this.#next, recordCount);
    if (number >= this.#count) this.#grow();
    return number;
  }

  /** More records, formatted but not in use, in what $MFT has allocated or in further clusters. */
  #grow(): void {
    const { recordSize, clusterSize } = this.#volume;
    const before = this.#count;
    const count = roundUp(Math.max(before, FIRST_RECORD) + 1, GROWTH);
    this.#extend(this.#data, Math.ceil((count * recordSize) / clusterSize));
    const size = Math.max(this.#bitmapSize, roundUp(Math.ceil(count / 8), BITMAP_STEP));
    this.#extend(this.#bitmap, Math.ceil(size / clusterSize));
    this.#writeTo(this.#bitmap.map, 'prepare', this.#bitmapSize, new Uint8Array(size - this.#bitmapSize));
    for (let number = before; number < count; number += 1) {
      const unused = RecordEditor.empty({
        number,
        size: recordSize,
        sequence: 1,
        knowsNumber: this.#knowsNumber,
        flags: 0,
        links: 0,
        offset: this.#offsetOf(number),
      });
      this.#writeTo(this.#data.map, 'prepare', number * recordSize, unused.protect());
    }
    this.#count = count;
    this.#bitmapSize = size;
  }

  #extend(growing: Growing, clusters: number): void {
    const missing = clusters - growing.map.end;
    if (missing <= 0) return;
    const last = growing.runs.at(-1);
    const near = last === undefined ? undefined : last.start + last.length;
    growing.runs = joined([...growing.runs, ...this.#clusters.take(missing, near)]);
    const map = new RunMap({ structure: '$MFT', offset: 0 });
    for (const { start, length } of growing.runs) map.add({ vcn: map.end, start, length });
    growing.map = map;
  }

  /**
   * A record for an extension of $MFT, marked and empty, all of it in the VCNs below `limit`: number 15 if it is in reserve still, then
   * the lowest free one from 16 on, as ntfs-3g does it.
   */
  #takeReserved(limit: number): RecordEditor | undefined {
    const { recordSize, clusterSize } = this.#volume;
    const end = Math.min(this.#count, Math.floor((limit * clusterSize) / recordSize));
    const base = this.open(FILE_MFT).reference;
    if (this.#isInReserve(end)) {
      this.#reserved.add(FILE_MFT_EXTENSION);
      return this.#format(FILE_MFT_EXTENSION, RECORD_IN_USE, base);
    }
    for (let number = FIRST_EXTENSION; number < end; number += 1) {
      if (number === FIRST_RECORD) number = Math.max(number, this.#next);
      if (number >= end) return undefined;
      if (this.#reserved.has(number) || !this.#isFree(number)) continue;
      this.#reserved.add(number);
      if (number >= FIRST_RECORD) this.#next = number + 1;
      this.#mark(number, true);
      return this.#format(number, RECORD_IN_USE, base);
    }
    return undefined;
  }

  #isFree(number: number): boolean {
    if (number < this.#volume.recordCount && this.#marks.isSet(number)) return false;
    const bytes = this.#standing(number);
    return magicOf(bytes) !== MAGIC_FILE || (MFT_RECORD.get(bytes, 'flags') & RECORD_IN_USE) === 0;
  }

  /** Whether record 15 is what a new volume has there: in use, with no name, no clusters and nobody's extension. */
  #isInReserve(end: number): boolean {
    const number = FILE_MFT_EXTENSION;
    if (number >= end || this.#reserved.has(number) || !this.#marks.isSet(number)) return false;
    if (magicOf(this.#standing(number)) !== MAGIC_FILE) return false;
    const record = this.open(number);
    const base = readReference(MFT_RECORD, record.bytes, 'base_mft_record');
    const names = record.attributes().some(({ type, resident }) => type === AT_FILE_NAME || !resident);
    return (
      base.number === 0 && base.sequence === 0 && !names && MFT_RECORD.get(record.bytes, 'link_count') === 0
    );
  }

  #mark(number: number, used: boolean): void {
    const { clusterSize } = this.#volume;
    const byte = Math.floor(number / 8);
    const [place] = this.#bitmap.map.extents(clusterSize, byte, 1);
    const bytes = this.#edits.read(place!.start, 1);
    const bit = number % 8;
    if (used) setBits(bytes, bit, bit + 1);
    else clearBits(bytes, bit, bit + 1);
    this.#edits.write(used ? 'marks' : 'unmarks', place!.start, bytes);
  }

  /** Plans a write of a record, and of its copy in $MFTMirr where that has one: that of record 0 when the record itself is written. */
  write(phase: Phase, record: RecordEditor): void {
    const { recordSize } = this.#volume;
    const bytes = record.protect();
    this.#writeTo(this.#data.map, phase, record.number * recordSize, bytes);
    if ((record.number + 1) * recordSize > this.#mirror.size) return;
    const then = phase === 'growth' && record.number === FILE_MFT ? 'grown' : phase;
    this.#writeTo(this.#mirror.map, then, record.number * recordSize, bytes);
  }

  #writeTo(map: RunMap, phase: Phase, offset: number, bytes: Uint8Array): void {
    let done = 0;
    for (const { start, length } of map.extents(this.#volume.clusterSize, offset, bytes.length)) {
      this.#edits.write(phase, start, bytes.subarray(done, done + length));
      done += length;
    }
  }

  /** Frees a record: not in use, its sequence number raised so that nobody takes the next file for this one. */
  free(number: number, phase: 'unused' | 'unextended'): void {
    const record = this.open(number);
    const { sequence } = record;
    MFT_RECORD.set(record.bytes, 'sequence_number', sequence >= 0xffff ? 1 : sequence + 1);
    MFT_RECORD.set(record.bytes, 'flags', MFT_RECORD.get(record.bytes, 'flags') & ~RECORD_IN_USE);
    this.write(phase, record);
    this.#mark(number, false);
  }

  /** Plans the growth of $MFT, if there was any. Throws `refused` (`claim.mft-scattered`, `claim.no-space`), `corrupt`, `io`. */
  finish(): void {
    const { recordSize } = this.#volume;
    if (this.#count === this.#volume.recordCount) return;
    const context: GrowthContext = {
      volume: this.#volume,
      edits: this.#edits,
      clusters: this.#clusters,
      emptyRoom: this.emptyRoom,
      open: (number) => this.open(number),
      takeReserved: (limit) => this.#takeReserved(limit),
      write: (phase, record) => this.write(phase, record),
      retire: (number) => this.free(number, 'unextended'),
    };
    new MftGrowth(context, {
      own: this.open(FILE_MFT),
      file: this.#volume.file(FILE_MFT),
      data: { ...this.#data, size: this.#count * recordSize },
      bitmap: { ...this.#bitmap, size: this.#bitmapSize },
    }).plan();
  }
}

import { nextBit, setBits } from '../../bytes/bitmap.ts';
import { totalLength } from '../../bytes/runs.ts';
import { corrupt, type HoldfastError } from '../../errors.ts';
import type { ByteLength, Run } from '../../units.ts';
import type { NonResidentAttribute } from './attribute.ts';
import { clearBits } from './cluster-editor.ts';
import { requireContent } from './content.ts';
import type { NameIndex } from './directory.ts';
import { attributeRuns, type NtfsFile } from './file.ts';
import type { FolderRecords, Placed } from './folder-records.ts';
import { AT_BITMAP, AT_INDEX_ALLOCATION, NAME_INDEX, NON_RESIDENT_ATTRIBUTE } from './layout.ts';
import { extentOverhead, nonResidentAttribute, residentAttribute } from './new-attribute.ts';
import type { EditContext } from './new-file.ts';
import { RunMap } from './run-map.ts';
import { clustersOf } from './runlist.ts';
import { encodeRuns, joined, runsFrom } from './runlist-encoder.ts';
import type { Phase } from './staged-edits.ts';
import { protectRecord } from './update-sequence.ts';

/** Bits are held in memory: these are for a million blocks, some 20 million names. */
const MOST_BITS: ByteLength = 128 * 1024;
/** The bitmap grows by so many bytes. */
const BITMAP_STEP = 8;

/** The blocks of an index that is being changed: `$INDEX_ALLOCATION` and `$BITMAP` of the folder. */
export class IndexBlocks {
  readonly #context: EditContext;
  readonly #file: NtfsFile;
  readonly #index: NameIndex;
  #runs: Run[] = [];
  #count = 0;
  #bits = new Uint8Array(BITMAP_STEP);
  readonly #freed: number[] = [];
  #changed = false;

  /** `full`: what to throw where there is no room. Throws `corrupt`, `io`. */
  constructor(context: EditContext, file: NtfsFile, index: NameIndex, full: () => HoldfastError) {
    this.#context = context;
    this.#file = file;
    this.#index = index;
    if (index.blocks === undefined) return;
    const runs = [...attributeRuns(file, AT_INDEX_ALLOCATION, NAME_INDEX)];
    if (runs.some(({ start }) => start === undefined))
      throw corrupt('the index of a folder has a hole', { code: 'ntfs.hole', ...file.record.place });
    this.#runs = [...clustersOf(runs)];
    this.#count = Math.floor(index.blocks.size / index.blockSize);
    const bitmap = requireContent(file, AT_BITMAP, NAME_INDEX, 'bitmap of its index');
    if (bitmap.size > MOST_BITS) throw full();
    this.#bits = new Uint8Array(bitmap.size);
    bitmap.readInto(0, this.#bits);
  }

  /** Whether blocks were taken or given back. */
  get changed(): boolean {
    return this.#changed;
  }

  get hasFreed(): boolean {
    return this.#freed.length > 0;
  }

  /** Number of a block that is not part of the tree: a free one, or one more. Throws `refused` (`claim.no-space`). */
  take(): number {
    const number = nextBit(this.#bits, false, 0, Math.min(this.#count, 8 * this.#bits.length));
    if (number >= this.#count) this.#add();
    else if (number >= 8 * this.#bits.length) this.#lengthen();
    setBits(this.#bits, number, number + 1);
    this.#changed = true;
    return (number * this.#index.blockSize) / this.#index.vcnBytes;
  }

  /** Whether there are so many blocks, or clusters for them. */
  canTake(count: number): boolean {
    const { clusterSize } = this.#context.volume;
    let free = 0;
    const end = Math.min(this.#count, 8 * this.#bits.length);
    for (let at = nextBit(this.#bits, false, 0, end); at < end && free < count; free += 1)
      at = nextBit(this.#bits, false, at + 1, end);
    const clusters = Math.ceil(((this.#count + count - free) * this.#index.blockSize) / clusterSize);
    return this.#context.clusters.canTake(clusters - totalLength(this.#runs));
  }

  #lengthen(): void {
    const longer = new Uint8Array(this.#bits.length + BITMAP_STEP);
    longer.set(this.#bits);
    this.#bits = longer;
  }

  #add(): void {
    const { clusterSize } = this.#context.volume;
    this.#count += 1;
    const clusters = Math.ceil((this.#count * this.#index.blockSize) / clusterSize);
    const have = this.#runs.reduce((sum, { length }) => sum + length, 0);
    if (clusters > have) {
      const last = this.#runs.at(-1);
      const near = last === undefined ? undefined : last.start + last.length;
      this.#runs = joined([...this.#runs, ...this.#context.clusters.take(clusters - have, near)]);
    }
    if (this.#count > 8 * this.#bits.length) this.#lengthen();
  }

  /** The block is no part of the tree any more; its bit stays until `clearFreed`. */
  free(vcn: number): void {
    this.#freed.push((vcn * this.#index.vcnBytes) / this.#index.blockSize);
  }

  clearFreed(): void {
    for (const number of this.#freed) clearBits(this.#bits, number, number + 1);
    this.#changed = true;
  }

  /** Puts runs and bits into the folder's records, if they have changed. False if they do not fit. */
  put(records: FolderRecords): boolean {
    if (!this.putRuns(records)) return false;
    if (!this.#changed) return true;
    const bitmap = records.find(AT_BITMAP);
    // In clusters of its own: its bits are written there, and it does not grow.
    if (bitmap?.resident === false)
      return this.#bits.length <= Math.min(bitmap.dataSize, bitmap.initializedSize);
    const flags = bitmap?.flags ?? 0;
    const made = { type: AT_BITMAP, name: NAME_INDEX, instance: 0, flags, value: this.#bits };
    return records.put(AT_BITMAP, residentAttribute(made));
  }

  #extent(flags: number, lowestVcn: number, runs: readonly Run[], first = 0, room = Number.MAX_SAFE_INTEGER) {
    const { pairs, count, clusters } = encodeRuns(runs, first, room);
    const shape = {
      type: AT_INDEX_ALLOCATION,
      name: NAME_INDEX,
      instance: 0,
      flags,
      lowestVcn,
      clusters,
      pairs,
    };
    return { attribute: nonResidentAttribute(shape), count, clusters };
  }

  /** Only the runs: blocks that no bit calls part of the tree. */
  putRuns(records: FolderRecords): boolean {
    if (!this.#changed) return true;
    const { emptyRoom } = this.#context.mft;
    const extents = records.extents(AT_INDEX_ALLOCATION) as Placed<NonResidentAttribute>[];
    const flags = extents[0]?.attribute.flags ?? 0;
    if (extents.length <= 1) {
      const { attribute } = this.#extent(flags, 0, this.#runs);
      this.#setSizes(attribute, 0);
      if (attribute.length <= emptyRoom) return records.put(AT_INDEX_ALLOCATION, attribute);
    }
    const last = extents.at(-1);
    if (!records.isSpread || last === undefined) return false;
    const { lowestVcn, highestVcn } = last.attribute.pairs;
    const rest = runsFrom(this.#runs, highestVcn + 1);
    const longer = this.#extent(flags, lowestVcn, runsFrom(this.#runs, lowestVcn)).attribute;
    if (rest.length > 0 && (lowestVcn === 0 || !records.lengthen(last, longer))) {
      let vcn = highestVcn + 1;
      for (let done = 0; done < rest.length; ) {
        const made = this.#extent(flags, vcn, rest, done, emptyRoom - extentOverhead(NAME_INDEX));
        records.append(made.attribute);
        done += made.count;
        vcn += made.clusters;
      }
    }
    const [{ record, attribute }] = records.extents(AT_INDEX_ALLOCATION) as [Placed];
    this.#setSizes(record.bytes, attribute.at);
    return true;
  }

  #setSizes(bytes: Uint8Array, at: number): void {
    const data = this.#count * this.#index.blockSize;
    NON_RESIDENT_ATTRIBUTE.set(
      bytes,
      'allocated_size',
      totalLength(this.#runs) * this.#context.volume.clusterSize,
      at,
    );
    NON_RESIDENT_ATTRIBUTE.set(bytes, 'data_size', data, at);
    NON_RESIDENT_ATTRIBUTE.set(bytes, 'initialized_size', data, at);
  }

  /** Plans a block. `isNew`: what stands in its place means nothing. */
  write(phase: Phase, vcn: number, plain: Uint8Array, isNew: boolean): void {
    const map = new RunMap(this.#file.record.place);
    for (const { start, length } of this.#runs) map.add({ vcn: map.end, start, length });
    const { edits, volume } = this.#context;
    const places = [...map.extents(volume.clusterSize, vcn * this.#index.vcnBytes, this.#index.blockSize)];
    const standing = Buffer.concat(places.map(({ start, length }) => edits.read(start, length)));
    const bytes = protectRecord(plain, isNew ? undefined : standing);
    let done = 0;
    for (const { start, length } of places) {
      edits.write(phase, start, bytes.subarray(done, done + length));
      done += length;
    }
  }

  /** Plans the bits, if they lie in clusters. */
  writeBits(phase: Phase): void {
    const bitmap = this.#file.find(AT_BITMAP, NAME_INDEX);
    if (bitmap === undefined || bitmap.resident) return;
    const { volume, edits } = this.#context;
    const map = RunMap.of(attributeRuns(this.#file, AT_BITMAP, NAME_INDEX), this.#file.record.place);
    let done = 0;
    for (const { start, length } of map.extents(volume.clusterSize, 0, this.#bits.length)) {
      edits.write(phase, start, this.#bits.subarray(done, done + length));
      done += length;
    }
  }
}

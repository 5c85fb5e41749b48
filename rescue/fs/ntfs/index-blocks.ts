import { nextBit, setBits } from '../../bytes/bitmap.ts';
import { corrupt, type HoldfastError } from '../../errors.ts';
import type { ByteLength, Run } from '../../units.ts';
import type { NonResidentAttribute } from './attribute.ts';
import { clearBits } from './cluster-editor.ts';
import { requireContent } from './content.ts';
import type { NameIndex } from './directory.ts';
import { attributeRuns, type NtfsFile } from './file.ts';
import { AT_BITMAP, AT_INDEX_ALLOCATION, NAME_INDEX } from './layout.ts';
import { extentOverhead, nonResidentAttribute, residentAttribute } from './new-attribute.ts';
import type { EditContext } from './new-file.ts';
import type { RecordEditor } from './record-editor.ts';
import { RunMap } from './run-map.ts';
import { clustersOf } from './runlist.ts';
import { encodeRuns, joined } from './runlist-encoder.ts';
import type { Phase } from './staged-edits.ts';
import { protectRecord } from './update-sequence.ts';

/** Bits are held in memory: these are for a million blocks, some 20 million names. */
const MOST_BITS: ByteLength = 128 * 1024;
/** The bitmap grows by so many bytes. */
const BITMAP_STEP = 8;

/** Puts an attribute of the index in the place of the old one. False if the record has no room. */
export const putIndexAttribute = (record: RecordEditor, type: number, attribute: Uint8Array): boolean => {
  const old = record.find(type, NAME_INDEX);
  if (attribute.length > record.room + (old?.length ?? 0)) return false;
  if (old === undefined) record.add(attribute);
  else record.replace(old, attribute);
  return true;
};

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

  /** Puts runs and bits into the folder's record, if they have changed. False if they do not fit. */
  put(record: RecordEditor): boolean {
    if (!this.#changed) return true;
    const { clusterSize } = this.#context.volume;
    const type = AT_INDEX_ALLOCATION;
    const old = record.find(type, NAME_INDEX) as NonResidentAttribute | undefined;
    const room = record.room + (old?.length ?? 0) - extentOverhead(NAME_INDEX);
    const { pairs, count, clusters } = encodeRuns(this.#runs, 0, room);
    if (count < this.#runs.length) return false;
    const sizes = { allocated: clusters * clusterSize, data: this.#count * this.#index.blockSize };
    const instance = old?.instance ?? record.nextInstance();
    const flags = old?.flags ?? 0;
    const extent = { type, name: NAME_INDEX, instance, flags, lowestVcn: 0, clusters, pairs, sizes };
    if (!putIndexAttribute(record, type, nonResidentAttribute(extent))) return false;
    const bitmap = record.find(AT_BITMAP, NAME_INDEX);
    // In clusters of its own: its bits are written there, and it does not grow.
    if (bitmap?.resident === false)
      return this.#bits.length <= Math.min(bitmap.dataSize, bitmap.initializedSize);
    const made = residentAttribute({
      type: AT_BITMAP,
      name: NAME_INDEX,
      instance: bitmap?.instance ?? record.nextInstance(),
      flags: bitmap?.flags ?? 0,
      value: this.#bits,
    });
    return putIndexAttribute(record, AT_BITMAP, made);
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

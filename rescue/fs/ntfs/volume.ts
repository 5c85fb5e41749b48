import type { ReadableDevice } from '../../device/device.ts';
import { corrupt } from '../../errors.ts';
import { type ByteLength, type ByteOffset, KIB } from '../../units.ts';
import { type NtfsParameters, readParameters } from './boot-sector.ts';
import { attributeRuns, type NtfsFile, openRecord } from './file.ts';
import { AT_DATA, FILE_MFT } from './layout.ts';
import { type MftRecord, parseRecord } from './record.ts';
import { RunMap } from './run-map.ts';

/** $MFT is read in pieces of this size, of which some are kept: 4 MiB in all. */
const PIECE = 64 * KIB;
const MOST_PIECES = 64;

const MFT_PLACE = { structure: '$MFT', offset: 0 };

/** The system files are records 0 to 15. */
const FEWEST_RECORDS = 16;

/**
 * An NTFS volume: its checked numbers, its clusters and its MFT records. Pieces of $MFT are cached: the device must not
 * change under it.
 */
export class NtfsVolume {
  readonly device: ReadableDevice;
  readonly parameters: NtfsParameters;
  /** MFT records that were ever initialised. */
  readonly recordCount: number;
  readonly #mft = new RunMap(MFT_PLACE);
  readonly #pieces = new Map<number, Uint8Array>();
  #ready = false;

  /** Throws like `readParameters`; also `corrupt` if $MFT cannot be put together, `io`. */
  constructor(device: ReadableDevice) {
    this.device = device;
    this.parameters = readParameters(device);
    this.recordCount = this.#findMft();
    this.#ready = true;
  }

  get clusterSize(): ByteLength {
    return this.parameters.clusterSize;
  }

  get clusterCount(): number {
    return this.parameters.clusterCount;
  }

  get recordSize(): ByteLength {
    return this.parameters.recordSize;
  }

  clusterOffset(cluster: number): ByteOffset {
    return cluster * this.parameters.clusterSize;
  }

  /**
   * $MFT says itself where it is. Its first record is where the boot sector says; if its runs do not fit there, its attribute
   * list names further records of $MFT, each of which lies in what the ones before it have mapped.
   */
  #findMft(): number {
    const { mftCluster, recordSize } = this.parameters;
    const offset = this.clusterOffset(mftCluster);
    const record = parseRecord(this.device.read(offset, recordSize), FILE_MFT, offset);
    const file = openRecord(this, record);
    const data = this.#mftData(file);
    for (const run of attributeRuns(file, AT_DATA, '')) this.#mft.add(run);
    if (this.#mft.end === 0 || this.#mft.at(0).start !== mftCluster)
      throw this.#mftFault('does not begin where the boot sector says', mftCluster, this.#mft.end);
    const size = Math.min(data.initializedSize, data.dataSize, this.#mft.end * this.clusterSize);
    const count = Math.floor(size / recordSize);
    if (count < FEWEST_RECORDS) throw this.#mftFault('has too few records', FEWEST_RECORDS, count);
    return count;
  }

  #mftFault(message: string, expected: number, found: number) {
    const offset = this.clusterOffset(this.parameters.mftCluster);
    return corrupt(message, { code: 'ntfs.mft', structure: '$MFT', offset, expected, found });
  }

  #mftData(file: NtfsFile) {
    const data = file.find(AT_DATA, '');
    if (data !== undefined && !data.resident) return data;
    throw this.#mftFault('has no clusters', 1, 0);
  }

  /** Byte position of a record's first byte. Throws `corrupt` (`ntfs.vcn-range`) if $MFT ends before. */
  recordOffset(number: number): ByteOffset {
    const byte = number * this.recordSize;
    const { start } = this.#mft.at(Math.floor(byte / this.clusterSize));
    if (start === undefined) throw this.#mftFault('has a hole', number, -1);
    return this.clusterOffset(start) + (byte % this.clusterSize);
  }

  /** Bytes of $MFT as they stand on the disk, update sequences included. */
  readMftInto(offset: ByteOffset, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const at = offset + done;
      const within = at % this.clusterSize;
      const { start, length } = this.#mft.at(Math.floor(at / this.clusterSize));
      if (start === undefined) throw this.#mftFault('has a hole', Math.floor(at / this.recordSize), -1);
      const size = Math.min(length * this.clusterSize - within, target.length - done);
      this.device.readInto(this.clusterOffset(start) + within, target.subarray(done, done + size));
      done += size;
    }
  }

  /** The runs of $MFT's content, as they stand. */
  get mft(): RunMap {
    return this.#mft;
  }

  #piece(index: number): Uint8Array {
    const cached = this.#pieces.get(index);
    if (cached !== undefined) return cached;
    const offset = index * PIECE;
    const piece = new Uint8Array(Math.min(PIECE, this.recordCount * this.recordSize - offset));
    this.readMftInto(offset, piece);
    const [oldest] = this.#pieces.keys();
    if (oldest !== undefined && this.#pieces.size >= MOST_PIECES) this.#pieces.delete(oldest);
    this.#pieces.set(index, piece);
    return piece;
  }

  /**
   * A copy of one record, whether in use or not. Throws `corrupt` (`ntfs.record-range`, and like `parseRecord`), `io`.
   */
  record(number: number): MftRecord {
    const { recordSize } = this;
    const offset = number * recordSize;
    if (!this.#ready) {
      const bytes = new Uint8Array(recordSize);
      this.readMftInto(offset, bytes);
      return parseRecord(bytes, number, this.recordOffset(number));
    }
    if (number >= this.recordCount) {
      throw corrupt('there is no such record', {
        code: 'ntfs.record-range',
        ...MFT_PLACE,
        expected: `up to ${this.recordCount - 1}`,
        found: number,
      });
    }
    const within = offset % PIECE;
    const bytes = this.#piece(Math.floor(offset / PIECE)).slice(within, within + recordSize);
    return parseRecord(bytes, number, this.recordOffset(number));
  }

  /** The file whose first record is `number`. Throws like `record` and `openRecord`. */
  file(number: number): NtfsFile {
    return openRecord(this, this.record(number));
  }
}

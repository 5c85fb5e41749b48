import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ByteLength } from '../units.ts';
import type { StreamHead } from './anchor.ts';
import { encodeFrame } from './codec.ts';
import type { SlotHomes } from './extents.ts';
import { MAX_FRAME_SIZE, type StreamName } from './layout.ts';
import type { LogWriter } from './log-writer.ts';
import { encodeRecordHead, type RecordHead, recordLength, sha256 } from './record.ts';
import { payloadCapacity } from './slot.ts';
import { dataSlotIndex } from './slot-order.ts';

interface OpenStream {
  records: number;
  logOffset: number;
  length: ByteLength;
  readonly digest: Hash;
}

/** Where an appended record lies in the log. */
export interface RecordPlace {
  readonly logOffset: number;
  readonly length: ByteLength;
}

/** Appends records to the log and keeps, for each stream, what its head will say. */
export class StreamWriter {
  readonly #log: LogWriter;
  readonly #streams = new Map<StreamName, OpenStream>();

  constructor(log: LogWriter) {
    this.#log = log;
  }

  /** A record that is encoded already; its sequence number is given here. */
  append(head: Omit<RecordHead, 'sequence'>, stored: Uint8Array): RecordPlace {
    let stream = this.#streams.get(head.stream);
    if (stream === undefined) {
      stream = { records: 0, logOffset: this.#log.position, length: 0, digest: createHash('sha256') };
      this.#streams.set(head.stream, stream);
    }
    const bytes = encodeRecordHead({ ...head, sequence: stream.records });
    const logOffset = this.#log.append(bytes, stored);
    const length = recordLength(head.runs.length, stored.length);
    stream.records += 1;
    stream.length += length;
    stream.digest.update(head.digest);
    return { logOffset, length };
  }

  /** One record of an index stream: compressed if that helps. */
  appendContent(stream: StreamName, raw: Uint8Array, firstUnit = 0, space = 0): RecordPlace {
    if (raw.length > MAX_FRAME_SIZE) throw new RangeError(`${stream} record of ${raw.length} bytes`);
    const { codec, stored } = encodeFrame(raw, { codec: stream === 'extents' ? 'store' : 'zstd', level: 3 });
    return this.append(
      {
        stream,
        codec,
        space,
        runs: [],
        rawLength: raw.length,
        storedLength: stored.length,
        storedCrc: crc32(stored),
        digest: sha256(raw),
        firstUnit,
      },
      stored,
    );
  }

  heads(homes: SlotHomes): StreamHead[] {
    const capacity = payloadCapacity(homes.slotSize);
    return [...this.#streams].map(([stream, { records, logOffset, length, digest }]) => {
      const slotIndex = dataSlotIndex(Math.floor(logOffset / capacity));
      return {
        stream,
        records,
        logOffset,
        length,
        slotHome: homes.homeOf(slotIndex),
        slotIndex,
        digest: Uint8Array.from(digest.copy().digest()),
      };
    });
  }
}

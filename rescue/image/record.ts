import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { corrupt } from '../errors.ts';
import { type ByteLength, type Run, roundUp } from '../units.ts';
import { codecName } from './codec.ts';
import {
  CODEC,
  type Codec,
  MAX_FRAME_SIZE,
  MAX_RECORD_RUNS,
  RECORD_ALIGNMENT,
  RECORD_HEADER,
  RECORD_MAGIC,
  RECORD_RUN,
  STREAM,
  type StreamName,
  ZERO_RUN,
} from './layout.ts';

/** A run of a record; `zero` runs are part of the image but not of the raw content. */
export interface RecordRun extends Run {
  readonly zero?: boolean;
}

export interface RecordHead {
  readonly stream: StreamName;
  readonly codec: Codec;
  readonly space: number;
  readonly sequence: number;
  /** In units of the address space, ascending; those that are not `zero` make up the raw content, in order. */
  readonly runs: readonly RecordRun[];
  readonly rawLength: ByteLength;
  readonly storedLength: ByteLength;
  readonly storedCrc: number;
  /** SHA-256 of the raw content; zeros for codec zero. */
  readonly digest: Uint8Array;
  readonly firstUnit: number;
}

const STREAM_NAMES = new Map<number, StreamName>(
  Object.entries(STREAM).map(([name, code]) => [code, name as StreamName]),
);

export const NO_DIGEST = new Uint8Array(32);

export const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');

/** Bytes of header and run table. */
export const headLength = (runs: number): ByteLength => RECORD_HEADER.size + runs * RECORD_RUN.size;

/** Bytes of the whole record in the log. */
export const recordLength = (runs: number, storedLength: ByteLength): ByteLength =>
  roundUp(headLength(runs) + storedLength, RECORD_ALIGNMENT);

/** No record is longer. */
export const MAX_RECORD_LENGTH = recordLength(MAX_RECORD_RUNS, MAX_FRAME_SIZE);

export const encodeRecordHead = (head: RecordHead): Uint8Array => {
  const bytes = new Uint8Array(headLength(head.runs.length));
  bytes.set(
    RECORD_HEADER.encode({
      magic: RECORD_MAGIC,
      stream: STREAM[head.stream],
      codec: CODEC[head.codec],
      space: head.space,
      sequence: head.sequence,
      run_count: head.runs.length,
      raw_length: head.rawLength,
      stored_length: head.storedLength,
      stored_crc: head.storedCrc,
      digest: head.digest,
      first_unit: head.firstUnit,
    }),
  );
  head.runs.forEach((run, index) => {
    const at = headLength(index);
    RECORD_RUN.set(bytes, 'start', run.start, at);
    RECORD_RUN.set(bytes, 'length', run.length + (run.zero === true ? ZERO_RUN : 0), at);
  });
  RECORD_HEADER.set(bytes, 'header_crc', crc32(bytes.subarray(RECORD_HEADER.offsetOf('stream'))));
  return bytes;
};

const fail = (code: string, message: string, logOffset: number, found?: number) =>
  corrupt(`${message} at log position ${logOffset}`, {
    code: `record.${code}`,
    structure: 'record header',
    ...(found === undefined ? {} : { found }),
  });

/** Checks the fixed part and returns how long header and run table are. Throws `corrupt` (`record.*`). */
export const peekHeadLength = (bytes: Uint8Array, logOffset: number): ByteLength => {
  if (RECORD_HEADER.get(bytes, 'magic') !== RECORD_MAGIC) throw fail('magic', 'no record', logOffset);
  const runs = RECORD_HEADER.get(bytes, 'run_count');
  if (runs > MAX_RECORD_RUNS) throw fail('runs', 'too many runs', logOffset, runs);
  return headLength(runs);
};

/** `bytes` begins with header and run table. Throws `corrupt` (`record.*`). */
export const parseRecordHead = (bytes: Uint8Array, logOffset: number): RecordHead => {
  const length = peekHeadLength(bytes, logOffset);
  if (bytes.length < length) throw fail('cut-short', 'record cut short', logOffset, bytes.length);
  const crc = crc32(bytes.subarray(RECORD_HEADER.offsetOf('stream'), length));
  // Before any other field: damage is full of numbers that no field can hold.
  if (crc !== RECORD_HEADER.get(bytes, 'header_crc')) throw fail('header-crc', 'wrong checksum', logOffset);
  const field = RECORD_HEADER.decode(bytes);
  const stream = STREAM_NAMES.get(field.stream);
  const codec = codecName(field.codec);
  if (stream === undefined) throw fail('stream', 'unknown stream', logOffset, field.stream);
  if (codec === undefined) throw fail('codec', 'unknown codec', logOffset, field.codec);
  if (field.raw_length > MAX_FRAME_SIZE) throw fail('length', 'frame too long', logOffset, field.raw_length);
  if (field.stored_length > field.raw_length) {
    throw fail('length', 'stored longer than raw', logOffset, field.stored_length);
  }
  const runs: RecordRun[] = [];
  for (let index = 0; index < field.run_count; index += 1) {
    const at = headLength(index);
    const length = RECORD_RUN.get(bytes, 'length', at);
    const start = RECORD_RUN.get(bytes, 'start', at);
    runs.push(length >= ZERO_RUN ? { start, length: length - ZERO_RUN, zero: true } : { start, length });
  }
  return {
    stream,
    codec,
    space: field.space,
    sequence: field.sequence,
    runs,
    rawLength: field.raw_length,
    storedLength: field.stored_length,
    storedCrc: field.stored_crc,
    digest: field.digest,
    firstUnit: field.first_unit,
  };
};

import type { Codec } from '../image/layout.ts';
import type { ByteLength } from '../units.ts';

/** What goes between the pipeline and its workers. Offsets count from the start of the task's region. */

export interface EncodeFrame {
  /** Where the raw units lie in the region, and how many bytes. */
  readonly at: number;
  readonly length: ByteLength;
  readonly unit: ByteLength;
}

export interface EncodeTask {
  readonly kind: 'encode';
  readonly frames: readonly EncodeFrame[];
  readonly codec: Exclude<Codec, 'zero'>;
  readonly level: number;
}

export interface EncodedFrame {
  /** Runs of units that are all zero: [first, count] pairs counted from the frame's first unit; ascending. */
  readonly zeros: readonly (readonly [number, number])[];
  readonly codec: Codec;
  readonly rawLength: ByteLength;
  /** Where the stored bytes lie in the region. */
  readonly storedAt: number;
  readonly storedLength: ByteLength;
  readonly storedCrc: number;
  readonly digest: Uint8Array;
}

export interface DecodeFrame {
  /** Where the stored bytes lie in the region. */
  readonly at: number;
  readonly storedLength: ByteLength;
  readonly storedCrc: number;
  readonly codec: Exclude<Codec, 'zero'>;
  readonly rawLength: ByteLength;
  /** SHA-256 that the content must have; undefined where that was compared before and the stored bytes are the same by their CRC. */
  readonly digest: Uint8Array | undefined;
  /** Whether the output's place holds what may be this content already: if its SHA-256 is the digest, nothing is decoded. */
  readonly look: boolean;
}

export interface DecodeTask {
  readonly kind: 'decode';
  readonly frames: readonly DecodeFrame[];
}

export interface DecodedFrame {
  /** Where the raw bytes lie in the region; -1 if the frame is damaged. */
  readonly rawAt: number;
  /** Empty, or what is wrong with it. */
  readonly fault: string;
  /** The output's place held it already. */
  readonly stands: boolean;
}

/** SHA-256 of stretches of the region: for reading back what was written. */
export interface DigestTask {
  readonly kind: 'digest';
  readonly pieces: readonly { readonly at: number; readonly length: ByteLength }[];
}

export type FrameTask = EncodeTask | DecodeTask | DigestTask;

export type FrameResult<T extends FrameTask> = T extends EncodeTask
  ? EncodedFrame[]
  : T extends DecodeTask
    ? DecodedFrame[]
    : Uint8Array[];

/** Raw bytes of one task at most: four frames. */
export const BATCH_SIZE = 1024 * 1024;
/** Input of one task at most: a batch, raw; or its records as they are stored, heads included. */
export const INPUT_SIZE = BATCH_SIZE + BATCH_SIZE / 4;
/** One region holds a task's input and its output. Page-aligned, so that a device can read into it directly. */
export const REGION_SIZE = INPUT_SIZE + BATCH_SIZE;
/** Where a worker puts its output in the region. */
export const OUTPUT_AT = INPUT_SIZE;

export interface WorkerStart {
  /** All regions, one behind the other. */
  readonly memory: Uint8Array<SharedArrayBuffer>;
}

export interface WorkerRequest {
  readonly id: number;
  readonly region: number;
  readonly task: FrameTask;
}

export interface WorkerAnswer {
  readonly id: number;
  readonly result?: FrameResult<FrameTask>;
  readonly failure?: string;
}

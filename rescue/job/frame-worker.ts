import { parentPort, workerData } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { decodeFrame, decodeXzFrame, discard, encodeFrame } from '../image/codec.ts';
import { NO_DIGEST, sha256 } from '../image/record.ts';
import {
  type DecodedFrame,
  type DecodeTask,
  type EncodedFrame,
  type EncodeTask,
  type FrameTask,
  OUTPUT_AT,
  REGION_SIZE,
  type WorkerRequest,
  type WorkerStart,
} from './frame-task.ts';

/** Compresses, decompresses and hashes frames in shared memory; one of these runs on every processor. */
const { memory } = workerData as WorkerStart;

const isZero = (bytes: Uint8Array): boolean => {
  // Most units that are not zero show it in their first word.
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  for (let index = 0; index < words.length; index += 1) if (words[index] !== 0) return false;
  return true;
};

/** Finds units that are all zero, and moves the others together. Returns the length of what is left. */
const squeeze = (raw: Uint8Array, unit: number): { zeros: [number, number][]; length: number } => {
  const zeros: [number, number][] = [];
  let length = 0;
  for (let index = 0, at = 0; at < raw.length; index += 1, at += unit) {
    const bytes = raw.subarray(at, at + unit);
    if (isZero(bytes)) {
      const last = zeros.at(-1);
      if (last !== undefined && last[0] + last[1] === index) last[1] += 1;
      else zeros.push([index, 1]);
    } else {
      if (length !== at) raw.copyWithin(length, at, at + unit);
      length += bytes.length;
    }
  }
  return { zeros, length };
};

const encode = (region: Uint8Array, task: EncodeTask): EncodedFrame[] => {
  let storedAt = OUTPUT_AT;
  return task.frames.map((frame) => {
    const space = region.subarray(frame.at, frame.at + frame.length);
    const { zeros, length } = squeeze(space, frame.unit);
    if (length === 0) {
      const nothing = { rawLength: 0, storedAt, storedLength: 0, storedCrc: 0, digest: NO_DIGEST };
      return { zeros, codec: 'zero', ...nothing };
    }
    const raw = space.subarray(0, length);
    const { codec, stored } = encodeFrame(raw, task);
    const at = storedAt;
    region.set(stored, at);
    storedAt += stored.length;
    const result = {
      zeros,
      codec,
      rawLength: length,
      storedAt: at,
      storedLength: stored.length,
      storedCrc: crc32(stored),
      digest: sha256(raw),
    };
    if (codec !== 'store') discard(stored);
    return result;
  });
};

const hasDigest = (bytes: Uint8Array, digest: Uint8Array | undefined): boolean =>
  digest !== undefined && Buffer.compare(sha256(bytes), digest) === 0;

const decode = async (region: Uint8Array, task: DecodeTask): Promise<DecodedFrame[]> => {
  const results: DecodedFrame[] = [];
  let rawAt = OUTPUT_AT;
  for (const frame of task.frames) {
    const stored = region.subarray(frame.at, frame.at + frame.storedLength);
    let fault = '';
    let stands = false;
    if (crc32(stored) !== frame.storedCrc) fault = 'the stored bytes do not match their CRC-32';
    else if (frame.look && hasDigest(region.subarray(rawAt, rawAt + frame.rawLength), frame.digest))
      stands = true;
    else {
      try {
        const { codec, rawLength } = frame;
        const raw =
          codec === 'xz' ? await decodeXzFrame(stored, rawLength) : decodeFrame(stored, codec, rawLength);
        const { digest } = frame;
        if (digest !== undefined && !hasDigest(raw, digest)) fault = 'the content does not match its SHA-256';
        else region.set(raw, rawAt);
        if (codec !== 'store') discard(raw);
      } catch (error) {
        fault = (error as Error).message;
      }
    }
    results.push({ rawAt: fault === '' ? rawAt : -1, fault, stands });
    rawAt += frame.rawLength;
  }
  return results;
};

const work = (region: Uint8Array, task: FrameTask) => {
  if (task.kind === 'encode') return encode(region, task);
  if (task.kind === 'decode') return decode(region, task);
  return task.pieces.map(({ at, length }) => sha256(region.subarray(at, at + length)));
};

parentPort?.on('message', async ({ id, region, task }: WorkerRequest) => {
  try {
    const bytes = memory.subarray(region * REGION_SIZE, (region + 1) * REGION_SIZE);
    parentPort?.postMessage({ id, result: await work(bytes, task) });
  } catch (error) {
    parentPort?.postMessage({ id, failure: (error as Error).message });
  }
});

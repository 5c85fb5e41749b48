import { spawnSync } from 'node:child_process';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as xzModule from 'xz-decompress';
import { corrupt, unsupported } from '../errors.ts';
import { type ByteLength, KIB } from '../units.ts';
import { CODEC, type Codec, MAX_FRAME_SIZE } from './layout.ts';

// The package is CommonJS whose names Node cannot see; its types describe an ES module.
const { XzReadableStream } = (xzModule as unknown as { readonly default: typeof xzModule }).default;

/** Default level of zstd: the one the design's speed targets are about. */
export const DEFAULT_ZSTD_LEVEL = 1;

export interface CodecChoice {
  readonly codec: Exclude<Codec, 'zero'>;
  readonly level: number;
}

/** No frame needs a window longer than a frame may be: 256 KiB. zstd itself would allow 128 MiB. */
export const WINDOW_LOG_MAX = Math.log2(MAX_FRAME_SIZE);

/** Smallest that Node's zlib allows. */
const MIN_CHUNK = 64;

const NAMES = new Map<number, Codec>(Object.entries(CODEC).map(([name, code]) => [code, name as Codec]));
export const codecName = (code: number): Codec | undefined => NAMES.get(code);

/** Shorter arrays may share their memory with others: Node takes them from a pool. */
const OWN_MEMORY = 128 * KIB;

/**
 * Gives back the memory of what `encodeFrame` or `decodeFrame` returned, after its last use: the collector would come for it late,
 * and each time go through all that is alive. What shares its memory with others is left alone.
 */
export const discard = (bytes: Uint8Array): void => {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && bytes.byteOffset === 0 && buffer.byteLength >= OWN_MEMORY)
    buffer.transfer(0);
};

/**
 * Encodes one frame. A frame that does not become smaller is stored as it is: incompressible data costs nothing at
 * restore. Throws `unsupported` (`codec.no-xz`) when xz is asked for and this machine has no `xz` program.
 */
export const encodeFrame = (
  raw: Uint8Array,
  choice: CodecChoice,
): { readonly codec: Codec; readonly stored: Uint8Array } => {
  const packed =
    choice.codec === 'zstd'
      ? zstdCompressSync(raw, {
          params: { [constants.ZSTD_c_compressionLevel]: choice.level },
          // One buffer that holds any result, instead of many small ones put together.
          chunkSize: Math.max(MIN_CHUNK, raw.length + (raw.length >>> 7) + 512),
        })
      : choice.codec === 'xz'
        ? compressXz(raw, choice.level)
        : undefined;
  if (packed === undefined || packed.length >= raw.length) return { codec: 'store', stored: raw };
  return { codec: choice.codec, stored: packed };
};

const compressXz = (raw: Uint8Array, level: number): Uint8Array => {
  const { stdout, error, status, stderr } = spawnSync('xz', ['--stdout', '--check=none', `-${level}`], {
    input: raw,
    maxBuffer: raw.length * 2 + 65536,
  });
  if (error !== undefined || status !== 0) {
    throw unsupported('the program `xz` does not run here', {
      code: 'codec.no-xz',
      found: error?.message ?? String(stderr),
      wayOut: 'Install xz-utils, or use --codec zstd.',
      cause: error,
    });
  }
  return stdout;
};

const wrongLength = (codec: Codec, expected: ByteLength, found: ByteLength | string, cause?: unknown) =>
  corrupt('the frame does not decode to its recorded length', {
    code: 'frame.decode',
    structure: `${codec} frame`,
    expected,
    found,
    ...(cause === undefined ? {} : { cause }),
  });

/**
 * Decodes one frame to exactly `rawLength` bytes; the decoder is never allowed to produce more. Throws `corrupt`
 * (`frame.decode`). xz frames need `decodeXzFrame`.
 */
export const decodeFrame = (
  stored: Uint8Array,
  codec: Exclude<Codec, 'zero' | 'xz'>,
  rawLength: ByteLength,
): Uint8Array => {
  let raw = stored;
  if (codec === 'zstd') {
    try {
      const length = Math.max(1, rawLength);
      raw = zstdDecompressSync(stored, {
        maxOutputLength: length,
        chunkSize: Math.max(MIN_CHUNK, length),
        params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      });
    } catch (cause) {
      throw wrongLength(codec, rawLength, (cause as Error).message, cause);
    }
  }
  if (raw.length !== rawLength) throw wrongLength(codec, rawLength, raw.length);
  return raw;
};

/** The same for xz: XZ Embedded as WebAssembly, which has a stream interface only. */
export const decodeXzFrame = async (stored: Uint8Array, rawLength: ByteLength): Promise<Uint8Array> => {
  const raw = new Uint8Array(rawLength);
  let at = 0;
  try {
    const source = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(Uint8Array.from(stored));
        controller.close();
      },
    });
    for await (const piece of new XzReadableStream(source)) {
      if (at + piece.length > rawLength) throw wrongLength('xz', rawLength, at + piece.length);
      raw.set(piece, at);
      at += piece.length;
    }
  } catch (cause) {
    throw wrongLength('xz', rawLength, (cause as Error).message, cause);
  }
  if (at !== rawLength) throw wrongLength('xz', rawLength, at);
  return raw;
};

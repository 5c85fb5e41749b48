import * as v from 'valibot';
import { corrupt } from '../errors.ts';
import { MAX_COUNTER, MAX_FRAME_SIZE, MAX_TIME } from './layout.ts';

/**
 * The control stream: one JSON document that says what the image is. Everything in it is checked against this schema
 * when it is read; unknown members are kept out of the way, so that later versions may add some.
 */
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const short = v.pipe(v.string(), v.maxLength(256));
const extent = v.object({ start: natural, length: positive });
const hexId = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));

export const IMAGE_KINDS = ['user', 'factory'] as const;
export type ImageKind = (typeof IMAGE_KINDS)[number];

const schema = v.object({
  format: v.literal(1),
  id: hexId,
  kind: v.picklist(IMAGE_KINDS),
  name: short,
  /** Number of the image in its partition: later images have higher ones. */
  sequence: v.pipe(natural, v.maxValue(MAX_COUNTER)),
  /** Seconds since 1970. */
  created: v.pipe(natural, v.maxValue(MAX_TIME)),
  tool: short,
  fileSystem: v.object({
    kind: v.picklist(['ext2', 'ext3', 'ext4', 'fat12', 'fat16', 'fat32', 'ntfs']),
    label: short,
    uuid: short,
    parameters: v.record(short, v.union([short, v.number()])),
  }),
  geometry: v.object({
    clusterSize: positive,
    clusterCount: positive,
    clusterBase: natural,
    size: positive,
    outside: v.pipe(v.array(extent), v.maxLength(64)),
    recognition: v.pipe(v.array(extent), v.maxLength(64)),
  }),
  partition: v.object({
    offset: natural,
    size: positive,
    number: v.nullable(positive),
    uuid: v.nullable(short),
    type: v.nullable(short),
    name: v.nullable(short),
  }),
  disk: v.nullable(
    v.object({ size: positive, sectorSize: positive, model: v.nullable(short), serial: v.nullable(short) }),
  ),
  /** Address spaces that the map uses: what their units count. */
  spaces: v.pipe(
    v.array(
      v.object({
        id: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(255)),
        of: v.picklist(['partition', 'disk']),
        start: natural,
        length: positive,
        unit: v.pipe(v.number(), v.safeInteger(), v.minValue(512), v.maxValue(65536)),
      }),
    ),
    v.minLength(1),
    v.maxLength(16),
  ),
  /** The disk's partition table as `partition/saved.ts` keeps it; checked there. */
  table: v.unknown(),
  /** Names of the containers that the captured file system lists: a restore releases them first. */
  containers: v.pipe(v.array(v.object({ name: short })), v.maxLength(64)),
  /** Clusters that were left out and are zeroed on restore. */
  zeroOnRestore: v.pipe(v.array(extent), v.maxLength(256)),
  codec: v.object({ name: v.picklist(['zstd', 'xz', 'store']), level: v.pipe(v.number(), v.safeInteger()) }),
});

export type Control = v.InferOutput<typeof schema>;
export type AddressSpace = Control['spaces'][number];

export const encodeControl = (control: Control): Uint8Array => {
  // The writer checks its own document as a reader would, before anything depends on it.
  const bytes = Buffer.from(JSON.stringify(v.parse(schema, control)));
  if (bytes.length > MAX_FRAME_SIZE) throw new RangeError(`control of ${bytes.length} bytes`);
  return bytes;
};

/** Throws `corrupt` (`control.json`, `control.schema`). */
export const parseControl = (bytes: Uint8Array): Control => {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw corrupt('not JSON', { code: 'control.json', structure: 'control stream', cause });
  }
  const result = v.safeParse(schema, json);
  if (!result.success) {
    const [issue] = result.issues;
    throw corrupt(`${v.getDotPath(issue) ?? 'document'}: ${issue.message}`, {
      code: 'control.schema',
      structure: 'control stream',
    });
  }
  checkNumbers(result.output);
  return result.output;
};

const checkNumbers = (control: Control): void => {
  const { geometry, partition } = control;
  const fail = (what: string, found: number) =>
    corrupt(`${what} does not fit the partition`, {
      code: 'control.bounds',
      structure: 'control stream',
      expected: `at most ${partition.size}`,
      found,
    });
  const clusterEnd = geometry.clusterBase + geometry.clusterCount * geometry.clusterSize;
  if (clusterEnd > partition.size) throw fail('cluster space', clusterEnd);
  if (geometry.size > partition.size) throw fail('file system', geometry.size);
  for (const { start, length } of [...geometry.outside, ...geometry.recognition, ...control.zeroOnRestore]) {
    if (start + length > partition.size) throw fail('range', start + length);
  }
  for (const space of control.spaces) {
    const limit = space.of === 'partition' ? partition.size : (control.disk?.size ?? 0);
    if (space.start + space.length > limit)
      throw fail(`address space ${space.id}`, space.start + space.length);
    if (space.length % space.unit !== 0) throw fail(`unit of address space ${space.id}`, space.unit);
  }
  if (new Set(control.spaces.map((space) => space.id)).size !== control.spaces.length) {
    throw fail('address space listed twice', control.spaces.length);
  }
};

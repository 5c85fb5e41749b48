import type { ReadableDevice } from '../device/device.ts';
import type { HoldfastError } from '../errors.ts';
import type { ByteLength, Extent, Run } from '../units.ts';
import type { StreamHead } from './anchor.ts';
import type { Commit } from './commit.ts';
import type { Control } from './control.ts';
import type { SlotHomes } from './extents.ts';
import type { JournalPlace } from './journal.ts';
import type { LogReader } from './log-reader.ts';
import type { ClusterMap } from './map.ts';
import type { LogGap } from './scanned-map.ts';
import type { SlotIdentity } from './slot.ts';

/**
 * `prepared`: written but never committed. `removed`: tombstone found. `superseded`: a newer generation took its place. `damaged`: usable at least in part, the reason
 * says what is missing. Whether an image is at home is for `locate` to say.
 */
export type ImageState = 'committed' | 'prepared' | 'removed' | 'superseded' | 'damaged';

/** One image, however it was found: through its anchors, through its file, or put together from single slots. */
export interface Image {
  readonly id: string;
  readonly identity: SlotIdentity;
  readonly control: Control;
  /** Read-only compatible features that this version does not know: if any, nothing may be written into the container. */
  readonly unknownRoCompat: number;
  readonly state: ImageState;
  readonly reason: string | undefined;
  readonly commit: Commit | undefined;
  /** The partition, or the container's files one behind the other: homes and extents count from its start. */
  readonly device: ReadableDevice;
  readonly homes: SlotHomes;
  /** In slot order. */
  readonly extents: readonly Extent[];
  /** Bytes that never change; ascending. */
  readonly sealed: readonly Extent[];
  readonly extentsDigest: Uint8Array;
  readonly rootDigest: Uint8Array;
  readonly usedBytes: ByteLength;
  readonly rawBytes: ByteLength;
  readonly storedBytes: ByteLength;
  readonly map: ClusterMap;
  /** What is wrong with the index of the map, as far as the map was read; the data records stand in for it. */
  indexDamage(): HoldfastError | undefined;
  /** Where data is missing, as far as the map was read. */
  gaps(): readonly LogGap[];
  /** A reader of the log; `readAhead` in slots. */
  log(readAhead?: number): LogReader;
  /** What the anchors say of each stream; empty for an image put together from single slots. */
  readonly streams: readonly StreamHead[];
  /** Clusters that were in use when the image was made. */
  inUse(): Iterable<Run>;
  /** The bitmap is lost: `inUse` is what the map has content for, and says nothing of what the gaps held. */
  readonly bitmapLost?: true;
  /** Undefined when it is not known where they are. */
  readonly journal: JournalPlace | undefined;
  readonly mutableHomes: readonly [number, number] | undefined;
  /**
   * Its slots do not lie where they say, but where the file system lists them. `extents` and `sealed` say where that is in the
   * partition; `device` and `homes` count along the container's file.
   */
  readonly displaced?: true;
  /** Its file was cut short or made longer: not all of its clusters are the file's, or not only they. */
  readonly fileChanged?: true;
}

/** What lists and reports show of an image. */
export type ImageFacts = Pick<
  Image,
  'id' | 'identity' | 'control' | 'extents' | 'sealed' | 'usedBytes' | 'rawBytes' | 'storedBytes'
>;

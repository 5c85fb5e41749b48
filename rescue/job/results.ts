import type { HoldfastError } from '../errors.ts';
import type { FileSystemKind, Problem } from '../fs/filesystem.ts';
import type { CodecChoice } from '../image/codec.ts';
import type { ImageKind } from '../image/control.ts';
import type { TablePlan } from '../partition/plan.ts';
import type { ByteLength, ByteOffset, Extent } from '../units.ts';
import type { LostNames } from './lost-files.ts';

/** What jobs take and give. All offsets are bytes from the start of TARGET; everything here but plans is JSON-safe. */

export type FoundState = 'committed' | 'prepared' | 'stale' | 'moved' | 'foreign' | 'damaged';
export type FoundBy = 'filesystem' | 'record' | 'aid' | 'scan' | 'reassembly';

/** One image as `list --json` shows it. */
export interface ImageSummary {
  readonly id: string;
  readonly name: string;
  readonly kind: ImageKind;
  readonly sequence: number;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly generation: number;
  readonly state: FoundState;
  readonly reason?: string;
  readonly foundBy: FoundBy;
  readonly filesystem: FileSystemKind;
  readonly label: string;
  /** UUID of the file system in its usual spelling, or the volume serial. */
  readonly uuid: string;
  readonly partition: {
    readonly offset: ByteOffset;
    readonly size: ByteLength;
    readonly number: number | null;
    /** As Linux spells it; null where there was no table. */
    readonly partuuid: string | null;
  };
  readonly clusterSize: ByteLength;
  readonly usedBytes: ByteLength;
  readonly storedBytes: ByteLength;
  /** [offset, length] of the container; ascending. */
  readonly extents: readonly (readonly [ByteOffset, ByteLength])[];
  /** The part of it that never changes. */
  readonly sealedExtents: readonly (readonly [ByteOffset, ByteLength])[];
}

export interface Stats {
  readonly rawBytes: ByteLength;
  readonly storedBytes: ByteLength;
  readonly bytesRead: ByteLength;
  readonly bytesWritten: ByteLength;
  readonly seconds: number;
  /** Bytes. */
  readonly peakRss: number;
}

/** One step of the locator ladder. */
export interface LadderStep {
  readonly step: FoundBy;
  readonly found: number;
  readonly bytesRead: ByteLength;
  /** Bytes of TARGET about which the step leaves nothing to be learnt. */
  readonly bytesCovered: ByteLength;
  readonly note?: string;
}

/** The table that the images on a disk imply together, where the disk has lost its own. */
export interface ProposedTable {
  readonly scheme: 'gpt' | 'mbr' | 'none';
  /** GUID of a GPT, signature of an MBR. */
  readonly diskId: string;
  readonly sectorSize: ByteLength;
  /** One sentence for people. */
  readonly reason: string;
  readonly partitions: readonly {
    readonly number: number;
    readonly offset: ByteOffset;
    readonly size: ByteLength;
    /** MBR type byte in hexadecimal, or GPT type GUID. */
    readonly type: string;
    readonly uuid: string;
    readonly name: string;
    readonly bootable: boolean;
    /** Ids of the images found in it. */
    readonly images: readonly string[];
  }[];
  /** What somebody named and cannot be in it. */
  readonly dropped: readonly {
    readonly source: string;
    readonly number: number | null;
    readonly name: string;
    readonly offset: ByteOffset;
    readonly size: ByteLength;
    readonly reason: string;
  }[];
  readonly notes: readonly string[];
}

export interface ListResult {
  readonly target: string;
  readonly depth: 'quick' | 'full';
  readonly bytesRead: ByteLength;
  readonly bytesCovered: ByteLength;
  readonly steps: readonly LadderStep[];
  readonly images: readonly ImageSummary[];
  /** Where TARGET is a disk without a valid partition table. */
  readonly proposedTable?: ProposedTable;
}

export interface ImageResult {
  readonly target: string;
  readonly image: ImageSummary;
  readonly stats: Stats;
}

export interface CreateResult extends ImageResult {
  /** Ids of images that were removed because this one replaces them. */
  readonly replaced: readonly string[];
  /** False for `--dry-run`. */
  readonly written: boolean;
}

export interface RestoreResult extends ImageResult {
  /** `none`: a new file, which holds the partition and nothing else. */
  readonly partitionTable: 'kept' | 'added' | 'rebuilt' | 'none';
  /** Parts of the disk beside the partition that were written too, such as `boot gap`; left out where there were none. */
  readonly companions?: readonly string[];
  readonly imagesKept: readonly string[];
  readonly written: boolean;
  /** What could not be restored (only with `salvage`): the lowest 1024 places of what was written, neighbours joined. */
  readonly lost: readonly Extent[];
  /** All of it: frames, or stretches from which no frame can be told; and bytes. */
  readonly lostFrames: number;
  readonly lostBytes: ByteLength;
  /** The same by name; left out where nothing is lost. */
  readonly lostNames?: LostNames;
  /** Why the restored file system does not list the images, which then lie in clusters that it takes for free: what it takes to claim them is lost. */
  readonly unlisted?: string;
}

export interface VerifyResult extends ImageResult {
  /** With `repair`: those that are left. */
  readonly problems: readonly Problem[];
  /** What was mended, one sentence each; only with `repair`. */
  readonly repaired?: readonly string[];
}

export interface InfoResult extends ImageResult {
  /** More about the image, for people: name and value. */
  readonly facts: readonly (readonly [string, string])[];
  /** Path of the recovery aid that was written. */
  readonly aidOut?: string;
}

export interface RemoveResult extends ImageResult {
  readonly written: boolean;
}

/** What a destructive job is about to do, for the person to confirm. */
export interface Intent {
  readonly action: 'create' | 'restore' | 'remove';
  /** What must be typed to confirm: the device's name as given on the command line, without folders. */
  readonly deviceName: string;
  readonly target: {
    readonly path: string;
    readonly size: ByteLength;
    readonly model?: string;
    readonly serial?: string;
    readonly label?: string;
  };
  readonly image: ImageSummary | undefined;
  /** One sentence each: what will be written, kept and lost. */
  readonly writes: readonly string[];
  readonly keeps: readonly string[];
  readonly loses: readonly string[];
  readonly table: TablePlan | undefined;
}

/** Asked once, when the whole plan stands and before the first write. Throw or return false to decline. */
export type Confirm = (intent: Intent) => Promise<boolean>;

interface CommonRequest {
  readonly target: string;
  /** Number of a partition in the table of TARGET. */
  readonly partition?: number;
}

export interface CreateRequest extends CommonRequest {
  readonly name?: string;
  readonly kind: ImageKind;
  readonly codec: CodecChoice;
  readonly keepOld: boolean;
  readonly replaceFirst: boolean;
  readonly forceFactory: boolean;
  /** Bytes that must stay free; undefined: the smaller of 2 % and 256 MiB. */
  readonly minFree?: ByteLength;
  readonly dryRun: boolean;
  readonly confirm?: Confirm;
}

export interface ListRequest extends CommonRequest {
  readonly depth: 'quick' | 'full';
  /** Path of a recovery aid to find images with. */
  readonly aid?: string;
}

export interface SelectRequest extends CommonRequest {
  /** Path of a recovery aid to find images with. */
  readonly aid?: string;
  /** `latest`, `factory`, an id or its unique prefix, or a name. */
  readonly image: string;
}

export interface InfoRequest extends SelectRequest {
  /** Where to write a recovery aid. */
  readonly aidOut?: string;
}

export interface VerifyRequest extends SelectRequest {
  readonly repair: boolean;
}

export interface RestoreRequest extends SelectRequest {
  /** Container file to read the image from, instead of looking for it on TARGET. */
  readonly from?: string;
  /** Other target to restore to. */
  readonly to?: string;
  /** Ids of images that may be destroyed. */
  readonly drop: readonly string[];
  /** Write companion ranges even where the partition table is kept. */
  readonly companions?: boolean;
  readonly salvage: boolean;
  readonly verifyAfter: boolean;
  readonly dryRun: boolean;
  readonly confirm: Confirm;
}

export interface RemoveRequest extends SelectRequest {
  readonly dryRun: boolean;
  readonly confirm: Confirm;
}

/**
 * An error that came after the first write: what the device holds now is unfinished. The cause is the error itself;
 * `next` says what to do.
 */
export class UnfinishedError extends Error {
  override readonly cause: HoldfastError | Error;
  readonly next: string;

  constructor(cause: HoldfastError | Error, next: string) {
    super(cause.message, { cause });
    this.name = 'UnfinishedError';
    this.cause = cause;
    this.next = next;
  }
}

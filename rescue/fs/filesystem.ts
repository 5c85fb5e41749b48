import type { ReadableDevice } from '../device/device.ts';
import type { HoldfastError } from '../errors.ts';
import type { ByteLength, ByteOffset, Cluster, Extent, Run } from '../units.ts';
import type { Editor, Patch } from './patch.ts';

/**
 * What the rest of the program knows of a file system. `ext/`, `fat/` and `ntfs/` each hold one `FileSystemDriver`
 * with the same file names inside. Nothing here holds anything per cluster in memory: lists that grow with the
 * volume are iterables, read anew at each call, ascending and without overlaps unless said otherwise.
 */
export type FileSystemKind = 'ext2' | 'ext3' | 'ext4' | 'fat12' | 'fat16' | 'fat32' | 'ntfs';

/** Folder in the root that holds the containers' files. */
export const CONTAINER_FOLDER = '.holdfast';
/** Extension of a container's first file; the following ones are `.001`, `.002`, ... */
export const CONTAINER_EXTENSION = '.hfi';

/**
 * Bytes from the start of a partition in which a locator record may lie: it must be found when nothing is left that says how long
 * the boot area is.
 */
export const BOOT_AREA: ByteLength = 16 * 1024;

export interface Geometry {
  readonly clusterSize: ByteLength;
  /** Clusters are numbered from 0 to this, exclusive. */
  readonly clusterCount: number;
  /** Where cluster 0 starts, in bytes from the start of the partition. */
  readonly clusterBase: ByteOffset;
  /** Bytes from the start of the partition that the file system says it spans. */
  readonly size: ByteLength;
  /** Bytes that belong to the file system but to no cluster; always imaged. */
  readonly outside: readonly Extent[];
  /**
   * Bytes by which a mount or a repair recognises the volume (superblocks, boot sectors), at most 64 extents. A restore
   * wipes them first and writes them last.
   */
  readonly recognition: readonly Extent[];
}

/** One finding of `check`, from the driver's own declared table of codes. */
export interface Problem {
  /** Stable, e.g. `ext.bitmap-count`. */
  readonly code: string;
  readonly message: string;
  /** Structure, number and byte position, for people. */
  readonly where: string;
  /** What to do about it, where there is something. */
  readonly wayOut?: string;
}

export type FileType = 'file' | 'directory' | 'symlink' | 'other';

/** A piece of content that is contiguous in its file and in the partition. */
export interface ContentPiece {
  /** Bytes from the start of the content. */
  readonly offset: ByteOffset;
  /** Bytes from the start of the partition. */
  readonly start: ByteOffset;
  readonly length: ByteLength;
  /** NTFS: the named stream that it is of, or `$` and the type of another attribute; undefined for the file's own content. */
  readonly stream?: string;
  /** NTFS, compressed files: a bad byte makes all bytes of the content up to the multiples of this around it unreadable. Default 1. */
  readonly granule?: ByteLength;
}

/** Something that a walk over a damaged volume cannot read. */
export interface WalkDamage {
  readonly path: string;
  /** The record of the file itself, so that nothing is known of it but its name; or part of a folder: names may be missing. */
  readonly what: 'record' | 'folder';
  readonly error: HoldfastError;
}

export interface FileEntry {
  /** Absolute, with `/` between names; bytes that are not UTF-8 appear as U+FFFD. */
  readonly path: string;
  readonly type: FileType;
  readonly size: ByteLength;
  /** Seconds since 1970. */
  readonly modified: number;
  /** The file system's own attribute word: mode for ext, attribute flags for FAT and NTFS. */
  readonly attributes: number;
  /** Number of the inode or MFT record, or of the FAT entry of the first cluster (0: it has none). */
  readonly node: number;
  /** Clusters that hold the content, in file order, holes left out. Empty for inline content. */
  runs(): Iterable<Run>;
  /**
   * Where each byte of the content lies, in file order, up to its end; holes and what was never written left out. Of a folder its
   * blocks. Throws `corrupt`, `io` where the map of it is damaged, after the pieces before.
   */
  pieces(): Iterable<ContentPiece>;
}

/** Clusters that are in use but whose content is not worth imaging. */
export interface Exclude {
  readonly path: string;
  readonly reason: 'container' | 'swap' | 'page-file' | 'hibernation';
  /** In file order. */
  readonly runs: readonly Run[];
  /** What a restore leaves in the clusters that were excluded: what it finds, or that with zeros in the first of them. */
  readonly onRestore: 'leave' | 'zero';
}

/**
 * Whether a file in the containers' folder that is named like a container's is one: what lies in it says so, which a file
 * system cannot know. Given its clusters in file order, in bytes from the start of the partition, those of the
 * container's file before it, if there is one, and `NAME` of `NAME.hfi` or `NAME.001`, which tells a container from a copy of it.
 */
export type ContainerTest = (
  extents: readonly Extent[],
  before: readonly Extent[] | undefined,
  name?: string,
) => boolean;

/** One container as the file system lists it. */
export interface ContainerFile {
  /** Name without extension: `NAME` of `/.holdfast/NAME.hfi`. */
  readonly name: string;
  /** Paths of its files, in order. */
  readonly paths: readonly string[];
  /** Clusters in container order, over all its files. */
  readonly runs: readonly Run[];
  readonly size: ByteLength;
}

export interface FileSystem {
  readonly kind: FileSystemKind;
  readonly label: string;
  /** UUID in its usual spelling, or the volume serial in hexadecimal. */
  readonly uuid: string;
  readonly geometry: Geometry;
  /** Clusters in use, the file system's own structures included. Maximal runs. */
  allocation(): Iterable<Run>;
  /**
   * Clusters in use to which nothing was ever written, as the file system itself says: whatever stands there means zeros.
   * Maximal runs.
   */
  blank(): Iterable<Run>;
  /** Clusters marked as bad: never read, never given to a container. */
  bad(): Iterable<Run>;
  /** Clusters, in use or free, that the file system keeps for its own growth as long as there are others: a container lies there last. A few runs. */
  reserved(): Iterable<Run>;
  /**
   * Every file and folder, root included (`/`), each once per name; order is the file system's own. Throws at the first damage,
   * unless `onDamage` takes it: then the walk goes on behind it.
   */
  walk(onDamage?: (damage: WalkDamage) => void): Iterable<FileEntry>;
  excludes(): readonly Exclude[];
  containers(): readonly ContainerFile[];
  /**
   * Whether damage to a folder shows, by a mark, a checksum or a structure that hardly any other bytes have. Where not, noise and zeros are
   * read as a folder of other names, or none, and that `containers` gives none proves little.
   */
  readonly foldersShowDamage: boolean;
  /**
   * Why this volume must not be imaged or changed as it stands: not cleanly unmounted, journal to replay, errors
   * recorded, a suspended system in a swap file, ... Empty when it may. Cheap: no walk.
   */
  refusals(): readonly Problem[];
  /** Is it consistent enough to image? At most `limit` problems (default 100). Reads all metadata. */
  check(limit?: number): readonly Problem[];
  /**
   * Whole logical sectors before the first cluster with content of its own, or in reserved space, that neither the file system nor
   * the usual boot code has a use for, in order of preference and within the first `BOOT_AREA` bytes. What stands there now is
   * for the caller to look at: boot code that nobody knows of may lie anywhere. Empty where there is no such place.
   */
  unusedBootSectors(): readonly Extent[];
  /** Facts for the control stream, for people and for later readers: block size, features, ... */
  parameters(): Readonly<Record<string, string | number>>;
}

export interface ClaimRequest {
  /** `NAME` of `/.holdfast/NAME.hfi`: at most 64 characters of `[A-Za-z0-9._-]`. */
  readonly name: string;
  /** The container's clusters in container order; any order on disk, no overlaps, all free. */
  readonly runs: readonly Run[];
  /** Seconds since 1970: all times of the new file, and of the folder if it is made. */
  readonly time: number;
  /** Clusters that the claim may not use for its own needs (containers that are not claimed yet). */
  readonly avoid: { has(cluster: Cluster): boolean };
}

export interface ReleaseRequest {
  /** `NAME` as in `ContainerFile.name`. */
  readonly name: string;
  /** Its files, as in `ContainerFile.paths`; without them, all that are named like files of NAME. */
  readonly paths?: readonly string[];
  readonly time: number;
}

/**
 * All calls read everything from the device that they are given and keep nothing between calls, so that claims
 * and releases can be chained in one editor, over a live volume or over the view of an image alike.
 */
export interface FileSystemDriver {
  readonly name: 'ext' | 'fat' | 'ntfs';
  /** How a damaged volume is repaired, for people: a sentence without its full stop. */
  readonly repair: string;
  /** True if the device starts like this file system; says nothing of whether it is sound or supported. */
  probe(device: ReadableDevice): boolean;
  /**
   * Reads the fixed structures. Without `isContainer` names alone say what is a container: only for who looks into each
   * himself.
   * Throws `unsupported` (a feature or version, by name), `corrupt`, `io`.
   */
  open(device: ReadableDevice, isContainer?: ContainerTest): FileSystem;
  /**
   * Makes the file system list the clusters as the file or files of a container, hidden, read-only and immutable
   * where these exist. Makes the folder if need be. Everything is checked before the first edit.
   * Throws `refused` (`claim.not-free`, `claim.no-space`, `claim.exists`, ...), `unsupported`, `corrupt`.
   */
  claim(editor: Editor, request: ClaimRequest): void;
  /** The opposite; removes the folder when it becomes empty. Throws `refused` (`release.not-found`), ... */
  release(editor: Editor, request: ReleaseRequest): void;
  /**
   * After claims and releases outside of `patch` (in the view of an image that is laid down): what the volume's own log still holds
   * must not be redone over them. Nothing to do for a file system that is refused unless its log is empty, or has none.
   */
  emptyLog(editor: Editor): void;
  /**
   * Puts right what the volume itself says of its place on the disk: in bytes from the disk's start, it lay at `from` when it was imaged
   * (0: not known), and comes to lie at `to`. Nothing to do for a file system that does not say.
   */
  moved(editor: Editor, places: { readonly from: ByteOffset; readonly to: ByteOffset }): void;
  /**
   * Runs `edit` on an overlay of the device and returns what it changed, wrapped so that the volume survives a power
   * cut between any two writes of the patch: one jbd2 transaction where there is a journal; else marked dirty by
   * the first write and clean by the last. Writes nothing.
   */
  patch(device: ReadableDevice, edit: (editor: Editor) => void): Patch;
}

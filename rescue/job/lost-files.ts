import { normalise, type Span, type SpanSet, subtract, totalLength } from '../bytes/runs.ts';
import type { ReadableDevice } from '../device/device.ts';
import type { ContentPiece, FileEntry, FileSystem, FileSystemKind, WalkDamage } from '../fs/filesystem.ts';
import { driverFor } from '../fs/probe.ts';
import { isDamage } from '../fs/tolerance.ts';
import type { ByteLength, Extent } from '../units.ts';
import { ShortList } from './losses.ts';

/** A file or folder of which something is lost. */
export interface LostFile {
  readonly path: string;
  /** NTFS: the named stream, or `$` and the type of another attribute; left out for the content itself. */
  readonly stream?: string;
  /** Of its content, in bytes, ascending: the first 64 of them, neighbours joined. */
  readonly ranges: readonly Extent[];
  /** All of them. */
  readonly lostBytes: ByteLength;
  /**
   * What else is lost: `record`, so that nothing is known of it but its name; `map`, so that it is not known where the rest of its
   * content lies; `names`, of a folder: there may have been more in it.
   */
  readonly also?: 'record' | 'map' | 'names';
}

/** What is lost, by name. */
export interface LostNames {
  /** The first 1024, in the file system's own order. */
  readonly files: readonly LostFile[];
  readonly fileCount: number;
  /**
   * Bytes of the partition that are lost and belong to no file that can be named: the file system's own structures, or files whose names are
   * lost as well. The lowest 1024 places.
   */
  readonly elsewhere: readonly Extent[];
  readonly elsewhereBytes: ByteLength;
  /** Why nothing can be named at all: what leads to the names is lost. */
  readonly unreadable?: string;
}

const LISTED = 1024;
const RANGES = 64;
/** Stretches of the partition that are known to belong to files; of more, some count as belonging to none. */
const TOLD_APART = 65536;

class FileList {
  readonly files: LostFile[] = [];
  count = 0;
  #last = '';

  /** The streams of a file come one behind the other. */
  add(file: LostFile): void {
    if (this.#last !== file.path) this.count += 1;
    this.#last = file.path;
    if (this.files.length < LISTED) this.files.push(file);
  }

  /** For what a folder turns out to have lost while it is gone through: it may be listed already, whatever came after it. */
  addFolder(path: string): void {
    const known = this.files.findLastIndex((each) => each.path === path && each.stream === undefined);
    if (known >= 0) this.files[known] = { ...this.files[known]!, also: 'names' };
    else this.add({ path, ranges: [], lostBytes: 0, also: 'names' });
  }
}

/** Which bytes of the content become unreadable if these bytes of the partition do. */
const contentOf = ({ offset, start, granule = 1 }: ContentPiece, lost: Span): Extent => {
  const from = offset + lost.start - start;
  const first = Math.floor(from / granule) * granule;
  const end = Math.ceil((from + lost.length) / granule) * granule;
  return { start: first, length: end - first };
};

/** Throws what is no damage. */
const nameFile = (
  entry: FileEntry,
  lost: SpanSet,
  files: FileList,
  onNamed: (extent: Span) => void,
): void => {
  const ranges = new Map<string | undefined, Span[]>();
  let mapLost = false;
  try {
    for (const piece of entry.pieces()) {
      for (const part of lost.within(piece)) {
        onNamed(part);
        const list = ranges.get(piece.stream) ?? [];
        list.push(contentOf(piece, part));
        ranges.set(piece.stream, list);
      }
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    mapLost = true;
  }
  if (mapLost && !ranges.has(undefined)) ranges.set(undefined, []);
  for (const [stream, list] of ranges) {
    const joined = normalise(list);
    files.add({
      path: entry.path,
      ...(stream === undefined ? {} : { stream }),
      ranges: joined.slice(0, RANGES),
      lostBytes: totalLength(joined),
      ...(mapLost && stream === undefined ? { also: 'map' } : {}),
    });
  }
};

const openVolume = (
  kind: FileSystemKind,
  view: ReadableDevice,
): FileSystem | { readonly unreadable: string } => {
  try {
    const driver = driverFor(kind, view);
    return driver?.open(view) ?? { unreadable: `it does not begin like ${kind}` };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { unreadable: error.reason };
  }
};

/**
 * Names what is lost, as far as the names are not lost themselves. `view` is the partition of this kind as the image holds it, in which
 * `lost` (bytes of the partition) cannot be read. Reads all folders. Throws `io` when the device is gone.
 */
export const nameLosses = (kind: FileSystemKind, view: ReadableDevice, lost: SpanSet): LostNames => {
  const files = new FileList();
  const named = new ShortList(TOLD_APART, (spans) => spans.slice(0, TOLD_APART));
  const volume = openVolume(kind, view);
  let unreadable = 'unreadable' in volume ? volume.unreadable : undefined;
  if (!('unreadable' in volume)) {
    const onDamage = ({ path, what, error }: WalkDamage): void => {
      if (path === '/') unreadable ??= error.reason;
      if (what === 'folder') files.addFolder(path);
      else files.add({ path, ranges: [], lostBytes: 0, also: 'record' });
    };
    for (const entry of volume.walk(onDamage)) nameFile(entry, lost, files, (extent) => named.add(extent));
    // The root alone says nothing.
    if (files.count > 1) unreadable = undefined;
  }
  const elsewhere = [...subtract(lost.spans, named.spans())];
  return {
    files: files.files,
    fileCount: files.count,
    elsewhere: elsewhere.slice(0, LISTED),
    elsewhereBytes: totalLength(elsewhere),
    ...(unreadable === undefined ? {} : { unreadable }),
  };
};

import { refused } from '../../errors.ts';
import type { ByteOffset, Cluster } from '../../units.ts';
import type { Editor } from '../patch.ts';
import type { DirectoryEntry, Folder } from './directory.ts';
import { folderParts, folderSlots, isDeleted, isEnd } from './directory.ts';
import { ENTRY_SIZE, FOLDER_MOST, NAME_DELETED, NAME_END } from './layout.ts';
import { encodeEntry, type NewEntry } from './new-entry.ts';
import { setEntry } from './table-editor.ts';
import type { FatVolume } from './volume.ts';

/** A place for one slot of a folder. */
interface Place {
  readonly position: ByteOffset;
  used: boolean;
  /** Its first byte is not 0 although the end mark lies before it. */
  readonly notEnd: boolean;
}

interface Edit {
  readonly position: ByteOffset;
  readonly bytes: Uint8Array;
}

/**
 * Plans new entries of a folder. Nothing is written before `write...` is called, in the order in which these stand here; between them
 * the folder can be read at any time.
 *
 * The slots of an entry are put into one sector wherever that is possible: it appears whole or not at all.
 */
export class FolderEditor {
  readonly #volume: FatVolume;
  readonly #path: string;
  /** `fixed`: the root of FAT12 and FAT16, which cannot grow. */
  readonly #kind: 'fixed' | 'chain' | 'new';
  readonly #takeCluster: () => Cluster;
  readonly #places: Place[] = [];
  /** Index of the first slot that was never used. */
  #end = 0;
  /** Index of the first entry behind the end mark, if there is one: Windows does not see it, Linux and `fsck.fat` do. */
  #hidden: number | undefined;
  /** Its last cluster, of a folder that is there and can grow. */
  #last: Cluster | undefined;
  readonly #growth: Cluster[] = [];
  readonly #marks: Edit[] = [];
  readonly #entries: Edit[] = [];

  private constructor(
    volume: FatVolume,
    folder: { readonly path: string; readonly kind: 'fixed' | 'chain' | 'new' },
    takeCluster: () => Cluster,
  ) {
    this.#volume = volume;
    this.#path = folder.path;
    this.#kind = folder.kind;
    this.#takeCluster = takeCluster;
  }

  /** A folder as it is; `takeCluster` gives a free cluster when it must grow. */
  static open(volume: FatVolume, folder: Folder, takeCluster: () => Cluster): FolderEditor {
    const kind = folder.first === 'fixed' ? 'fixed' : 'chain';
    const editor = new FolderEditor(volume, { path: folder.path, kind }, takeCluster);
    let ended = false;
    for (const slot of folderSlots(volume, folder)) {
      ended ||= isEnd(slot);
      const free = isEnd(slot) || isDeleted(slot);
      editor.#places.push({
        position: slot.position,
        used: !ended && !free,
        notEnd: ended && !isEnd(slot),
      });
      if (!ended) editor.#end = editor.#places.length;
      if (ended && !free) editor.#hidden ??= slot.index;
    }
    if (kind === 'chain') {
      for (const { cluster } of folderParts(volume, folder)) editor.#last = cluster;
    }
    return editor;
  }

  /** A folder that is not there yet. */
  static create(volume: FatVolume, path: string, takeCluster: () => Cluster): FolderEditor {
    const editor = new FolderEditor(volume, { path, kind: 'new' }, takeCluster);
    editor.#grow();
    return editor;
  }

  /** Clusters that the folder gets, in order. */
  get growth(): readonly Cluster[] {
    return this.#growth;
  }

  /** Throws `refused` (`claim.folder-full`, `claim.folder-end`, `claim.no-space`). */
  insert(entry: NewEntry): void {
    const bytes = encodeEntry(this.#volume, entry);
    const index = this.#findPlace(bytes.length / ENTRY_SIZE);
    for (let at = 0; at < bytes.length; at += ENTRY_SIZE) {
      const place = this.#places[index + at / ENTRY_SIZE]!;
      place.used = true;
      this.#entries.push({ position: place.position, bytes: bytes.subarray(at, at + ENTRY_SIZE) });
    }
    this.#moveEnd(index, index + bytes.length / ENTRY_SIZE);
  }

  /** What was never used up to here is called deleted; behind it the folder ends. */
  #moveEnd(from: number, behind: number): void {
    for (let index = this.#end; index < from; index += 1) this.#mark(this.#places[index]!, NAME_DELETED);
    if (behind <= this.#end) return;
    this.#end = behind;
    const next = this.#places[behind];
    if (next?.notEnd === true) this.#mark(next, NAME_END);
  }

  #mark({ position }: Place, byte: number): void {
    this.#marks.push({ position, bytes: Uint8Array.of(byte) });
  }

  #findPlace(count: number): number {
    for (;;) {
      const index = this.#firstFree(count, true) ?? this.#firstFreeAcross(count);
      if (index !== undefined) return index;
      this.#grow();
    }
  }

  /** Where the folder cannot grow, an entry may also lie across two sectors. */
  #firstFreeAcross(count: number): number | undefined {
    return this.#mayGrow() ? undefined : (this.#firstFree(count, false) ?? this.#full());
  }

  /** An entry behind the end mark stays as it is, and behind an end mark: seen by those who saw it before, and by nobody else. */
  get #usable(): number {
    return this.#hidden === undefined ? this.#places.length : this.#hidden - 1;
  }

  #firstFree(count: number, inOneSector: boolean): number | undefined {
    const unit = this.#volume.parameters.sectorSize;
    const sectorOf = (index: number): number => Math.floor(this.#places[index]!.position / unit);
    let free = 0;
    for (let index = 0; index < this.#usable; index += 1) {
      if (this.#places[index]!.used) free = 0;
      else if (inOneSector && free > 0 && sectorOf(index) !== sectorOf(index - 1)) free = 1;
      else free += 1;
      if (free === count) return index - count + 1;
    }
    return undefined;
  }

  #mayGrow(): boolean {
    const length = this.#places.length * ENTRY_SIZE;
    return (
      this.#kind !== 'fixed' && this.#hidden === undefined && length + this.#volume.clusterSize <= FOLDER_MOST
    );
  }

  #full(): never {
    if (this.#hidden !== undefined) {
      throw refused('the folder has entries behind its end, which some systems show and others do not', {
        code: 'claim.folder-end',
        structure: `FAT folder ${this.#path}`,
        offset: this.#places[this.#hidden]!.position,
        wayOut: `Start Linux, move away or delete what it shows in ${this.#path} and Windows does not, and try again`,
      });
    }
    throw refused('the folder has no room for another entry', {
      code: 'claim.folder-full',
      structure: `FAT folder ${this.#path}`,
      expected: `at most ${this.#places.length} entries`,
      wayOut: `Delete or move some files of ${this.#path}, or give them shorter names, and try again`,
    });
  }

  #grow(): void {
    const cluster = this.#takeCluster();
    this.#growth.push(cluster);
    const offset = this.#volume.clusterOffset(cluster);
    for (let at = 0; at < this.#volume.clusterSize; at += ENTRY_SIZE)
      this.#places.push({ position: offset + at, used: false, notEnd: false });
  }

  /** New clusters as they will be once they belong to the folder, with the entries that they hold. */
  writeClusters(editor: Editor): void {
    const { clusterSize } = this.#volume;
    for (const cluster of this.#growth)
      editor.write(this.#volume.clusterOffset(cluster), new Uint8Array(clusterSize));
    // Nothing leads to a new folder yet.
    if (this.#kind !== 'new') return;
    this.writeMarks(editor);
    this.writeEntries(editor);
  }

  /** New clusters become part of the folder. They are a chain of their own already. */
  writeLink(editor: Editor): void {
    const first = this.#growth[0];
    if (first !== undefined && this.#last !== undefined)
      setEntry(this.#volume, editor, this.#last, this.#volume.entryOf(first));
  }

  writeMarks(editor: Editor): void {
    for (const { position, bytes } of this.#marks) editor.write(position, bytes);
  }

  writeEntries(editor: Editor): void {
    for (const { position, bytes } of this.#entries) editor.write(position, bytes);
  }
}

/** Removes an entry. Where it lies across sectors, the short entry goes first: parts of a long name alone harm nobody. */
export const removeEntry = (volume: FatVolume, editor: Editor, entry: DirectoryEntry): void => {
  const unit = volume.parameters.sectorSize;
  const sectorOf = (position: ByteOffset): number => Math.floor(position / unit);
  const own = sectorOf(entry.position);
  const free = (slot: { readonly position: ByteOffset }): void =>
    editor.write(slot.position, Uint8Array.of(NAME_DELETED));
  for (const slot of entry.slots) if (sectorOf(slot.position) === own) free(slot);
  const rest = entry.slots.filter(({ position }) => sectorOf(position) !== own);
  if (rest.length > 0) editor.barrier();
  for (const slot of rest) free(slot);
};

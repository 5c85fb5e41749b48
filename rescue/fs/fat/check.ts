import { NumberSet } from '../../bytes/number-set.ts';
import type { Cluster } from '../../units.ts';
import type { Problem } from '../filesystem.ts';
import { tableProblems } from './check-tables.ts';
import { type DirectoryEntry, type Folder, pathOf, readDirectory, rootFolder } from './directory.ts';
import { FOLDER_MOST } from './layout.ts';
import { isLongName, isShortName } from './names.ts';
import { at, guarded, type ProblemCode, problem } from './problems.ts';
import { BAD, END, FREE, INVALID } from './table.ts';
import { CLUSTERS_PER_PAGE, type FatVolume } from './volume.ts';
import { DEEPEST, isDots } from './walk.ts';

/**
 * Everything that is wrong with the volume as far as it bears on an image: FATs that differ; every folder, name and chain.
 * Not looked at, since nothing is lost or changed by it: clusters in use that no name leads to (imaged like all others), FSInfo,
 * the backup boot sector (imaged as it is), parts of long names without a short one, times. A generator: whoever wants the
 * first problems only stops asking.
 *
 * Memory: one bit per cluster in use, in pages, of which FAT32's 28-bit numbers allow 32 MiB at most; one folder piece of 16
 * KiB per level. Each cluster is followed once, whatever links lead to it. Throws `io`.
 */
export function* findProblems(volume: FatVolume): Generator<Problem> {
  yield* tableProblems(volume);
  yield* guarded(treeProblems(volume));
}

interface Chain {
  /** Clusters that were not met before. */
  readonly clusters: number;
  readonly fault: { readonly code: ProblemCode; readonly where: string; readonly found: number } | undefined;
}

/** Follows a chain and marks its clusters, until it ends or something is wrong. */
const follow = (volume: FatVolume, start: Cluster, seen: NumberSet): Chain => {
  const { table } = volume;
  let clusters = 0;
  let before: Cluster | undefined;
  const fault = (code: ProblemCode, cluster: Cluster, found: number): Chain => {
    const entry = volume.entryOf(cluster);
    return { clusters, fault: { code, where: at(`FAT entry ${entry}`, table.positionOf(entry)), found } };
  };
  for (let cluster: number = start; ; ) {
    if (!seen.add(cluster)) {
      const code = isInChain(volume, start, cluster, clusters) ? 'fat.chain-loop' : 'fat.cross-linked';
      return fault(code, before ?? cluster, volume.entryOf(cluster));
    }
    const next = table.next(cluster);
    if (next === FREE) return fault('fat.chain-free', cluster, 0);
    if (next === BAD) return fault('fat.chain-bad', cluster, 0);
    clusters += 1;
    if (next === END) return { clusters, fault: undefined };
    if (next === INVALID) return fault('fat.chain-range', cluster, table.entry(volume.entryOf(cluster)));
    before = cluster;
    cluster = next;
  }
};

/** Whether `wanted` is among the first `length` clusters of the chain: tells a loop from a chain of another file. */
const isInChain = (volume: FatVolume, start: Cluster, wanted: Cluster, length: number): boolean => {
  let cluster: number = start;
  for (let index = 0; index < length; index += 1) {
    if (cluster === wanted) return true;
    cluster = volume.table.next(cluster);
  }
  return false;
};

const isOnVolume = (volume: FatVolume, entry: number): boolean => volume.hasCluster(volume.clusterOf(entry));

function* nameProblems(entry: DirectoryEntry, where: string): Generator<Problem> {
  if (!isShortName(entry.shortBytes)) yield problem('fat.short-name', where);
  if (entry.longName !== undefined && !isLongName(entry.longName)) yield problem('fat.long-name', where);
}

function* fileProblems(
  volume: FatVolume,
  entry: DirectoryEntry,
  where: string,
  seen: NumberSet,
): Generator<Problem> {
  const expected = Math.ceil(entry.size / volume.clusterSize);
  let found = 0;
  if (entry.firstEntry !== 0) {
    if (!isOnVolume(volume, entry.firstEntry)) {
      yield problem('fat.chain-range', where, { found: entry.firstEntry });
      return;
    }
    const chain = follow(volume, volume.clusterOf(entry.firstEntry), seen);
    if (chain.fault !== undefined) {
      yield problem(chain.fault.code, `${where}, ${chain.fault.where}`, chain.fault);
      return;
    }
    found = chain.clusters;
  }
  if (found !== expected) yield problem('fat.chain-length', where, { expected, found });
}

interface Level {
  readonly folder: Folder;
  readonly parent: Folder | undefined;
  readonly entries: Iterator<DirectoryEntry>;
  /** Entries that were read. */
  count: number;
}

/** A folder's own entries; undefined if it is not to be read. */
const enter = (
  volume: FatVolume,
  {
    folder,
    parent,
    where,
    seen,
  }: { folder: Folder; parent: Folder | undefined; where: string; seen: NumberSet },
): { readonly level: Level | undefined; readonly problems: readonly Problem[] } => {
  if (folder.first !== 'fixed') {
    const { clusters, fault } = follow(volume, folder.first, seen);
    if (fault !== undefined)
      return { level: undefined, problems: [problem(fault.code, `${where}, ${fault.where}`, fault)] };
    // The reader says the same with the position; here it stops what would be read for nothing.
    if (clusters * volume.clusterSize > Math.max(FOLDER_MOST, volume.clusterSize)) {
      const message = `${where}: has more entries than a folder can have`;
      return { level: undefined, problems: [{ code: 'fat.folder-size', message, where }] };
    }
  }
  return { level: { folder, parent, entries: readDirectory(volume, folder), count: 0 }, problems: [] };
};

/** What `.` and `..` must lead to; `..` in a folder of the root holds 0, though some write the root's own number on FAT32. */
const dotProblem = (volume: FatVolume, level: Level, entry: DirectoryEntry | undefined): boolean => {
  if (level.folder.first === 'fixed' || level.parent === undefined) return false;
  const name = ['.', '..'][level.count]!;
  if (entry === undefined || entry.shortName !== name || !entry.isFolder) return true;
  if (name === '.') return entry.firstEntry !== volume.entryOf(level.folder.first);
  const { first } = level.parent;
  const parentEntry = first === 'fixed' ? 0 : volume.entryOf(first);
  const isRoot = level.parent.path === '/';
  return entry.firstEntry !== parentEntry && !(isRoot && entry.firstEntry === 0);
};

function* treeProblems(volume: FatVolume): Generator<Problem> {
  const seen = new NumberSet(CLUSTERS_PER_PAGE);
  const root = rootFolder(volume);
  const start = enter(volume, { folder: root, parent: undefined, where: 'FAT root folder', seen });
  yield* start.problems;
  if (start.level === undefined) return;
  const stack: Level[] = [start.level];
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const next = level.entries.next();
    const entry = next.done ? undefined : next.value;
    const folderWhere = `FAT folder ${level.folder.path}`;
    if (level.count < 2 && dotProblem(volume, level, entry)) {
      yield problem('fat.dot-entry', entry === undefined ? folderWhere : at(folderWhere, entry.position));
      // Once is enough.
      level.count = 2;
    }
    level.count += 1;
    if (entry === undefined) {
      // A folder that ends before its second entry has been told of.
      stack.pop();
      continue;
    }
    if (entry.isLabel || (isDots(entry) && level.parent !== undefined)) continue;
    const path = pathOf(level.folder, entry.name);
    const where = at(path, entry.position);
    yield* nameProblems(entry, where);
    if (!entry.isFolder) {
      yield* fileProblems(volume, entry, where, seen);
      continue;
    }
    if (entry.size !== 0) yield problem('fat.folder-length', where, { found: entry.size });
    if (entry.firstEntry === 0) {
      yield problem('fat.no-cluster', where);
      continue;
    }
    if (!isOnVolume(volume, entry.firstEntry)) {
      yield problem('fat.chain-range', where, { found: entry.firstEntry });
      continue;
    }
    if (stack.length >= DEEPEST) {
      const message = `${where}: has more than ${DEEPEST} folders inside each other`;
      yield { code: 'fat.too-deep', message, where };
      continue;
    }
    const folder = { first: volume.clusterOf(entry.firstEntry), path };
    const { level: below, problems } = enter(volume, { folder, parent: level.folder, where, seen });
    yield* problems;
    if (below !== undefined) stack.push(below);
  }
}

import { endOf } from '../../bytes/runs.ts';
import { corrupt, type HoldfastError, refused } from '../../errors.ts';
import type { ByteOffset, Cluster, Run } from '../../units.ts';
import type { Editor } from '../patch.ts';
import { type ChainRun, MAX_CHAIN_RUNS, type PatchChain } from '../patch-operation.ts';
import type { FatBits, FatParameters } from './boot.ts';
import { ENTRY_VALUES, FIRST_DATA_ENTRY } from './layout.ts';
import { FatTable, FREE } from './table.ts';
import type { FatVolume } from './volume.ts';

/**
 * Changes of the FAT, in every copy that counts. On FAT32 chains are operations of the patch, however long they are; on FAT12 and FAT16,
 * whose whole FAT has at most 128 KiB, they are ordinary writes.
 */

/** A chain of clusters in file order: what one file or folder takes. */
export interface ClusterChain {
  readonly runs: readonly Run[];
  /** What the last entry holds, by its width; the usual end mark if it is left out. */
  readonly end?: number;
}

/** Indices of the FATs that are to be kept alike: all, or the active one alone where mirroring is off. */
export const liveTables = ({ tables, mirrored, activeTable }: FatParameters): readonly number[] =>
  mirrored ? tables.map((_, index) => index) : [activeTable];

/** The end mark that everybody writes: all ones. */
export const endMark = (bits: FatBits): number => ENTRY_VALUES[bits].mask;

/** Makes chains of free clusters. They have been checked to be free (`requireFree`). */
export const linkChains = (volume: FatVolume, editor: Editor, chains: readonly ClusterChain[]): void =>
  changeChains(volume, editor, chains, 'link');

/** Frees chains that stand there exactly so (`requireAlike`). */
export const freeChains = (volume: FatVolume, editor: Editor, chains: readonly ClusterChain[]): void =>
  changeChains(volume, editor, chains, 'free');

/** Sets the entry of one cluster; FAT32's upper four bits stay. */
export const setEntry = (volume: FatVolume, editor: Editor, cluster: Cluster, value: number): void => {
  for (const table of liveTables(volume.parameters)) {
    changeRun(volume, editor, table, { start: cluster, length: 1 }, () => value);
  }
  volume.table.forget();
};

const changeChains = (
  volume: FatVolume,
  editor: Editor,
  chains: readonly ClusterChain[],
  direction: 'link' | 'free',
): void => {
  if (volume.bits === 32) for (const step of operations(volume, chains, direction)) editor.operate(step);
  else writeChains(volume, editor, chains, direction);
  volume.table.forget();
};

// --- FAT32 ------------------------------------------------------------------------------------------------------

const chainRuns = ({ runs }: ClusterChain): ChainRun[] =>
  runs.map(({ start, length }, index) => ({
    start: start + FIRST_DATA_ENTRY,
    length,
    ends: index === runs.length - 1,
  }));

/** As few steps as the limit of runs and the end marks allow. */
function* operations(
  volume: FatVolume,
  chains: readonly ClusterChain[],
  direction: 'link' | 'free',
): Generator<PatchChain> {
  const { tables, tableLength } = volume.parameters;
  const live = liveTables(volume.parameters);
  const step = (runs: readonly ChainRun[], end: number): PatchChain => ({
    kind: 'chain',
    direction,
    // FATs stand one behind the other.
    offset: tables[live[0]!]!,
    length: tableLength,
    copies: live.length,
    end,
    runs,
  });
  let runs: ChainRun[] = [];
  let end = endMark(32);
  for (const chain of chains) {
    const chainEnd = chain.end ?? endMark(32);
    if (runs.length > 0 && (chainEnd !== end || runs.length + chain.runs.length > MAX_CHAIN_RUNS)) {
      yield step(runs, end);
      runs = [];
    }
    end = chainEnd;
    for (const run of chainRuns(chain)) runs.push(run);
  }
  if (runs.length > 0) yield step(runs, end);
}

/** Throws `refused` (`claim.too-scattered`) for a chain that does not fit a step of a patch. */
export const requireFewRuns = (chains: readonly ClusterChain[]): void => {
  const longest = Math.max(0, ...chains.map(({ runs }) => runs.length));
  if (longest <= MAX_CHAIN_RUNS) return;
  throw refused('a file would lie in too many pieces', {
    code: 'claim.too-scattered',
    expected: `at most ${MAX_CHAIN_RUNS}`,
    found: longest,
  });
};

// --- FAT12 and FAT16 --------------------------------------------------------------------------------------------

const writeChains = (
  volume: FatVolume,
  editor: Editor,
  chains: readonly ClusterChain[],
  direction: 'link' | 'free',
): void => {
  for (const table of liveTables(volume.parameters)) {
    for (const { runs, end = endMark(volume.bits) } of chains) {
      runs.forEach((run, index) => {
        const next = index + 1 < runs.length ? volume.entryOf(runs[index + 1]!.start) : end;
        changeRun(volume, editor, table, run, (cluster) => {
          if (direction === 'free') return 0;
          return cluster + 1 < endOf(run) ? volume.entryOf(cluster + 1) : next;
        });
      });
    }
  }
};

const changeRun = (
  volume: FatVolume,
  editor: Editor,
  table: number,
  run: Run,
  valueFor: (cluster: Cluster) => number,
): void => {
  const { bits, parameters } = volume;
  const first = Math.floor((volume.entryOf(run.start) * bits) / 8);
  const behind = Math.ceil((volume.entryOf(endOf(run)) * bits) / 8);
  const offset: ByteOffset = parameters.tables[table]! + first;
  const bytes = editor.read(offset, behind - first);
  for (let cluster = run.start; cluster < endOf(run); cluster += 1) {
    const entry = volume.entryOf(cluster);
    putEntry(bytes, Math.floor((entry * bits) / 8) - first, { entry, bits, value: valueFor(cluster) });
  }
  editor.write(offset, bytes);
};

/** `at` is where the first byte of the entry lies among the bytes. */
const putEntry = (
  bytes: Uint8Array,
  at: number,
  { entry, bits, value }: { entry: number; bits: FatBits; value: number },
): void => {
  if (bits === 12) {
    // The even one of two entries has the lower bits of three bytes (fatgen103 "FAT Data Structure").
    const odd = entry % 2 === 1;
    bytes[at] = odd ? (bytes[at]! & 0x0f) | ((value & 0x0f) << 4) : value & 0xff;
    bytes[at + 1] = odd ? value >>> 4 : (bytes[at + 1]! & 0xf0) | (value >>> 8);
    return;
  }
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  if (bits === 16) return;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = (bytes[at + 3]! & 0xf0) | (value >>> 24);
};

// --- what must be so before -------------------------------------------------------------------------------------

const otherTables = (volume: FatVolume): FatTable[] =>
  liveTables(volume.parameters)
    .filter((index) => index !== volume.parameters.activeTable)
    .map((index) => new FatTable(volume.device, volume.parameters, index));

const differ = (table: FatTable, cluster: Cluster): HoldfastError =>
  corrupt('the FATs differ', {
    code: 'fat.tables-differ',
    structure: `FAT entry ${cluster + FIRST_DATA_ENTRY}`,
    offset: table.positionOf(cluster + FIRST_DATA_ENTRY),
    wayOut: 'Run fsck.fat on the partition first',
  });

/** Throws `refused` (`claim.not-free`) unless all clusters are there and free, `corrupt` if only one of the FATs says so. */
export const requireFree = (volume: FatVolume, runs: readonly Run[]): void => {
  const others = otherTables(volume);
  for (const run of runs) {
    for (let cluster = run.start; cluster < endOf(run); cluster += 1) {
      if (!volume.hasCluster(cluster) || volume.table.next(cluster) !== FREE) {
        throw refused('a cluster that the container is to take is not free', {
          code: 'claim.not-free',
          structure: `FAT entry ${volume.entryOf(cluster)}`,
          ...(volume.hasCluster(cluster) ? { offset: volume.clusterOffset(cluster) } : {}),
        });
      }
      for (const other of others) if (other.next(cluster) !== FREE) throw differ(other, cluster);
    }
  }
};

/** Throws `corrupt` (`fat.tables-differ`) unless all FATs have the same entries for these clusters. */
export const requireAlike = (volume: FatVolume, runs: readonly Run[]): void => {
  for (const other of otherTables(volume)) {
    for (const run of runs) {
      for (let cluster = run.start; cluster < endOf(run); cluster += 1) {
        const entry = volume.entryOf(cluster);
        if (other.entry(entry) !== volume.table.entry(entry)) throw differ(other, cluster);
      }
    }
  }
};

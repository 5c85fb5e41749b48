import { type Run, roundUp } from '../../units.ts';
import { ClaimMap } from '../claim-map.ts';
import type { Problem } from '../filesystem.ts';
import { groupStructures } from './bitmaps.ts';
import type { AllocationView } from './claims.ts';
import { type Inode, isDirectory, parseInode, requireSound, usesInlineData } from './inode.ts';
import { inodeScratch, type RawInode, usedInodesOf } from './inode-tables.ts';
import { BAD_BLOCKS_INODE, RESIZE_INODE, ROOT_INODE, SUPERBLOCK, XATTR_HEADER } from './layout.ts';
import { readMapping } from './mapping.ts';
import { at, atBlock, gathered, type Put, problem } from './problems.ts';
import type { ExtVolume } from './volume.ts';
import { blockAttributes, inlineParts, inodeAttributes } from './xattr.ts';

/** Clusters whose owners are looked at in one pass: 16 MiB of bits, 512 GiB of 4 KiB clusters. */
const WINDOW = 2 ** 27;

/** What one pass over all inodes carries along. */
interface Pass {
  readonly volume: ExtVolume;
  readonly view: AllocationView;
  readonly claims: ClaimMap;
  readonly scratch: ReturnType<typeof inodeScratch>;
  /** Only the first pass reports what does not concern claims. */
  readonly first: boolean;
  /** Clusters claimed in the whole volume, not only in the window; a block shared by n inodes counts 1/n each. */
  claimed: number;
}

/**
 * Every inode in use: its checksum, its map inside the volume and marked as in use, its attributes, and that no cluster
 * has two owners. Owners are compared window by window; what lies behind the first window is looked at only if more
 * clusters are claimed than are in use, which must be so where one is claimed twice and none has leaked.
 * Attribute blocks that several inodes share are left out of the comparison.
 */
export function* inodeProblems(
  volume: ExtVolume,
  view: AllocationView,
  usedClusters: number,
  window = WINDOW,
): Generator<Problem> {
  const scratch = inodeScratch(volume);
  for (let start = 0; start < volume.clusterCount; start += window) {
    const length = Math.min(window, volume.clusterCount - start);
    const claims = new ClaimMap(start, length);
    const pass: Pass = { volume, view, claims, scratch, first: start === 0, claimed: 0 };
    yield* onePass(pass);
    // With bigalloc the file system's own structures share clusters, so the sums say nothing.
    if (volume.parameters.clusterBlocks === 1 && Math.round(pass.claimed) <= usedClusters) return;
  }
}

function* onePass(pass: Pass): Generator<Problem> {
  const { volume } = pass;
  for (let index = 0; index < volume.groupCount; index += 1) {
    const found = gathered((put) => claimStructures(pass, index, put));
    if (found.length > 0) yield* found;
  }
  if (volume.has('mmp')) {
    const block = SUPERBLOCK.get(volume.parameters.superblock, 's_mmp_block');
    yield* gathered((put) =>
      claimBlocks({ pass, put, structure: 'ext MMP block' }, { start: block, length: 1 }),
    );
  }
  for (let index = 0; index < volume.groupCount; index += 1) {
    const found = gathered((put) => oneGroup(pass, index, put));
    if (found.length > 0) yield* found;
  }
}

const toClusters = (volume: ExtVolume, { start, length }: Run): Run => {
  const ratio = volume.parameters.clusterBlocks;
  const first = Math.floor(start / ratio);
  return { start: first, length: Math.ceil((start + length) / ratio) - first };
};

const claimStructures = (pass: Pass, index: number, put: Put): void => {
  const { volume, claims } = pass;
  for (const blocks of groupStructures(volume, volume.group(index))) {
    const run = toClusters(volume, blocks);
    pass.claimed += run.length;
    const taken = claims.claim(run);
    if (taken !== undefined && volume.parameters.clusterBlocks === 1)
      put(problem('ext.structure-overlap', atBlock(volume, taken, `ext structures of group ${index}`)));
  }
};

const oneGroup = (pass: Pass, index: number, put: Put): void => {
  const { volume } = pass;
  const group = volume.group(index);
  let directories = 0;
  let damaged = false;
  if (!group.inodeUninitialised) {
    for (const raw of usedInodesOf(volume, group, pass.scratch)) {
      const inode = parseInode(volume, raw.number, raw.bytes, raw.offset);
      if (isDirectory(inode)) directories += 1;
      const problems = gathered((add) => oneInode(pass, inode, raw, add));
      damaged ||= problems.length > 0;
      for (const each of problems) put(each);
    }
  }
  if (!pass.first || damaged || group.usedDirectories === directories) return;
  put(
    problem('ext.used-directories', at(`ext group descriptor ${index}`, group.offset), {
      expected: directories,
      found: group.usedDirectories,
    }),
  );
};

/** The owner whose clusters are looked at. */
interface Owner {
  readonly pass: Pass;
  readonly put: Put;
  readonly structure: string;
}

const oneInode = (pass: Pass, inode: Inode, raw: RawInode, put: Put): void => {
  const { volume, first } = pass;
  const reserved = inode.number < volume.parameters.firstInode && inode.number !== ROOT_INODE;
  const structure = `ext inode ${inode.number}`;
  const owner = { pass, put, structure };
  // Damage is reported once; later passes only compare owners.
  if (first) requireSound(volume, inode);
  if (first && !reserved && inode.links === 0) put(problem('ext.unlinked-inode', at(structure, raw.offset)));
  if (first && usesInlineData(inode)) inlineParts(inode);
  if (inode.number !== BAD_BLOCKS_INODE) claimMapping(owner, inode);
  claimAttributes(owner, inode);
};

/**
 * The growth reserve belongs to the groups' own structures; the resize inode lists it once more. To the end of the
 * cluster: with bigalloc and 1 KiB blocks mke2fs lists the copies one block too far, since only group 0 starts at 1.
 */
const isOverhead = (volume: ExtVolume, block: number): boolean => {
  const { start, length } = volume.groupOverhead(volume.groupOfBlock(block));
  return block >= start && block < roundUp(start + length, volume.parameters.clusterBlocks);
};

const claimMapping = (owner: Owner, inode: Inode): void => {
  const { volume } = owner.pass;
  const resize = inode.number === RESIZE_INODE;
  // With bigalloc, neighbouring extents of one file may share a cluster (see `clusterRuns`).
  let last = -1;
  for (const item of readMapping(volume, inode)) {
    if (resize && isOverhead(volume, item.start)) continue;
    let run = toClusters(volume, item);
    if (item.kind === 'data') {
      if (run.start === last && volume.parameters.clusterBlocks > 1)
        run = { start: run.start + 1, length: run.length - 1 };
      if (run.length > 0) last = run.start + run.length - 1;
    }
    claimClusters(owner, run);
  }
};

const claimAttributes = (owner: Owner, inode: Inode): void => {
  const { pass, structure } = owner;
  const { volume } = pass;
  for (const { value } of inodeAttributes(inode)) {
    if (!(value instanceof Uint8Array)) volume.inodeOffset(value.inode);
  }
  if (inode.attributeBlock === 0) return;
  for (const { value } of blockAttributes(volume, inode)) {
    if (!(value instanceof Uint8Array)) volume.inodeOffset(value.inode);
  }
  const block = volume.readBlock(inode.attributeBlock, structure);
  const sharers = XATTR_HEADER.get(block, 'h_refcount');
  const blocks = { start: inode.attributeBlock, length: 1 };
  if (sharers <= 1) claimBlocks(owner, blocks);
  else {
    pass.claimed += 1 / sharers;
    mustBeUsed(owner, toClusters(volume, blocks));
  }
};

const claimBlocks = (owner: Owner, blocks: Run): void =>
  claimClusters(owner, toClusters(owner.pass.volume, blocks));

const claimClusters = (owner: Owner, run: Run): void => {
  const { pass, put, structure } = owner;
  mustBeUsed(owner, run);
  pass.claimed += run.length;
  const taken = pass.claims.claim(run);
  if (taken !== undefined) put(problem('ext.multiply-claimed', atBlock(pass.volume, taken, structure)));
};

const mustBeUsed = ({ pass: { volume, view, first }, put, structure }: Owner, run: Run): void => {
  const free = first ? view.firstFree(run) : undefined;
  if (free !== undefined) put(problem('ext.content-free', atBlock(volume, free, structure)));
};

import type { NumberSet } from '../../bytes/number-set.ts';
import { corrupt } from '../../errors.ts';
import { ClaimMap } from '../claim-map.ts';
import type { Problem } from '../filesystem.ts';
import type { Attribute, NonResidentAttribute } from './attribute.ts';
import type { PagedBitmap } from './bitmap.ts';
import { folderProblems } from './check-index.ts';
import { extentRuns, type NtfsFile, openRecord } from './file.ts';
import { AT_ATTRIBUTE_LIST, AT_FILE_NAME, RECORD_IS_DIRECTORY } from './layout.ts';
import { usedRecords } from './mft-records.ts';
import type { NameLedger } from './name-ledger.ts';
import { parseFileName, type UpCase } from './names.ts';
import { at, gather, type Put, problem } from './problems.ts';
import { isInUse, isMeant, type MftRecord, ownAttributes, parseRecord, referenceOf } from './record.ts';
import { type FileReference, formatReference } from './reference.ts';
import { clustersOf } from './runlist.ts';
import type { NtfsVolume } from './volume.ts';

/** What the parts of a check share. */
export interface Check {
  readonly volume: NtfsVolume;
  /** $Bitmap. */
  readonly clusters: PagedBitmap;
  /** The bitmap of $MFT. */
  readonly marks: PagedBitmap;
  /** Undefined if it could not be read: then nothing is said of the order of names. */
  readonly upCase: UpCase | undefined;
  readonly ledger: NameLedger;
  /** Numbers of records that could not be read: nothing more is said of names that need them. */
  readonly damagedRecords: NumberSet;
  /** Numbers of folders whose index could not be read to its end. */
  readonly damagedFolders: NumberSet;
}

/** Clusters whose owners are looked at in one pass: 32 MiB of bits, 1 TiB of 4 KiB clusters. */
const WINDOW = 2 ** 28;

interface Pass {
  readonly check: Check;
  readonly claims: ClaimMap;
  /** Only the first pass reports what does not concern claims. */
  readonly first: boolean;
  /** Clusters claimed in the whole volume, not only in the window. */
  claimed: number;
  /** The last file whose attribute list was compared with its extension records. */
  latestBase:
    | { readonly number: number; readonly readable: boolean; readonly listed: ReadonlySet<number> }
    | undefined;
}

/**
 * Every record in use: its structure, its runs inside the volume, marked as in use and no cluster owned twice; attribute lists
 * and extension records know each other; indexes of folders. Owners are compared window by window; further windows are left
 * out if exactly as many clusters are owned as are in use, which cannot be so where one is owned twice and none has leaked.
 */
export function* recordProblems(check: Check, usedClusters: number, window = WINDOW): Generator<Problem> {
  const { volume } = check;
  for (let start = 0; start < volume.clusterCount; start += window) {
    const length = Math.min(window, volume.clusterCount - start);
    const claims = new ClaimMap(start, length);
    const pass: Pass = { check, claims, first: start === 0, claimed: 0, latestBase: undefined };
    const found: Problem[] = [];
    const put: Put = (each) => found.push(each);
    for (const { number, bytes, marked } of usedRecords(volume, check.marks)) {
      const parsed = gather(pass.first ? put : ignore, () => {
        const record = parseRecord(bytes, number, volume.recordOffset(number));
        if (pass.first && !marked)
          put(problem('ntfs.record-unmarked', at(`MFT record ${number}`, record.place.offset)));
        oneRecord(pass, record, put);
      });
      if (!parsed) check.damagedRecords.add(number);
      if (found.length > 0) yield* found.splice(0);
    }
    if (pass.claimed === usedClusters) return;
  }
}

const ignore: Put = () => {};

const oneRecord = (pass: Pass, record: MftRecord, put: Put): void => {
  const attributes = [...ownAttributes(record)];
  // What no file names holds nothing: an extension that was to take the place of another has the same clusters.
  if (record.base !== undefined && !isKnownExtension(pass, record, record.base, pass.first ? put : ignore)) {
    pass.check.damagedRecords.add(record.number);
    return;
  }
  for (const attribute of attributes) if (!attribute.resident) claimExtent(pass, attribute, put);
  if (!pass.first) return;
  const hasList = attributes.some(({ type }) => type === AT_ATTRIBUTE_LIST);
  const owner = record.base ?? referenceOf(record);
  for (const attribute of attributes)
    if (attribute.type === AT_FILE_NAME && attribute.resident) keepName(pass, owner, attribute.value, record);
  if (record.base !== undefined) return;
  if (!hasList) attributes.forEach(requireWhole);
  const isFolder = (record.flags & RECORD_IS_DIRECTORY) !== 0;
  if (!hasList && !isFolder) return;
  const file = openRecord(pass.check.volume, record);
  if (hasList) requireListed(file);
  if (isFolder) folderProblems(pass.check, file, put);
};

const keepName = (pass: Pass, file: FileReference, value: Uint8Array, record: MftRecord): void => {
  const { parent, name, namespace } = parseFileName(value, record.place);
  pass.check.ledger.kept({ folder: parent, file, name, namespace });
};

const fail = (attribute: Attribute, expected: number, found: number) =>
  corrupt('an attribute does not begin at its start', {
    code: 'ntfs.extents',
    ...attribute.place,
    expected: `VCN ${expected}`,
    found: `VCN ${found}`,
  });

/** Without an attribute list, each attribute is in one piece. */
const requireWhole = (attribute: Attribute): void => {
  if (!attribute.resident && attribute.pairs.lowestVcn !== 0)
    throw fail(attribute, 0, attribute.pairs.lowestVcn);
};

/** All entries of a list lead to an attribute, and the extents of each follow each other: the list is sorted. */
const requireListed = (file: NtfsFile): void => {
  let open: { readonly type: number; readonly name: string; readonly next: number } | undefined;
  for (const attribute of file.attributes()) {
    const { type, name } = attribute;
    const same = open?.type === type && open.name === name;
    if (attribute.resident) {
      open = undefined;
      continue;
    }
    const { lowestVcn, highestVcn } = attribute.pairs;
    const expected = same ? open!.next : 0;
    if (lowestVcn !== expected) throw fail(attribute, expected, lowestVcn);
    open = { type, name, next: highestVcn + 1 };
  }
};

/** True if the file that an extension record belongs to names it. A file that cannot be read has a problem of its own. */
const isKnownExtension = (pass: Pass, record: MftRecord, base: FileReference, put: Put): boolean => {
  if (pass.latestBase?.number !== base.number) {
    const listed = new Set<number>();
    const readable = gather(ignore, () => {
      const owner = pass.check.volume.record(base.number);
      if (!isInUse(owner) || !isMeant(owner, base) || owner.base !== undefined) return;
      for (const { reference } of openRecord(pass.check.volume, owner).list ?? [])
        listed.add(reference.number);
    });
    pass.latestBase = { number: base.number, readable, listed };
  }
  const { readable, listed } = pass.latestBase;
  if (listed.has(record.number)) return true;
  const where = at(`MFT record ${record.number}`, record.place.offset);
  if (readable) put(problem('ntfs.extension', where, { expected: formatReference(base) }));
  return false;
};

const claimExtent = (pass: Pass, extent: NonResidentAttribute, put: Put): void => {
  const { volume, clusters } = pass.check;
  const where = (cluster: number): string =>
    at(`cluster ${cluster} of ${extent.place.structure}`, volume.clusterOffset(cluster));
  let free: number | undefined;
  let taken: number | undefined;
  for (const run of clustersOf(extentRuns(volume, extent))) {
    if (pass.first) free ??= clusters.firstClear(run);
    pass.claimed += run.length;
    const before = pass.claims.claim(run);
    taken ??= before;
  }
  if (free !== undefined) put(problem('ntfs.content-free', where(free)));
  if (taken !== undefined) put(problem('ntfs.multiply-claimed', where(taken)));
};

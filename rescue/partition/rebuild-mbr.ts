import { hash } from 'node:crypto';
import type { ReadableDevice } from '../device/device.ts';
import { type Lba, MIB, roundDown } from '../units.ts';
import { MBR, MBR_RECORD, MBR_RECORDS, MBR_SIGNATURE, recordOffset } from './boot-record.ts';
import { MAX_EBRS } from './extended.ts';
import {
  type EbrContent,
  encodeRecord,
  type LogicalContent,
  layoutChain,
  type SectorSpan,
} from './mbr-write.ts';
import { type Candidate, type DroppedEntry, droppedOf, parseMbrUuid } from './merge.ts';
import { mbrType } from './partition-type.ts';
import { assignNumbers, type Rebuilt } from './rebuild-gpt.ts';
import type { LiveTable } from './table.ts';
import { ebrChange } from './writes.ts';

/** Sectors that an MBR can count: starts and lengths are 32 bits wide. */
export const MBR_REACH: Lba = 2 ** (8 * MBR_RECORD.widthOf('StartingLBA'));
/** Type of an extended partition made from nothing: the one for LBA addressing. */
const NEW_CONTAINER_TYPE = 0x0f;

/** An extended partition to be, with its logical partitions in chain order. */
interface Container extends SectorSpan {
  readonly number: number | null;
  readonly type: number;
  readonly record: Uint8Array | null;
  readonly logicals: readonly Candidate[];
}

const spanOf = (candidate: Candidate, sectorSize: number): SectorSpan => ({
  start: candidate.start / sectorSize,
  sectors: candidate.size / sectorSize,
});

/** Sectors to write: an entry that was cut at the end of this disk for use keeps what its record says. */
const recordedSectors = (
  span: SectorSpan,
  record: Uint8Array | null,
  device: ReadableDevice,
  base: LiveTable | null,
): Lba => {
  if (base?.diskSize !== device.size) return span.sectors;
  const said = record === null ? 0 : MBR_RECORD.get(record, 'SizeInLBA');
  const isLast = span.start + span.sectors === Math.floor(device.size / device.sectorSize);
  return isLast ? Math.max(said, span.sectors) : span.sectors;
};

const meets = (a: SectorSpan, b: SectorSpan): boolean =>
  a.start < b.start + b.sectors && b.start < a.start + a.sectors;

const holds = (outer: SectorSpan, inner: SectorSpan): boolean =>
  inner.start > outer.start && inner.start + inner.sectors <= outer.start + outer.sectors;

const inChainOrder = (a: Candidate, b: Candidate): number =>
  (a.number ?? Infinity) - (b.number ?? Infinity) || a.start - b.start;

/** Containers of the saved table that are not in the way of an accepted partition and lie on this disk. */
const savedContainers = (
  device: ReadableDevice,
  base: LiveTable | null,
  accepted: readonly Candidate[],
): Container[] => {
  const { sectorSize } = device;
  if (base?.scheme !== 'mbr' || base.sectorSize !== sectorSize) return [];
  return base.extended.flatMap((extended) => {
    // A container reaches beyond a smaller disk; what fits of it still holds the logical partitions that fit.
    const end = Math.min(extended.start + extended.size, roundDown(device.size, sectorSize));
    const span = { start: extended.start / sectorSize, sectors: (end - extended.start) / sectorSize };
    if (span.sectors <= 0) return [];
    const crossing = accepted.some((each) => {
      const other = spanOf(each, sectorSize);
      return meets(span, other) && !holds(span, other);
    });
    if (crossing) return [];
    const logicals = accepted.filter((each) => holds(span, spanOf(each, sectorSize))).sort(inChainOrder);
    const record = base.mbr?.records[extended.number - 1]?.raw ?? null;
    const type = Number.parseInt(extended.type, 16);
    return [{ ...span, number: extended.number, type, record, logicals }];
  });
};

/** One container around logical partitions whose own is not known; null when something else lies in between. */
const newContainer = (
  device: ReadableDevice,
  orphans: readonly Candidate[],
  accepted: readonly Candidate[],
  containers: readonly Container[],
): Container | null => {
  const { sectorSize } = device;
  const spans = orphans.map((each) => spanOf(each, sectorSize));
  const first = Math.min(...spans.map((span) => span.start));
  const end = Math.max(...spans.map((span) => span.start + span.sectors));
  const others = [
    ...accepted.filter((each) => !orphans.includes(each)).map((each) => spanOf(each, sectorSize)),
    ...containers,
  ];
  const floor = Math.max(
    1,
    ...others.map((span) => span.start + span.sectors).filter((stop) => stop <= first),
  );
  const start = Math.max(floor, first - MIB / sectorSize);
  const span = { start, sectors: end - start };
  if (start >= first || span.sectors >= MBR_REACH || others.some((other) => meets(other, span))) return null;
  const logicals = [...orphans].sort(inChainOrder);
  return { ...span, number: null, type: NEW_CONTAINER_TYPE, record: null, logicals };
};

const toLogical = (candidate: Candidate, sectorSize: number): LogicalContent => ({
  ...spanOf(candidate, sectorSize),
  type: mbrType(candidate.type),
  bootable: candidate.bootable,
  raw: candidate.record,
  ebr: candidate.ebr,
});

/** The disk signature: the saved one, else the one in a PARTUUID, else one made from the wanted partition's place. */
const signatureOf = (base: LiveTable | null, accepted: readonly Candidate[]): number => {
  if (base?.scheme === 'mbr') return Number.parseInt(base.diskId, 16);
  for (const { uuid } of accepted) {
    const parsed = parseMbrUuid(uuid);
    if (parsed !== null) return Number.parseInt(parsed.signature, 16);
  }
  return Number.parseInt(hash('sha256', `holdfast disk ${accepted[0]?.start}`, 'hex').slice(0, 8), 16) || 1;
};

/** A whole new MBR with the accepted candidates, the first of them the wanted one; boot code as it is on the disk. */
export const rebuildMbr = (
  device: ReadableDevice,
  base: LiveTable | null,
  accepted: readonly Candidate[],
): Rebuilt => {
  const { sectorSize } = device;
  const dropped: DroppedEntry[] = [];
  const reachable = accepted.filter((each) => {
    const span = spanOf(each, sectorSize);
    if (span.start < MBR_REACH && span.sectors < MBR_REACH) return true;
    dropped.push(droppedOf(each, 'an MBR cannot count that many sectors'));
    return false;
  });
  const containers = savedContainers(device, base, reachable);
  const contained = (each: Candidate): boolean => containers.some(({ logicals }) => logicals.includes(each));
  const orphans = reachable.filter((each) => each.logical && !contained(each));
  const made = orphans.length === 0 ? null : newContainer(device, orphans, reachable, containers);
  if (made !== null) containers.push(made);
  const primaries = reachable.filter((each) => !contained(each));
  // The wanted partition, or the container that holds it, chooses its slot first.
  const first = reachable[0];
  const wanting = [...primaries, ...containers].sort(
    (a, b) => Number(isOrHolds(b, first)) - Number(isOrHolds(a, first)),
  );
  const slots = assignNumbers(wanting, MBR_RECORDS);

  const sector = device.read(0, sectorSize);
  if (base?.scheme === 'mbr') {
    const saved = MBR.get(base.mbr!.sector, 'Unknown');
    MBR.set(sector, 'Unknown', saved);
  } else MBR.set(sector, 'Unknown', new Uint8Array(2));
  MBR.set(sector, 'UniqueMBRDiskSignature', signatureOf(base, reachable));
  MBR.set(sector, 'PartitionRecord', new Uint8Array(MBR.widthOf('PartitionRecord')));
  MBR.set(sector, 'Signature', MBR_SIGNATURE);
  const taken = reachable.map((each) => spanOf(each, sectorSize));
  const ebrs: EbrContent[] = [];
  for (const each of wanting) {
    const slot = slots.get(each);
    const isContainer = 'logicals' in each;
    if (slot === undefined) {
      for (const lost of isContainer ? each.logicals : [each])
        dropped.push(droppedOf(lost, 'all four entries of the MBR are taken'));
      continue;
    }
    const span = isContainer ? each : spanOf(each, sectorSize);
    const { start } = span;
    const sectors = recordedSectors(span, each.record, device, base);
    const type = isContainer ? each.type : mbrType(each.type);
    const bootable = !isContainer && each.bootable;
    const content = { bootable, type, start, sectors, absolute: start, raw: each.record };
    sector.set(encodeRecord(content), recordOffset(slot - 1));
    if (!isContainer) continue;
    const chain = chainOf(each, taken, sectorSize, dropped);
    ebrs.push(...chain);
  }
  const links = ebrs.map((ebr) => ebrChange(device, ebr)).reverse();
  return { phases: [links, [{ offset: 0, data: sector }]], dropped };
};

const isOrHolds = (each: Candidate | Container, candidate: Candidate | undefined): boolean =>
  candidate !== undefined &&
  (each === candidate || ('logicals' in each && each.logicals.includes(candidate)));

/** The container's chain; logical partitions that leave no room for an EBR are dropped from the end, the wanted one last. */
const chainOf = (
  container: Container,
  taken: readonly SectorSpan[],
  sectorSize: number,
  dropped: DroppedEntry[],
): EbrContent[] => {
  let logicals = [...container.logicals];
  for (;;) {
    const contents = logicals.map((each) => toLogical(each, sectorSize));
    const chain = logicals.length > MAX_EBRS ? null : layoutChain(container, contents, taken, sectorSize);
    if (chain !== null) return chain;
    const victim = logicals.findLast((each) => !each.wanted) ?? logicals[0]!;
    logicals = logicals.filter((each) => each !== victim);
    dropped.push(droppedOf(victim, 'there is no free sector for its extended boot record'));
  }
};

import type { Problem } from '../filesystem.ts';
import type { Check } from './check-records.ts';
import { directoryEntries, openNameIndex } from './directory.ts';
import { openRecord } from './file.ts';
import { AT_FILE_NAME, RECORD_IS_DIRECTORY } from './layout.ts';
import { usedRecords } from './mft-records.ts';
import type { LedgerName } from './name-ledger.ts';
import { parseFileName } from './names.ts';
import { at, gather, problem } from './problems.ts';
import { type MftRecord, ownAttributes, parseRecord, referenceOf } from './record.ts';
import { type FileReference, formatReference } from './reference.ts';

/** Names that are compared one by one, of each side: a few MiB. What is more than that is damage enough. */
const MOST_NAMES = 10_000;

/** A name of a bucket that is out of balance. */
interface Suspect extends LedgerName {
  readonly where: string;
}

/** The same for two names that differ only in sequence numbers. */
const keyOf = ({ folder, file, namespace, name }: LedgerName): string =>
  `${folder.number} ${file.number} ${namespace} ${name}`;

const agree = (a: FileReference, b: FileReference): boolean =>
  a.sequence === b.sequence || a.sequence === 0 || b.sequence === 0;

/**
 * Names that a file keeps but its folder does not list, and the other way round. The ledger, filled by the first pass over all
 * records, says whether there are any; if so, all are looked at again, and those in buckets out of balance compared.
 */
export function* nameProblems(check: Check): Generator<Problem> {
  if (check.ledger.balanced) return;
  const kept = new Map<string, Suspect>();
  const listed: Suspect[] = [];
  let keptAll = true;
  for (const suspect of keptSuspects(check)) {
    keptAll = kept.size < MOST_NAMES;
    if (!keptAll) break;
    kept.set(keyOf(suspect), suspect);
  }
  for (const suspect of listedSuspects(check)) {
    const key = keyOf(suspect);
    const own = kept.get(key);
    if (own !== undefined) {
      kept.delete(key);
      yield* differences(own, suspect);
    } else if (listed.length < MOST_NAMES) listed.push(suspect);
  }
  for (const suspect of kept.values()) yield* unlistedName(check, suspect);
  if (keptAll) for (const suspect of listed) yield* namelessEntry(check, suspect);
}

function* differences(own: Suspect, listed: Suspect): Generator<Problem> {
  if (!agree(own.file, listed.file)) {
    yield problem('ntfs.entry-sequence', listed.where, {
      expected: formatReference(own.file),
      found: formatReference(listed.file),
    });
  }
  if (!agree(own.folder, listed.folder)) {
    yield problem('ntfs.parent-sequence', own.where, {
      expected: formatReference(listed.folder),
      found: formatReference(own.folder),
    });
  }
}

/** What a damaged record or folder would have said is unknown; its own problem was reported. */
function* unlistedName({ damagedFolders, damagedRecords }: Check, suspect: Suspect): Generator<Problem> {
  const { number } = suspect.folder;
  if (damagedFolders.has(number) || damagedRecords.has(number)) return;
  yield problem('ntfs.name-without-entry', suspect.where, {
    expected: formatReference(suspect.folder),
    found: JSON.stringify(suspect.name),
  });
}

function* namelessEntry({ damagedRecords }: Check, suspect: Suspect): Generator<Problem> {
  if (damagedRecords.has(suspect.file.number)) return;
  yield problem('ntfs.entry-without-name', suspect.where, {
    expected: formatReference(suspect.file),
    found: JSON.stringify(suspect.name),
  });
}

/** Records in use that the first pass found sound, in themselves at least. */
function* soundRecords({ volume, marks, damagedRecords }: Check): Generator<MftRecord> {
  for (const { number, bytes } of usedRecords(volume, marks)) {
    if (damagedRecords.has(number)) continue;
    let record: MftRecord | undefined;
    gather(
      () => {},
      () => {
        record = parseRecord(bytes, number, volume.recordOffset(number));
      },
    );
    if (record !== undefined) yield record;
  }
}

/** What `list` gives until damage stops it: that was reported by the first pass. */
const untilDamage = <Item>(list: () => Iterable<Item>): Item[] => {
  const items: Item[] = [];
  gather(
    () => {},
    () => {
      for (const item of list()) items.push(item);
    },
  );
  return items;
};

function* keptSuspects(check: Check): Generator<Suspect> {
  for (const record of soundRecords(check)) {
    const file = record.base ?? referenceOf(record);
    for (const attribute of untilDamage(() => ownAttributes(record))) {
      if (attribute.type !== AT_FILE_NAME || !attribute.resident) continue;
      const [parsed] = untilDamage(() => [parseFileName(attribute.value, record.place)]);
      if (parsed === undefined) continue;
      const { parent: folder, name, namespace } = parsed;
      const kept = { folder, file, name, namespace };
      if (!check.ledger.isBalanced(kept))
        yield { ...kept, where: at(record.place.structure, record.place.offset) };
    }
  }
}

function* listedSuspects(check: Check): Generator<Suspect> {
  for (const record of soundRecords(check)) {
    if (record.base !== undefined || (record.flags & RECORD_IS_DIRECTORY) === 0) continue;
    const folder = referenceOf(record);
    const suspects: Suspect[] = [];
    gather(
      () => {},
      () => {
        const index = openNameIndex(openRecord(check.volume, record));
        for (const { reference, name, namespace, place } of directoryEntries(index)) {
          const listed = { folder, file: reference, name, namespace };
          if (check.ledger.isBalanced(listed) || suspects.length >= MOST_NAMES) continue;
          suspects.push({ ...listed, where: at(place.structure, place.offset) });
        }
      },
    );
    yield* suspects;
  }
}

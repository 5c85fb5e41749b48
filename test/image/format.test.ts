import test from 'ava';
import { type FieldType, fieldWidth, type Struct } from '../../rescue/bytes/fields.ts';
import { decodeExtents, encodeExtents } from '../../rescue/image/extents.ts';
import * as layout from '../../rescue/image/layout.ts';
import { MAX_RECORD_LENGTH } from '../../rescue/image/record.ts';
import { type DocumentedField, documentedStructs, FORMAT, rowsBehind, rowsUnder } from './format-tables.ts';

type AnyStruct = Struct<Record<string, readonly [number, FieldType, string?]>>;

const isStruct = (value: unknown): value is AnyStruct =>
  typeof value === 'object' && value !== null && 'fields' in value && 'offsetOf' in value;

/** Fields of a structure in order, bytes between them as `reserved`: what the table must show. */
const expectedRows = ({ fields, size }: AnyStruct): DocumentedField[] => {
  const rows: DocumentedField[] = [];
  let at = 0;
  const reserve = (to: number): void => {
    if (to > at) rows.push({ offset: at, name: 'reserved', type: `bytes:${to - at}` });
  };
  for (const [name, [offset, type]] of Object.entries(fields).sort(([, a], [, b]) => a[0] - b[0])) {
    reserve(offset);
    rows.push({ offset, name, type });
    at = offset + fieldWidth(type);
  }
  reserve(size);
  return rows;
};

const structs = new Map(
  Object.entries(layout).flatMap(([key, value]): [string, AnyStruct][] =>
    isStruct(value) ? [[key, value]] : [],
  ),
);
const documented = documentedStructs();

test('every structure of layout.ts has its table, once, and no other has', (t) => {
  t.deepEqual(documented.map(({ key }) => key).sort(), [...structs.keys()].sort());
});

for (const [key, struct] of structs) {
  test(`${key}: the table and the code agree on every byte`, (t) => {
    const table = documented.find((each) => each.key === key);
    t.is(table?.size, struct.size);
    t.deepEqual(table?.fields, expectedRows(struct));
  });
}

test('fields neither overlap nor leave their structure', (t) => {
  for (const [key, struct] of structs) {
    let at = 0;
    for (const { offset, type } of expectedRows(struct)) {
      t.is(offset, at, key);
      at += fieldWidth(type as FieldType);
    }
    t.is(at, struct.size, key);
  }
});

test('a table with a field moved by one byte would be noticed', (t) => {
  const moved = FORMAT.replace('| 64 | `home` |', '| 65 | `home` |');
  t.not(moved, FORMAT);
  const table = documentedStructs(moved).find((each) => each.key === 'SLOT_HEADER');
  t.notDeepEqual(table?.fields, expectedRows(structs.get('SLOT_HEADER')!));
});

test('codes of streams, codecs and address spaces are those of the tables', (t) => {
  const codes = (title: string) =>
    Object.fromEntries(
      rowsUnder(title).flatMap(([id, name]) => (/^\d+$/.test(id!) ? [[name, Number(id)]] : [])),
    );
  t.deepEqual(codes('Streams'), { ...layout.STREAM });
  t.deepEqual(codes('Codecs'), { ...layout.CODEC });
  t.deepEqual(codes('Address spaces'), { ...layout.SPACE });
  for (const [name, id] of Object.entries(layout.RESERVED_STREAM)) {
    t.true(FORMAT.includes(`${id} ${name}`), name);
    t.false(Object.values<number>(layout.STREAM).includes(id), name);
  }
});

test('kinds of steps are those of the table', (t) => {
  const at = FORMAT.indexOf('| kind | name | follows |');
  const rows = rowsBehind(FORMAT, at).map(([id, name]) => [name, Number(id)]);
  t.deepEqual(Object.fromEntries(rows), { ...layout.STEP_KIND });
});

test('codes that fields hold are named in their rows', (t) => {
  const rows = (prefix: string) =>
    FORMAT.split('\n').find((line) => line.includes(`| \`${prefix}\` |`)) ?? '';
  for (const [name, code] of Object.entries(layout.SLOT_KIND))
    t.true(rows('kind').includes(`${code} ${name}`));
  for (const [name, code] of Object.entries(layout.FILE_SYSTEM_CODE))
    t.true(rows('file_system').toLowerCase().includes(`${code} ${name}`));
});

test('limits are those of the code', (t) => {
  const limits = new Map(rowsUnder('Limits').map(([name, value]) => [name, value]));
  const number = (name: string): number => Number.parseInt(limits.get(name) ?? '', 10);
  t.is(limits.get('slot size'), `${layout.MIN_SLOT_SIZE} to ${layout.MAX_SLOT_SIZE}`);
  t.is(number('frame, raw; every other record too'), layout.MAX_FRAME_SIZE);
  t.is(number('runs in a record'), layout.MAX_RECORD_RUNS);
  t.is(number('record'), MAX_RECORD_LENGTH);
  t.is(number('journal slots'), layout.MAX_JOURNAL_SLOTS);
  t.is(limits.get('patch'), `${layout.MAX_PATCH_LENGTH / 1024 ** 3} GiB`);
  t.is(number('siblings listed'), layout.MAX_SIBLINGS);
  t.is(number('runs of a chain'), layout.MAX_CHAIN_RUNS);
});

test('magics and fixed places in the text are those of the code', (t) => {
  t.true(
    FORMAT.includes(
      Buffer.from(layout.SLOT_MAGIC)
        .toString('hex')
        .replace(/..(?=.)/g, '$& '),
    ),
  );
  for (const magic of [layout.ANCHOR_MAGIC, layout.COMMIT_MAGIC, layout.JOURNAL_MAGIC, layout.AUDIT_MAGIC])
    t.true(FORMAT.includes(`"${magic}"`), magic);
  t.regex(FORMAT, new RegExp(`At byte ${layout.COMMIT_POSITION} of slots A and B`));
  t.regex(FORMAT, new RegExp(`At byte ${layout.AUDIT_POSITION} of slot A`));
  t.regex(
    FORMAT,
    new RegExp(`header stands at byte ${layout.JOURNAL_POSITION} of the first\\s+journal slot`),
  );
  t.regex(FORMAT, new RegExp(`every\\s+multiple of ${layout.ANCHOR_INTERVAL} is an anchor`));
});

test('the worked example of the extent coding is what the code makes and reads', (t) => {
  const extents = [...FORMAT.matchAll(/start (\d+), length (\d+)/g)].map(([, start, length]) => ({
    start: Number(start),
    length: Number(length),
  }));
  t.is(extents.length, 2);
  const bytes = rowsUnder('Extents and their order').map((cells) => cells.at(-1)!.replaceAll(/[` ]/g, ''));
  const coded = Buffer.from(bytes.join(''), 'hex');
  t.deepEqual(Buffer.from(encodeExtents(extents)), coded);
  t.deepEqual(decodeExtents(coded, 2, 2 ** 24, 65536), extents);
});

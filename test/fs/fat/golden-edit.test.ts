import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { claim } from '../../../rescue/fs/fat/claim.ts';
import { release } from '../../../rescue/fs/fat/release.ts';
import { patch } from '../../../rescue/fs/fat/transaction.ts';
import type { Editor, Patch, PatchStep } from '../../../rescue/fs/patch.ts';
import { applyPatch } from '../../../rescue/job/apply.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { NOTHING, TIME } from '../editing.ts';
import { type FatOptions, makeFat } from './volumes.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Rows of 16 bytes that change, `offset: before -> after`; what was zero shows a dash. Operations in words. */
const stepRows = (step: PatchStep): string[] => {
  if (step.kind === 'fill') return [`fill ${step.length} bytes at ${step.offset.toString(16)}`];
  if (step.kind === 'bits') return [`${step.direction} ${step.length} bytes at ${step.offset.toString(16)}`];
  if (step.kind === 'chain') {
    const runs = step.runs.map(({ start, length, ends }) => `${start}+${length}${ends ? '.' : ''}`).join(' ');
    const table = `${step.copies} tables of ${step.length} bytes from ${step.offset.toString(16)}`;
    return [`${step.direction} ${runs} end ${step.end.toString(16)} in ${table}`];
  }
  const rows: string[] = [];
  for (let at = 0; at < step.after.length; at += 16) {
    const [old, now] = [step.before, step.after].map((bytes) => hex(bytes.subarray(at, at + 16)));
    if (old !== now)
      rows.push(`${(step.offset + at).toString(16)}: ${/^0*$/.test(old!) ? '-' : old} -> ${now}`);
  }
  return rows;
};

/** One list for each phase. */
const rowsOf = ({ phases }: Patch): string[][] => phases.map((phase) => phase.flatMap(stepRows));

const volumeOf = (t: ExecutionContext, options: FatOptions): MemoryDevice =>
  MemoryDevice.of(readFileSync(makeFat(join(temporaryFolder(t), 'volume'), options)));

const change = (device: MemoryDevice, edit: (editor: Editor) => void): string[][] => {
  const made = patch(device, edit);
  applyPatch(device, made);
  return rowsOf(made);
};

/** What stands behind two spaces is a remark. */
const bare = (phases: readonly (readonly string[])[]): string[][] =>
  phases.map((rows) => rows.map((row) => row.split('  ')[0]!));

const RUNS = [
  { start: 20, length: 3 },
  { start: 10, length: 2 },
];
const claimed = (editor: Editor): void =>
  claim(editor, { name: 'user-1', runs: RUNS, time: TIME, avoid: NOTHING });
const released = (editor: Editor): void => release(editor, { name: 'user-1', time: TIME });

const folderAt = (offset: number, first: string): string[] => {
  const row = (index: number): string => (offset + index * 16).toString(16);
  return [
    `${row(0)}: - -> 2e202020202020202020201000000000  ".", a folder`,
    `${row(1)}: - -> 61586158000000006158${first}0000000000  2024-03-01; its own cluster`,
    `${row(2)}: - -> 2e2e2020202020202020201000000000  "..", a folder`,
    `${row(3)}: - -> 61586158000000006158000000000000  the root is 0`,
    `${row(4)}: - -> 4175007300650072002d000f00a63100  only part of the long name: "user-", checksum, "1"`,
    `${row(5)}: - -> 2e0068006600690000000000ffffffff  ".hfi", 0, filler`,
    `${row(6)}: - -> 555345522d3120204846490700000000  "USER-1  HFI", read-only, hidden, system`,
    `${row(7)}: - -> 615861580000000061581600000a0000  entry 22; 2560 bytes`,
  ];
};
const inRoot = (offset: number, first: string): string[] => {
  const row = (index: number): string => (offset + index * 16).toString(16);
  return [
    `${row(0)}: - -> 412e0068006f006c0064000f00de6600  only part of the long name: ".hold", checksum, "f"`,
    `${row(1)}: - -> 6100730074000000ffff0000ffffffff  "ast", 0, filler`,
    `${row(2)}: - -> 484f4c4446417e312020201600000000  "HOLDFA~1   ", a folder, hidden, system`,
    `${row(3)}: - -> 61586158000000006158${first}0000000000  2024-03-01; its cluster`,
  ];
};

test('FAT12: a claim and its release', (t) => {
  const device = volumeOf(t, { size: 1440 * KIB, bits: 12, aligned: false });
  const chains = [
    '00: f0ffff00000000000000000000000000 -> f0ffffff0f0000000000000000000000  entry 2: fff',
    '10: - -> 00000df0ff0000000000000000000000  entries 12, 13: 00d, fff',
    '20: - -> 001780010c0000000000000000000000  entries 22 to 24: 017, 018, 00c',
  ];
  const both = ['2', '14'].flatMap((table) => chains.map((row) => `${table}${row}`));
  const mark =
    '20: 000000000000296c7b8a0f4e4f204e41 -> 000000000001296c7b8a0f4e4f204e41  BS_Reserved1, bit 0';
  const back = (row: string): string =>
    row.replace(/: (\S+) -> (\S+).*/, (_, old, now) => `: ${now} -> ${old === '-' ? '0'.repeat(32) : old}`);
  t.deepEqual(
    change(device, claimed),
    bare([[mark], folderAt(0x4200, '02'), both, inRoot(0x2600, '02'), [back(mark)]]),
  );
  t.deepEqual(
    change(device, released),
    bare([
      [mark],
      [
        '2600: 412e0068006f006c0064000f00de6600 -> e52e0068006f006c0064000f00de6600  deleted',
        '2620: 484f4c4446417e312020201600000000 -> e54f4c4446417e312020201600000000  deleted',
      ],
      both.map(back),
      [back(mark)],
    ]),
  );
});

test('FAT16, one FAT: a claim', (t) => {
  const device = volumeOf(t, { size: 9 * MIB, bits: 16, sectorsPerCluster: 1, tables: 1 });
  t.deepEqual(
    change(device, claimed),
    bare([
      ['20: 000000008000296c7b8a0f4e4f204e41 -> 000000008001296c7b8a0f4e4f204e41  BS_Reserved1, bit 0'],
      ['200: f8ffffff000000000000000000000000 -> f8ffff7f000000000000000000000000  FAT[1], bit 15'],
      folderAt(0xd200, '02'),
      [
        '200: f8ffff7f000000000000000000000000 -> f8ffff7fffff00000000000000000000  entry 2: ffff',
        '210: - -> 00000000000000000d00ffff00000000  entries 12, 13',
        '220: - -> 00000000000000000000000017001800  entries 22, 23',
        '230: - -> 0c000000000000000000000000000000  entry 24: goes on in 12',
      ],
      inRoot(0x9200, '02'),
      ['200: f8ffff7fffff00000000000000000000 -> f8ffffffffff00000000000000000000  clean again'],
      ['20: 000000008001296c7b8a0f4e4f204e41 -> 000000008000296c7b8a0f4e4f204e41  clean again'],
    ]),
  );
});

test('FAT32: a claim and its release', (t) => {
  const device = volumeOf(t, { size: 40 * MIB, bits: 32, sectorsPerCluster: 1 });
  const root = 'f8ffff0f';
  const chains = '22+3 12+2. 3+1. end fffffff in 2 tables of 322560 bytes from 4000';
  const boot =
    '40: 8000296c7b8a0f4e4f204e414d452020 -> 8001296c7b8a0f4e4f204e414d452020  BS_Reserved1, bit 0';
  const tables = (used: string): string[] => [
    `4000: f8ffff0fffffff0f${root}${used} -> f8ffff0fffffff07${root}${used}  FAT[1], bit 27`,
    `52c00: f8ffff0fffffff0f${root}${used} -> f8ffff0fffffff07${root}${used}  in the other FAT, too`,
  ];
  const dirty = (used: string): string[][] => [[boot], tables(used)];
  const back = (row: string): string =>
    row.replace(/: (\S+) -> (\S+)/, (_, old, now) => `: ${now} -> ${old}`);
  const clean = (used: string): string[][] => [tables(used).map(back), [back(boot)]];
  t.deepEqual(
    change(device, claimed),
    bare([
      ...dirty('00000000'),
      folderAt(0xa1a00, '03'),
      [`link ${chains}`],
      inRoot(0xa1800, '03'),
      ['3e0: 0000000072724161f33a010002000000 -> 0000000072724161ed3a010002000000  six fewer are free'],
      ...clean('ffffff0f'),
    ]),
  );
  t.deepEqual(
    change(device, released),
    bare([
      ...dirty('ffffff0f'),
      [
        'a1800: 412e0068006f006c0064000f00de6600 -> e52e0068006f006c0064000f00de6600  deleted',
        'a1820: 484f4c4446417e312020201600000000 -> e54f4c4446417e312020201600000000  deleted',
      ],
      [`free ${chains}`],
      ['3e0: 0000000072724161ed3a010002000000 -> 0000000072724161f33a010002000000  six more are free'],
      ...clean('00000000'),
    ]),
  );
});

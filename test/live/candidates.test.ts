import test from 'ava';
import {
  chooseImage,
  chooseSource,
  disksFor,
  type FoundImage,
  refuseDisagreement,
} from '../../rescue/live/candidates.ts';
import { GIB } from '../../rescue/units.ts';
import { codeOf } from '../support/code-of.ts';
import { disk, image, partition, UNKNOWN, wrecked } from './disks.ts';

/** What may be done without a person, and what may not. */

const AUTO = { by: 'auto' } as const;
const SECOND = { offset: 2 * GIB, size: GIB, number: 2, partuuid: '5eaf00d5-02' };
const on =
  (where = disk()) =>
  (each: ReturnType<typeof image>): FoundImage => ({ disk: where, image: each });

test('the only image is chosen; the latest of several in one partition; user images before factory images', (t) => {
  const factory = image('fa', { kind: 'factory', sequence: 9 });
  const [first, second] = [image('aa', { sequence: 1 }), image('bb', { sequence: 2 })];
  const choose = (images: ReturnType<typeof image>[], selector = 'latest') =>
    chooseImage(images.map(on()), AUTO, selector).image;
  t.is(choose([first]), first);
  t.is(choose([second, first, factory]), second);
  t.is(choose([factory]), factory);
  t.is(choose([second, factory], 'factory'), factory);
  t.is(choose([second, first], 'aa00'), first);
  t.is(choose([second, first], 'image aa'), first);
});

test('candidates in two partitions, on two disks, or of one rank: refused', (t) => {
  const refusedOf = (found: FoundImage[], target: Parameters<typeof chooseImage>[1] = AUTO) =>
    codeOf(() => chooseImage(found, target, 'latest'));
  const here = image('aa');
  const there = image('bb', { partition: SECOND });
  t.is(refusedOf([here, there].map(on())), 'refused:ambiguous');
  const other = disk({ path: '/dev/sdb', serial: 'S2' });
  t.is(refusedOf([on()(here), on(other)(image('cc'))]), 'refused:ambiguous');
  t.is(refusedOf([here, image('dd')].map(on())), 'refused:ambiguous');
  // Saying which one helps.
  for (const target of [
    { by: 'path', value: '/dev/sda2' },
    { by: 'partuuid', value: '5EAF00D5-02' },
  ] as const) {
    t.is(chooseImage([here, there].map(on()), target, 'latest').image, there);
  }
});

test('images that are not at home, damaged or unfinished are never chosen', (t) => {
  for (const state of ['moved', 'foreign', 'stale', 'damaged', 'prepared'] as const) {
    const found = [on()(image('aa', { state, reason: 'told here' }))];
    t.is(
      codeOf(() => chooseImage(found, AUTO, 'latest')),
      'refused:not-at-home',
      state,
    );
    t.is(
      codeOf(() => chooseImage(found, AUTO, 'aa00')),
      'refused:not-at-home',
      state,
    );
    const good = image('bb');
    t.is(chooseImage([...found, on()(good)], AUTO, 'latest').image, good);
  }
  t.is(
    codeOf(() => chooseImage([], AUTO, 'latest')),
    'not-found:no-image',
  );
  t.is(
    codeOf(() => chooseImage([on()(image('aa'))], AUTO, 'factory')),
    'not-found:no-image',
  );
  t.is(
    codeOf(() => chooseImage([on()(image('aa'))], { by: 'label', value: 'home' }, 'latest')),
    'not-found:no-image',
  );
});

test('disks: the medium is never one; a named disk must be there, be alone and be fit', (t) => {
  const stick = disk({ path: '/dev/sdb', serial: 'STICK', medium: true });
  const locked = disk({ path: '/dev/sdc', serial: 'LOCKED', readOnly: true });
  const twin = disk({ path: '/dev/sdd', serial: 'S1' });
  const dying = disk({ path: '/dev/sde', serial: 'DYING', trouble: 'it does not answer' });
  const all = [disk(), stick, locked, dying];
  t.deepEqual(
    disksFor(all, AUTO).map(({ path }) => path),
    ['/dev/sda'],
  );
  t.deepEqual(
    disksFor(all, { by: 'uuid', value: 'any' }).map(({ path }) => path),
    ['/dev/sda'],
  );
  t.deepEqual(
    disksFor(all, { by: 'path', value: '/dev/sda2' }).map(({ path }) => path),
    ['/dev/sda'],
  );
  for (const value of ['STICK', 'LOCKED', 'DYING'])
    t.is(
      codeOf(() => disksFor(all, { by: 'serial', value })),
      'refused:unfit-target',
      value,
    );
  t.is(
    codeOf(() => disksFor(all, { by: 'path', value: '/dev/sdb' })),
    'refused:unfit-target',
  );
  t.is(
    codeOf(() => disksFor(all, { by: 'serial', value: 'S9' })),
    'refused:no-such-target',
  );
  t.is(
    codeOf(() => disksFor([disk(), twin], { by: 'serial', value: 'S1' })),
    'refused:ambiguous',
  );
});

test('a valid table without the partition: refused unless the disk was named', (t) => {
  const elsewhere = on()(
    image('aa', { partition: { offset: 5 * GIB, size: GIB, number: 5, partuuid: null } }),
  );
  t.is(
    codeOf(() => refuseDisagreement(elsewhere, AUTO)),
    'refused:table-disagrees',
  );
  const longer = on()(
    image('aa', { partition: { offset: GIB, size: GIB + 512, number: 1, partuuid: null } }),
  );
  t.is(
    codeOf(() => refuseDisagreement(longer, AUTO)),
    'refused:table-disagrees',
  );
  t.is(
    codeOf(() => refuseDisagreement(elsewhere, { by: 'path', value: '/dev/sda' })),
    'nothing thrown',
  );
  t.is(
    codeOf(() => refuseDisagreement(on()(image('aa')), AUTO)),
    'nothing thrown',
  );
  t.is(
    codeOf(() => refuseDisagreement(on(wrecked())(image('aa')), AUTO)),
    'nothing thrown',
  );
});

test('create: the one partition that can be imaged', (t) => {
  const source = (disks: ReturnType<typeof disk>[], target: Parameters<typeof chooseSource>[1] = AUTO) =>
    chooseSource(disks, target).partition?.number;
  const swap = { ...UNKNOWN, name: 'Linux swap' };
  t.is(source([disk({ partitions: [partition(1), partition(2, { content: swap })] })]), 1);
  t.is(
    codeOf(() => source([disk()])),
    'refused:ambiguous',
  );
  const esp = partition(1, { efiSystem: true, content: { ...UNKNOWN, filesystem: 'fat32' } });
  t.is(source([disk({ partitions: [esp, partition(2)] })]), 2, 'not the EFI system partition');
  t.is(source([disk({ partitions: [esp, partition(2)] })], { by: 'path', value: '/dev/sda1' }), 1);
  t.is(source([disk({ partitions: [esp] })]), 1);
  t.is(source([disk()], { by: 'path', value: '/dev/sda2' }), 2);
  t.is(source([disk()], { by: 'partuuid', value: '5eaf00d5-01' }), 1);
  t.is(
    codeOf(() => source([wrecked()])),
    'refused:no-source',
  );
});

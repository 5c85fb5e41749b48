import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type CpioEntry, cpioArchive } from '../../iso/cpio.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** The archive's judge here is cpio(1); in the other tests of this folder it is the kernel. */

const TIME = 1_700_000_000;
const ENTRIES: CpioEntry[] = [
  { path: 'usr/bin/program', kind: 'file', content: Buffer.from('#!/bin/sh\n'), mode: 0o755 },
  { path: 'etc/empty', kind: 'file', content: Buffer.alloc(0) },
  { path: 'tmp', kind: 'folder', mode: 0o1777 },
  { path: 'sbin', kind: 'link', target: 'usr/bin' },
  { path: 'dev/console', kind: 'device', major: 5, minor: 1 },
];

test('cpio unpacks what went in: content, modes, times, links, devices, folders on the way', (t) => {
  const folder = temporaryFolder(t);
  mustRun('cpio', ['--quiet', '-idm'], { cwd: folder, input: cpioArchive(ENTRIES, TIME) });
  const facts = (path: string) => {
    const { mode, uid, mtimeMs, rdev } = lstatSync(join(folder, path));
    return { mode: mode.toString(8), uid, time: mtimeMs / 1000, rdev };
  };
  t.is(readFileSync(join(folder, 'usr/bin/program'), 'utf8'), '#!/bin/sh\n');
  t.deepEqual(facts('usr/bin/program'), { mode: '100755', uid: 0, time: TIME, rdev: 0 });
  t.is(readFileSync(join(folder, 'etc/empty')).length, 0);
  t.is(facts('tmp').mode, '41777');
  t.is(facts('usr').mode, '40755');
  t.is(readlinkSync(join(folder, 'sbin')), 'usr/bin');
  t.like(facts('dev/console'), { mode: '20600', rdev: (5 << 8) | 1 });
});

test('the order of entries does not matter; a path that is there twice or not relative is an error', (t) => {
  t.deepEqual(cpioArchive([...ENTRIES].reverse(), TIME), cpioArchive(ENTRIES, TIME));
  t.throws(() => cpioArchive([...ENTRIES, ENTRIES[0]!], TIME), { message: 'usr/bin/program is there twice' });
  t.throws(() => cpioArchive([{ path: '/etc', kind: 'folder' }], TIME), { message: /not relative/ });
});

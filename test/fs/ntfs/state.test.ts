import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../../rescue/bytes/runs.ts';
import { MemoryDevice } from '../../../rescue/device/memory.ts';
import { claim } from '../../../rescue/fs/ntfs/claim.ts';
import { openContent } from '../../../rescue/fs/ntfs/content.ts';
import { openNtfs } from '../../../rescue/fs/ntfs/filesystem.ts';
import {
  AT_DATA,
  AT_VOLUME_INFORMATION,
  ATTRIBUTE,
  ATTRIBUTE_ENCRYPTED,
  FILE_LOGFILE,
  FILE_VOLUME,
  RESIDENT_ATTRIBUTE,
  VOLUME_CHKDSK_UNDERWAY,
  VOLUME_INFORMATION,
  VOLUME_IS_DIRTY,
  VOLUME_MODIFIED_BY_CHKDSK,
  VOLUME_RESIZE_LOG_FILE,
} from '../../../rescue/fs/ntfs/layout.ts';
import { patch } from '../../../rescue/fs/ntfs/transaction.ts';
import { applyPatch, patchMayBeFinished } from '../../../rescue/job/apply.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { run } from '../../support/run.ts';
import { temporaryFolder } from '../../support/temporary.ts';
import { Damaged } from './damage.ts';
import { restartPage, withLog } from './log-pages.ts';
import { growByTurns, makeNtfs, mountNtfs } from './volumes.ts';

const emptyVolume = (t: ExecutionContext): MemoryDevice => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 6 * MIB });
  return MemoryDevice.of(Uint8Array.from(readFileSync(path)));
};

const refusalsOf = (device: MemoryDevice): string[] =>
  openNtfs(device)
    .refusals()
    .map(({ code }) => code);

/** Exit codes of ntfs-3g.probe: may the volume be mounted read-write? */
const MAY_BE_MOUNTED = 0;
const HIBERNATED = 14;
const UNCLEAN = 15;

const probe = (t: ExecutionContext, device: MemoryDevice): number | null => {
  const path = join(temporaryFolder(t), 'probed');
  writeFileSync(path, device.read(0, device.size));
  return run('ntfs-3g.probe', ['--readwrite', path]).exit;
};

const withInformation = (
  base: MemoryDevice,
  change: (bytes: Uint8Array, at: number) => void,
): MemoryDevice => {
  const damaged = new Damaged(base);
  const { volume } = damaged;
  const file = volume.file(FILE_VOLUME);
  const { at } = file.find(AT_VOLUME_INFORMATION, '')!;
  damaged.record(FILE_VOLUME, (bytes) =>
    change(bytes, at + RESIDENT_ATTRIBUTE.get(bytes, 'value_offset', at)),
  );
  return damaged.device;
};

test('flags and version of the volume', (t) => {
  const base = emptyVolume(t);
  t.deepEqual(refusalsOf(base), []);
  const flagged = (flags: number): MemoryDevice =>
    withInformation(base, (bytes, at) => VOLUME_INFORMATION.set(bytes, 'flags', flags, at));
  t.deepEqual(refusalsOf(flagged(VOLUME_IS_DIRTY)), ['ntfs.dirty']);
  t.deepEqual(refusalsOf(flagged(VOLUME_CHKDSK_UNDERWAY)), ['ntfs.chkdsk-underway']);
  const pending = openNtfs(flagged(VOLUME_RESIZE_LOG_FILE | VOLUME_MODIFIED_BY_CHKDSK)).refusals();
  t.deepEqual(
    pending.map(({ code }) => code),
    ['ntfs.pending'],
  );
  t.regex(pending[0]!.message, /\$LogFile, what follows a repair/);
  // No short names, was mounted by NT 4: says nothing of consistency.
  t.deepEqual(refusalsOf(flagged(0x88)), []);
  const versioned = (major: number, minor: number): MemoryDevice =>
    withInformation(base, (bytes, at) => {
      VOLUME_INFORMATION.set(bytes, 'major_ver', major, at);
      VOLUME_INFORMATION.set(bytes, 'minor_ver', minor, at);
    });
  t.deepEqual(refusalsOf(versioned(3, 0)), []);
  for (const [major, minor] of [
    [1, 2],
    [2, 0],
    [3, 2],
    [4, 0],
  ] as const)
    t.deepEqual(refusalsOf(versioned(major, minor)), ['ntfs.version'], `${major}.${minor}`);
});

test('$LogFile: what the restart pages say, and ntfs-3g agrees', (t) => {
  const base = emptyVolume(t);
  const clean = restartPage({ clean: true });
  const open = restartPage({});
  const cases: readonly [
    name: string,
    pages: (Uint8Array | undefined)[],
    code: string | undefined,
    exit: number,
  ][] = [
    ['emptied', [], undefined, MAY_BE_MOUNTED],
    ['clean (XP and later)', [clean, clean], undefined, MAY_BE_MOUNTED],
    [
      'closed (2000)',
      [restartPage({ open: false }), restartPage({ open: false })],
      undefined,
      MAY_BE_MOUNTED,
    ],
    ['open', [open, open], 'ntfs.log-open', UNCLEAN],
    ['the newer one is open', [clean, restartPage({ lsn: 200n })], 'ntfs.log-open', UNCLEAN],
    ['the newer one is clean', [open, restartPage({ lsn: 200n, clean: true })], undefined, MAY_BE_MOUNTED],
    ['only the second is there', [new Uint8Array(4 * KIB), clean], undefined, MAY_BE_MOUNTED],
    ['2.0', [restartPage({ major: 2, minor: 0, clean: true })], 'ntfs.log-cached', HIBERNATED],
    ['3.7', [restartPage({ major: 3, minor: 7, clean: true })], 'ntfs.log-version', UNCLEAN],
    ['after chkdsk', [restartPage({ magic: 'CHKD', open: false })], undefined, MAY_BE_MOUNTED],
    ['no restart page', [new Uint8Array(4 * KIB), new Uint8Array(4 * KIB)], 'ntfs.log-damaged', UNCLEAN],
  ];
  for (const [name, pages, code, exit] of cases) {
    const device = withLog(base, ...pages);
    t.deepEqual(refusalsOf(device), code === undefined ? [] : [code], name);
    t.is(probe(t, device), exit, name);
  }
  const torn = Uint8Array.from(clean);
  torn[1022]! ^= 1;
  // ntfs-3g does not mind, if what it reads is in the first 510 bytes.
  t.deepEqual(refusalsOf(withLog(base, clean, torn)), ['ntfs.log-damaged']);
});

/** A volume with Windows' own files in the root. */
const windowsVolume = (t: ExecutionContext, hibernation = 'hiberfil.sys'): MemoryDevice => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 12 * MIB });
  const mount = mountNtfs(t, path);
  const at = (name: string): string => join(mount.path, name);
  growByTurns([at('pagefile.sys'), at(hibernation)], 100, new Uint8Array(4096).fill(1));
  writeFileSync(at('swapfile.sys'), new Uint8Array(100_000).fill(2));
  writeFileSync(at('pagefile.sys.txt'), new Uint8Array(9000).fill(3));
  mount.unmount();
  return MemoryDevice.of(Uint8Array.from(readFileSync(path)));
};

const withSignature = (base: MemoryDevice, signature: string, name = '/hiberfil.sys'): MemoryDevice => {
  const damaged = new Damaged(base);
  const content = openContent(damaged.file(name), AT_DATA, '')!;
  damaged.device.write(content.position(0), new Uint8Array(4096));
  damaged.device.write(content.position(0), Buffer.from(signature));
  return damaged.device;
};

test('hibernation: refused while a system may be resumed', (t) => {
  const base = windowsVolume(t);
  for (const signature of ['hibr', 'HIBR', 'RSTR', 'rstr', 'HORM', 'BRKP', 'link', 'abcd']) {
    const device = withSignature(base, signature);
    const [problem] = openNtfs(device).refusals();
    t.is(problem?.code, 'ntfs.hibernated', signature);
    t.regex(problem!.wayOut!, /shutdown \/s \/f \/t 0.*powercfg \/h off/, signature);
    t.false(
      openNtfs(device)
        .excludes()
        .some(({ reason }) => reason === 'hibernation'),
    );
  }
  for (const signature of ['wake', 'WAKE', '\0\0\0\0']) {
    const device = withSignature(base, signature);
    t.deepEqual(refusalsOf(device), [], signature);
    t.is(probe(t, device), MAY_BE_MOUNTED, signature);
  }
  t.is(probe(t, withSignature(base, 'hibr')), HIBERNATED);
});

test('page files and an inactive hibernation file are not worth imaging', (t) => {
  const device = withSignature(windowsVolume(t, 'HiberFil.SYS'), 'wake', '/HiberFil.SYS');
  const fileSystem = openNtfs(device);
  const excludes = fileSystem.excludes();
  t.deepEqual(excludes.map(({ path, reason, onRestore }) => `${path} ${reason} ${onRestore}`).sort(), [
    '/hiberfil.sys hibernation zero',
    '/pagefile.sys page-file zero',
    '/swapfile.sys page-file zero',
  ]);
  for (const { path, runs } of excludes) {
    const entry = [...fileSystem.walk()].find((each) => each.path.toLowerCase() === path)!;
    t.deepEqual(runs, [...entry.runs()]);
    t.is(totalLength(runs), Math.ceil(entry.size / 4096));
  }
});

test('a page file that is encrypted or compressed is kept like any other file', (t) => {
  const base = windowsVolume(t);
  for (const flags of [ATTRIBUTE_ENCRYPTED, 1]) {
    const damaged = new Damaged(base);
    const { at } = damaged.attribute('/pagefile.sys', AT_DATA);
    damaged.record(damaged.node('/pagefile.sys'), (bytes) => ATTRIBUTE.set(bytes, 'flags', flags, at));
    t.deepEqual(
      openNtfs(damaged.device)
        .excludes()
        .map(({ path }) => path),
      ['/swapfile.sys'],
    );
  }
});

test('containers: what lies in the folder, and what the caller takes for one', (t) => {
  const path = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 12 * MIB });
  const mount = mountNtfs(t, path, {});
  const folder = join(mount.path, '.holdfast');
  mkdirSync(folder);
  for (const name of ['a.hfi', 'a.001', 'b.hfi', 'notes.txt'])
    writeFileSync(join(folder, name), new Uint8Array(20_000));
  mount.unmount();
  const device = MemoryDevice.of(Uint8Array.from(readFileSync(path)));
  const fileSystem = openNtfs(device);
  t.deepEqual(
    fileSystem.containers().map(({ name, paths, size }) => [name, paths, size]),
    [
      ['a', ['/.holdfast/a.hfi', '/.holdfast/a.001'], 40_000],
      ['b', ['/.holdfast/b.hfi'], 20_000],
    ],
  );
  t.deepEqual(openNtfs(device, () => false).containers(), []);
  const [first] = fileSystem.excludes();
  t.is(first?.reason, 'container');
  t.is(first?.onRestore, 'leave');
  t.is(totalLength(first!.runs), 10);
});

test('a patch marks the volume, empties a log that has pages, and takes the mark back; a log used since is noticed', (t) => {
  const page = restartPage({ clean: true });
  const device = withLog(emptyVolume(t), page, page);
  const log = openContent(new Damaged(device).volume.file(FILE_LOGFILE), AT_DATA, '')!;
  const request = { name: 'x', runs: [{ start: 1400, length: 4 }], time: 0, avoid: { has: () => false } };
  const made = patch(device, (editor) => claim(editor, request));
  t.is(made.phases.flat().filter((step) => step.kind === 'fill').length, 1);
  const restart = made.phases.flat().find((step) => step.offset === log.position(0))!;
  t.true(restart.kind === undefined && Buffer.from(page).equals(restart.before.subarray(0, page.length)));
  const used = device.snapshot();
  used.write(log.position(4 * KIB), restartPage({ clean: true, lsn: 200n }));
  t.false(patchMayBeFinished(used, made));
  t.true(patchMayBeFinished(device, made));
  const first = device.snapshot();
  for (const step of made.phases[0]!) if (step.kind === undefined) first.write(step.offset, step.after);
  t.deepEqual(refusalsOf(first), ['ntfs.dirty']);
  applyPatch(device, made);
  t.deepEqual(refusalsOf(device), []);
  t.deepEqual(openNtfs(device).check(), []);
  const whole = new Uint8Array(log.size);
  const now = openContent(new Damaged(device).volume.file(FILE_LOGFILE), AT_DATA, '')!;
  now.readInto(0, whole);
  t.true(whole.every((byte) => byte === 0xff));
  t.is(probe(t, device), MAY_BE_MOUNTED);
});

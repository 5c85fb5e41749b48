import { EventEmitter } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { failureOf } from '../../rescue/cli/exit.ts';
import { FaultyDevice } from '../../rescue/device/faulty.ts';
import { MemoryDevice } from '../../rescue/device/memory.ts';
import { JobContext, type JobOptions, type Phase } from '../../rescue/job/context.ts';
import { createInPartition } from '../../rescue/job/create.ts';
import type { Jobs } from '../../rescue/job/jobs.ts';
import { MIB } from '../../rescue/units.ts';
import { makeDisk } from '../support/disk.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { attachLoop, mountDevice } from '../support/loop.ts';
import { overwriteWithNoise } from '../support/noise.ts';
import { mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { makeSamples, mustNotChange, type Samples, VOLUME_SIZE } from './bad-input.ts';
import { COMMAND_NAMES, holdfast, REAL_JOBS, wordsOf } from './real-jobs.ts';

let samples: Samples;
const undos: (() => void)[] = [];
test.before(async () => {
  samples = await makeSamples({ teardown: (undo) => undos.push(undo) });
});
test.after.always(() => {
  for (const undo of undos.reverse()) undo();
});

const WRITERS = ['create', 'restore', 'remove'] as const;

/** The real jobs, and `hook` when one of them enters `phase` for the first time. */
const atPhase = (phase: Phase, hook: () => void): Pick<Jobs, 'create' | 'restore' | 'verify'> => {
  let done = false;
  const watched = <Request, Result>(job: (request: Request, options: JobOptions) => Promise<Result>) => {
    return (request: Request, options: JobOptions): Promise<Result> =>
      job(request, {
        ...options,
        onEvent: (event) => {
          if (!done && 'phase' in event && event.phase === phase) {
            done = true;
            hook();
          }
          options.onEvent?.(event);
        },
      });
  };
  return {
    create: watched(REAL_JOBS.create),
    restore: watched(REAL_JOBS.restore),
    verify: watched(REAL_JOBS.verify),
  };
};

const mustBeSound = (t: ExecutionContext, path: string): void => {
  t.notThrows(() => mustBeClean(e2fsckClean(path)));
};

test.serial('mounted, as a device and as a file under one: refused; reading goes on', async (t) => {
  const file = samples.copy('imaged', 'mounted');
  const { device } = attachLoop(t, file);
  const mount = mountDevice(t, device, { readOnly: true });
  for (const target of [device, file]) {
    for (const command of WRITERS)
      await mustNotChange(t, wordsOf(command, target), [file], {
        exit: 4,
        error: 'refused/mounted',
        message: /is mounted on .*Unmount it/,
      });
    for (const command of ['list', 'info', 'verify'] as const)
      await mustNotChange(t, wordsOf(command, target), [file], { exit: 0 });
  }
  const source = samples.copy('imaged', 'other');
  await mustNotChange(t, wordsOf('restore', source, '--to', device), [file, source], {
    exit: 4,
    error: 'refused/mounted',
  });
  mount.unmount();
});

test.serial(
  'the image below another name of its disk: a loop device upon TARGET is no other place',
  async (t) => {
    const file = samples.copy('imaged', 'below');
    const { device } = attachLoop(t, file);
    for (const [target, to] of [
      [file, device],
      [device, file],
    ] as const)
      await mustNotChange(t, wordsOf('restore', target, '--to', to), [file], {
        exit: 4,
        error: 'refused/to-holds-images',
      });
  },
);

test.serial('a device that cannot be written', async (t) => {
  const file = samples.copy('imaged', 'write-protected');
  const { device } = attachLoop(t, file, { readOnly: true });
  for (const command of WRITERS)
    await mustNotChange(t, wordsOf(command, device), [file], { exit: 4, error: 'refused/read-only' });
  for (const command of ['list', 'info', 'verify'] as const)
    await mustNotChange(t, wordsOf(command, device), [file], { exit: 0 });
});

test.serial(
  'several partitions, one number that is wrong, tables that overlap or lead in a circle',
  async (t) => {
    const file = join(temporaryFolder(t), 'disk');
    const places = makeDisk(t, file, {
      size: 28 * MIB,
      table: 'mbr',
      partitions: [
        { size: VOLUME_SIZE },
        { size: MIB, type: 'swap' },
        { size: MIB, type: 'swap' },
        { type: 'extended', size: 12 * MIB },
        { size: 4 * MIB },
        { size: 4 * MIB },
      ],
    });
    const volume = readFileSync(samples.imaged);
    const patch = (offset: number, bytes: Uint8Array): void => {
      const handle = openSync(file, 'r+');
      writeSync(handle, bytes, 0, bytes.length, offset);
      closeSync(handle);
    };
    for (const place of places.filter(({ number }) => number === 1 || number >= 5))
      patch(place.start, volume.subarray(0, Math.min(place.size, volume.length)));
    makeVolume(file, { offset: places.at(-1)!.start, size: 4 * MIB, blockSize: 1024, type: 'ext2' });
    for (const command of COMMAND_NAMES)
      await mustNotChange(t, wordsOf(command, file, '--partition', '9'), [file], {
        exit: 2,
        error: 'usage/partition.missing',
      });
    await mustNotChange(t, wordsOf('create', file), [file], {
      exit: 4,
      error: 'refused/ambiguous',
      message: /--partition N/,
    });
    // The second link of the chain, MBR entry 2 of the first extended record, leads back to itself.
    const extended = places.find(({ number }) => number === 4)!;
    const good = readFileSync(file);
    const record = Uint8Array.from(good.subarray(extended.start, extended.start + 512));
    record.fill(0, 462 + 8, 462 + 12);
    patch(extended.start, record);
    const refused = {
      exit: 4,
      error: 'refused/table.invalid',
      message: /partition table .* is damaged/,
    } as const;
    await mustNotChange(t, wordsOf('create', file, '--partition', '1'), [file], refused);
    await mustNotChange(t, wordsOf('list', file), [file], { exit: 0 });
    patch(extended.start, good.subarray(extended.start, extended.start + 512));
    // The second entry begins within the first.
    const overlapping = Buffer.from(good.subarray(0, 512));
    overlapping.writeUInt32LE(overlapping.readUInt32LE(446 + 8) + 8, 462 + 8);
    patch(0, overlapping);
    await mustNotChange(t, wordsOf('create', file, '--partition', '1'), [file], refused);
    await mustNotChange(t, wordsOf('list', file), [file], { exit: 0 });
  },
);

test.serial(
  'the device is gone before the first write: exit 4; after it: exit 1, and running again ends right',
  async (t) => {
    const medium = MemoryDevice.of(readFileSync(samples.plain));
    const request = {
      kind: 'user',
      codec: { codec: 'zstd', level: 1 },
      keepOld: false,
      replaceFirst: false,
      forceFactory: false,
      minFree: 0,
      dryRun: false,
    } as const;
    const create = async (device: FaultyDevice | MemoryDevice) => {
      const context = new JobContext({ now: 1_750_000_000 });
      const access = {
        device,
        diskOffset: 0,
        entry: undefined,
        disk: undefined,
        identity: { mapped: false },
      };
      try {
        await createInPartition(context, access, request);
        return undefined;
      } catch (error) {
        return failureOf(error);
      } finally {
        await context.close();
      }
    };
    const bytes = (device: MemoryDevice): Buffer => Buffer.from(device.read(0, device.size));
    const counting = new FaultyDevice(medium.snapshot());
    t.is(await create(counting), undefined);
    const steps = (count: number, most: number): number[] =>
      Array.from({ length: most }, (_, index) => Math.floor((index * count) / most));
    const cases = [
      ...steps(counting.reads, 6).map((vanishAfterReads) => ({ vanishAfterReads })),
      ...steps(counting.writes, 6).map((vanishAfterWrites) => ({ vanishAfterWrites })),
    ];
    const seen = new Set<string>();
    for (const faults of cases) {
      const left = medium.snapshot();
      const failure = await create(new FaultyDevice(left, faults));
      const about = `${JSON.stringify(faults)}: ${failure?.message}`;
      const untouched = bytes(left).equals(bytes(medium));
      t.is(failure?.exit, untouched ? 'refused' : 'unfinished', about);
      t.is(failure?.next === undefined, untouched, about);
      t.not(failure?.kind, 'internal', about);
      seen.add(failure!.exit);
      t.is((await create(left))?.message, undefined, `again after ${about}`);
      const file = join(samples.folder, 'again');
      writeFileSync(file, bytes(left));
      mustBeSound(t, file);
    }
    t.deepEqual([...seen].sort(), ['refused', 'unfinished']);
  },
);

test.serial(
  'a disk that ends under a restore: nothing written before it was checked, repeatable afterwards',
  async (t) => {
    const file = samples.copy('imaged', 'vanishing');
    const { device } = attachLoop(t, file);
    const whole = readFileSync(file);
    const [start] = samples.image.extents[0]!;
    const held = samples.image.extents.map(([from, length]) => ({ start: from, length }));
    for (const [phase, exit] of [
      ['verify-image', 5],
      ['write', 1],
    ] as const) {
      // A frame that stands already is not read once more: here none does, when it comes to writing.
      if (phase === 'write') overwriteWithNoise(device, held);
      const said = await holdfast(wordsOf('restore', device), {
        jobs: { ...REAL_JOBS, ...atPhase(phase, () => truncateSync(file, start)) },
      });
      t.is(said.exit, exit, said.stderr);
      if (exit === 5) t.true(readFileSync(file).equals(whole.subarray(0, start)), 'nothing was written');
      else t.regex(said.stderr, /What to do next: .*cannot be mounted.*Run the same command again/);
      // It is there again.
      const handle = openSync(file, 'r+');
      writeSync(handle, whole, start, whole.length - start, start);
      closeSync(handle);
      if (exit === 5) continue;
      mustRun('blockdev', ['--flushbufs', device]);
      const again = await holdfast(wordsOf('restore', device));
      t.is(again.exit, 0, again.stderr);
      mustBeSound(t, device);
    }
  },
);

test.serial(
  'Ctrl-C: exit 130; before the first write nothing is changed, later it can be run again',
  async (t) => {
    const interrupted = async (argv: string[], phase: Phase) => {
      const signals = new EventEmitter();
      const jobs = { ...REAL_JOBS, ...atPhase(phase, () => signals.emit('SIGINT')) };
      const said = await holdfast(argv, { jobs, signals });
      t.is(said.exit, 130, said.stderr);
      t.is(said.document.error?.kind, 'cancelled');
      return said;
    };
    const restored = samples.copy('imaged', 'interrupted-restore');
    const before = readFileSync(restored);
    await interrupted(wordsOf('restore', restored), 'scan');
    await interrupted(wordsOf('restore', restored), 'verify-image');
    await interrupted(wordsOf('verify', restored), 'verify-slots');
    t.true(readFileSync(restored).equals(before));
    const late = await interrupted(wordsOf('restore', restored), 'write');
    t.regex(late.stderr, /Run the same command again/);
    t.is((await holdfast(wordsOf('restore', restored))).exit, 0);
    mustBeSound(t, restored);

    const created = samples.copy('plain', 'interrupted-create');
    await interrupted(wordsOf('create', created), 'estimate');
    t.true(readFileSync(created).equals(readFileSync(samples.plain)));
    await interrupted(wordsOf('create', created), 'capture');
    mustBeSound(t, created);
    const empty = await holdfast(wordsOf('list', created));
    const states = ((empty.document['images'] ?? []) as { state: string }[]).map(({ state }) => state);
    t.false(states.includes('committed'));
    t.is((await holdfast(wordsOf('create', created))).exit, 0);
    mustBeSound(t, created);

    const to = join(samples.folder, 'interrupted-to');
    await interrupted(wordsOf('restore', samples.copy('imaged', 'interrupted'), '--to', to), 'verify-image');
    t.false(existsSync(to), 'the new file is gone again');
  },
);

test.serial('no room for the file of --to, nor for the log', async (t) => {
  const source = samples.copy('imaged', 'to-full');
  const small = makeVolume(join(temporaryFolder(t), 'small'), { size: MIB, type: 'ext2', blockSize: 1024 });
  const mount = mountDevice(t, attachLoop(t, small).device);
  const room = statfsSync(mount.path);
  writeFileSync(join(mount.path, 'others'), new Uint8Array((room.bavail - 20) * room.bsize));
  const to = join(mount.path, 'restored');
  const said = await mustNotChange(t, wordsOf('restore', source, '--to', to), [source], {
    exit: 1,
    error: 'unfinished/ENOSPC',
    message: /no space is left/,
  });
  t.true(said.document.error?.next?.includes(to), 'the half-made file is named');
  const log = join(mount.path, 'log');
  const listed = await holdfast([...wordsOf('list', source), '--log', log]);
  t.is(listed.exit, 0, listed.stderr);
  t.regex(listed.stderr, /warning: the log cannot be written any more \(ENOSPC\)/);
  t.is(run('fuser', ['-m', mount.path]).stdout.trim(), '', 'nothing is left open');
  mount.unmount();
});

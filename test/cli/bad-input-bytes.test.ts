import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { complement, normalise } from '../../rescue/bytes/runs.ts';
import { SLOT_HEADER, SLOT_HEADER_SIZE } from '../../rescue/image/layout.ts';
import { hasSlotMagic } from '../../rescue/image/slot.ts';
import { e2fsckClean } from '../support/judges.ts';
import { run } from '../support/run.ts';
import type { VolumeOptions } from '../support/volume.ts';
import { BLOCK_SIZE, FILES, makeSamples, mustNotChange, type Samples, VOLUME_SIZE } from './bad-input.ts';
import { type Command, holdfast, type Outcome, wordsOf } from './real-jobs.ts';
import { metadataRegions, type Place, sampleBytes } from './sweep.ts';

/** Bytes of each structure that are changed; `HOLDFAST_SWEEP=200` for a long look. */
const COUNT = Number(process.env['HOLDFAST_SWEEP'] ?? 1);
const SEED = Number(process.env['HOLDFAST_SWEEP_SEED'] ?? 1);
const CHANGES = [0x01, 0x80, 0xff];
/** Milliseconds: such a job takes some hundred of them when nothing is wrong. */
const PATIENCE = 60_000;

interface Changed {
  readonly about: string;
  readonly before: Buffer;
  readonly after: Buffer;
  readonly outcome: Outcome;
  readonly file: string;
}

/** Runs a command on copies of `of`, each with one byte changed. What must hold for any command is checked here. */
async function* withChangedBytes(
  t: ExecutionContext,
  of: string,
  places: readonly Place[],
  command: Command,
): AsyncGenerator<Changed> {
  const whole = readFileSync(of);
  const file = `${of}-${command}`;
  for (const [index, { name, offset }] of places.entries()) {
    const before = Buffer.from(whole);
    before[offset]! ^= CHANGES[index % CHANGES.length]!;
    writeFileSync(file, before);
    const started = performance.now();
    const outcome = await holdfast(wordsOf(command, file));
    const took = performance.now() - started;
    const after = readFileSync(file);
    const about = `${command}, ${name} ^ ${CHANGES[index % CHANGES.length]}: ${outcome.stderr}`;
    t.true(took < PATIENCE, `took ${took} ms: ${about}`);
    t.true([0, 3, 4, 5].includes(outcome.exit), about);
    t.not(outcome.document.error?.kind, 'internal', about);
    if (outcome.exit !== 0) t.true(after.equals(before), `changed something: ${about}`);
    yield { about, before, after, outcome, file };
  }
  rmSync(file, { force: true });
}

const complaints = (path: string): number => (e2fsckClean(path).clean ? 0 : 1);

/** Blocks in use by dumpe2fs: what an image must bring back. */
const usedBlocks = (path: string) => {
  const free = [...run('dumpe2fs', [path]).stdout.matchAll(/^ {2}Free blocks: (\d.*)$/gm)].flatMap(
    ([, list]) =>
      list!.split(', ').map((part) => {
        const [first, last] = part.split('-').map(Number);
        return { start: first!, length: (last ?? first!) - first! + 1 };
      }),
  );
  return [...complement(normalise(free), { start: 0, length: VOLUME_SIZE / BLOCK_SIZE })];
};

const VARIANTS: Record<string, Partial<VolumeOptions>> = {
  'ext4 with checksums': {},
  'ext4 without checksums': { features: ['^metadata_csum'] },
  ext2: { type: 'ext2' },
};

for (const [name, options] of Object.entries(VARIANTS)) {
  test.serial(
    `${name}, any byte of metadata changed: refused, or as sound afterwards as before`,
    async (t) => {
      const samples = await makeSamples(t, { more: ['-N', '2048'], ...options });
      const places = (path: string): Place[] =>
        sampleBytes(readFileSync(path), metadataRegions(path, BLOCK_SIZE), { count: COUNT, seed: SEED });
      const judged = join(samples.folder, 'judged');
      const used = usedBlocks(samples.plain);

      for await (const { about, before, after, outcome, file } of withChangedBytes(
        t,
        samples.plain,
        places(samples.plain),
        'create',
      )) {
        if (outcome.exit !== 0) continue;
        writeFileSync(judged, before);
        t.true(complaints(file) <= complaints(judged), about);
        // What was in use comes back bit by bit, the changed byte included.
        const to = join(samples.folder, 'back');
        const back = await mustNotChange(t, wordsOf('restore', file, '--to', to), [file], { exit: 0 });
        t.is(back.exit, 0);
        const restored = readFileSync(to);
        rmSync(to);
        for (const { start, length } of used) {
          const [from, until] = [start * BLOCK_SIZE, (start + length) * BLOCK_SIZE];
          t.true(
            restored.subarray(from, until).equals(before.subarray(from, until)),
            `block ${start}: ${about}`,
          );
        }
        t.is(after.length, before.length);
      }
      for await (const { about, before, after, outcome } of withChangedBytes(
        t,
        samples.imaged,
        places(samples.imaged),
        'verify',
      ))
        t.true((after.equals(before) && [0, 5].includes(outcome.exit)) || outcome.exit === 3, about);
      for await (const { about, outcome, file } of withChangedBytes(
        t,
        samples.imaged,
        places(samples.imaged),
        'restore',
      )) {
        if (outcome.exit === 0) t.is(complaints(file), 0, about);
      }
      for await (const { about, before, outcome, file } of withChangedBytes(
        t,
        samples.imaged,
        places(samples.imaged),
        'remove',
      )) {
        if (outcome.exit !== 0) continue;
        writeFileSync(judged, before);
        t.true(complaints(file) <= complaints(judged), about);
      }
    },
  );
}

/** Where slots of each kind start. */
const slotsOf = (samples: Samples): { readonly at: number; readonly kind: number }[] => {
  const bytes = readFileSync(samples.imaged);
  return samples.image.extents.flatMap(([start, length]) =>
    Array.from({ length: length / 4096 }, (_, index) => start + index * 4096)
      .filter((at) => hasSlotMagic(bytes, at))
      .map((at) => ({ at, kind: SLOT_HEADER.get(bytes, 'kind', at) })),
  );
};

test.serial(
  'any byte of a container changed: the right content, or a refusal; never wrong content',
  async (t) => {
    const samples = await makeSamples(t);
    const slots = slotsOf(samples);
    const regions = slots.flatMap(({ at, kind }) => [
      { name: `slot of kind ${kind} at ${at}, header`, start: at, length: SLOT_HEADER_SIZE },
      {
        name: `slot of kind ${kind} at ${at}, payload`,
        start: at + SLOT_HEADER_SIZE,
        length: 65536 - SLOT_HEADER_SIZE,
      },
    ]);
    const places = sampleBytes(readFileSync(samples.imaged), regions, { count: COUNT, seed: SEED });
    const filesOf = (path: string): Buffer[] => {
      const folder = join(samples.folder, 'files');
      mkdirSync(folder);
      run('debugfs', ['-R', `rdump / ${folder}`, path]);
      const files = Array.from({ length: FILES }, (_, index) => readFileSync(join(folder, `file ${index}`)));
      rmSync(folder, { recursive: true });
      return files;
    };
    const expected = filesOf(samples.plain);
    for await (const { about, before, after } of withChangedBytes(t, samples.imaged, places, 'verify'))
      t.true(after.equals(before), about);
    for await (const { about, outcome, file } of withChangedBytes(t, samples.imaged, places, 'restore')) {
      if (outcome.exit !== 0) continue;
      t.is(complaints(file), 0, about);
      t.deepEqual(filesOf(file), expected, about);
    }
  },
);

const withBits = (
  samples: Samples,
  field: 'features_incompat' | 'features_ro_compat',
  name: string,
): string => {
  const path = samples.copy('imaged', name);
  const bytes = readFileSync(path);
  for (const { at } of slotsOf(samples)) {
    const header = bytes.subarray(at, at + SLOT_HEADER_SIZE);
    SLOT_HEADER.set(header, field, 0x8000_0000);
    SLOT_HEADER.set(header, 'header_crc', crc32(header.subarray(0, SLOT_HEADER.offsetOf('header_crc'))));
  }
  writeFileSync(path, bytes);
  return path;
};

test.serial('a container of a newer version: refused by name, or read and never written', async (t) => {
  const samples = await makeSamples(t);
  const incompatible = withBits(samples, 'features_incompat', 'incompatible');
  for (const command of ['list', 'info', 'verify', 'restore', 'remove'] as const)
    await mustNotChange(t, wordsOf(command, incompatible), [incompatible], {
      exit: 4,
      error: 'unsupported/slot.incompat',
      message: /newer version at byte position [0-9]+, found feature bits 0x80000000\. Use a newer Holdfast/,
    });
  const readable = withBits(samples, 'features_ro_compat', 'readable');
  for (const command of ['list', 'info', 'verify'] as const)
    await mustNotChange(t, wordsOf(command, readable), [readable], { exit: 0 });
  for (const command of ['create', 'remove'] as const)
    await mustNotChange(t, wordsOf(command, readable), [readable], {
      exit: 4,
      error: 'refused/container.read-only',
      message: /newer version and can only be read, found feature bits 0x80000000/,
    });
  const container = (bytes: Buffer): Buffer[] =>
    samples.image.extents.map(([start, length]) => bytes.subarray(start, start + length));
  const before = container(readFileSync(readable));
  t.is((await holdfast(wordsOf('restore', readable))).exit, 0);
  t.deepEqual(container(readFileSync(readable)), before, 'not one byte of the container is written');
});

import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { totalLength } from '../../rescue/bytes/runs.ts';
import { type HoldfastError, isHoldfastError } from '../../rescue/errors.ts';
import { PagedBitmap } from '../../rescue/fs/ntfs/bitmap.ts';
import { requireContent } from '../../rescue/fs/ntfs/content.ts';
import { AT_BITMAP, FILE_MFT } from '../../rescue/fs/ntfs/layout.ts';
import { NtfsVolume } from '../../rescue/fs/ntfs/volume.ts';
import type { CreateRequest } from '../../rescue/job/results.ts';
import { GIB, KIB, MIB } from '../../rescue/units.ts';
import { highest } from '../fs/editing.ts';
import { NtfsFileVolume } from '../fs/ntfs/editing.ts';
import { type MakeOptions, makeNtfs, scatterMft } from '../fs/ntfs/volumes.ts';
import { duplicate } from '../support/duplicate.ts';
import { noiseSource, sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { ntfsCycle, ntfsMustBeClean, whileMounted } from './ntfs-cycle.ts';
import { makeImage } from './requests.ts';
import { shatter } from './variants.ts';

const made = (
  t: ExecutionContext,
  options: MakeOptions,
  fill: (root: string) => void,
): { readonly file: string; readonly volume: NtfsFileVolume } => {
  const file = makeNtfs(join(temporaryFolder(t), 'volume'), options);
  whileMounted(t, { file }, (root) => {
    mkdirSync(join(root, 'many'));
    fill(root);
  });
  return { file, volume: new NtfsFileVolume(file) };
};

/** Records of $MFT that are marked as free. */
const freeRecords = (volume: NtfsFileVolume): number =>
  volume.open((device) => {
    const opened = new NtfsVolume(device);
    const mft = opened.file(FILE_MFT);
    const bits = requireContent(mft, AT_BITMAP, '', 'bitmap');
    const marks = new PagedBitmap(bits, opened.recordCount, mft.record.place);
    let free = 0;
    for (let number = 64; number < opened.recordCount; number += 1) if (!marks.isSet(number)) free += 1;
    return free;
  });

test.serial('a container in thousands of pieces: its list lies in clusters', async (t) => {
  const { file } = made(t, { size: 64 * MIB }, shatter(3000));
  const image = await ntfsCycle(t, { file });
  t.true(image.extents.length > 1000, `${image.extents.length}`);
});

/** Empty files until no record of $MFT is free. */
const useAllRecords = (t: ExecutionContext, file: string, volume: NtfsFileVolume): void => {
  for (let free = freeRecords(volume); free > 0; free = freeRecords(volume)) {
    whileMounted(t, { file }, (root) => {
      for (let index = 0; index < free; index += 1) writeFileSync(join(root, 'many', `${free} ${index}`), '');
    });
  }
};

const recordsOf = (volume: NtfsFileVolume): number =>
  volume.open((device) => new NtfsVolume(device).recordCount);

test.serial('no free record in $MFT: it grows, for a restore as well', async (t) => {
  const { file, volume } = made(t, { size: 48 * MIB }, (root) => {
    for (let index = 0; index < 500; index += 1)
      writeFileSync(join(root, 'many', `${index}`), noiseSource(`${index}`)(index * 11));
  });
  useAllRecords(t, file, volume);
  const before = recordsOf(volume);
  await ntfsCycle(t, { file });
  t.true(recordsOf(volume) > before, `${before}, then ${recordsOf(volume)}`);
});

test.serial(
  'the container stays out of the zone behind $MFT, which Windows keeps for it to grow',
  async (t) => {
    const size = 128 * MIB;
    const { file, volume } = made(t, { size }, (root) =>
      writeFileSync(join(root, 'noise'), noiseSource('noise')(4 * MIB)),
    );
    const { image } = await makeImage(file);
    const start = volume.open((device) => new NtfsVolume(device).recordOffset(0));
    t.true(extentsOf(image.extents).every((extent) => extent.start >= start + size / 8));
    // An eighth of the volume; what $MFT grew by lies in it.
    t.true(volume.open((device) => new NtfsVolume(device).recordOffset(100)) < start + size / 8);
  },
);

/** Throws unless the job refuses with the code and leaves every byte as it is. */
const refusedUntouched = async (
  t: ExecutionContext,
  file: string,
  code: string,
  request: Partial<CreateRequest> = {},
): Promise<HoldfastError> => {
  const before = duplicate(file, `${file}.untouched`);
  const error = (await t.throwsAsync(makeImage(file, request))) as HoldfastError;
  t.like(error, { kind: 'refused' }, error.message);
  t.is(error.detail.code, code, error.message);
  t.true(sameBytes(before, file), 'a refusal wrote something');
  rmSync(before);
  return error;
};

test.serial('$MFT in many pieces, with a list of its own, and no free record: it grows', async (t) => {
  const { file, volume } = made(t, { size: 16 * MIB, clusterSize: 512 }, (root) => {
    rmSync(join(root, 'many'), { recursive: true });
    scatterMft(root, 700);
    // Room for the image, where no piece of $MFT lies in between.
    for (let index = 2500; index < 6800; index += 1) rmSync(join(root, 'many', `file number ${index}`));
  });
  t.not(
    volume.open((device) => new NtfsVolume(device).file(FILE_MFT).list),
    undefined,
    '$MFT has a list',
  );
  useAllRecords(t, file, volume);
  const before = recordsOf(volume);
  await ntfsCycle(t, { file, request: { minFree: 0 } });
  t.true(recordsOf(volume) > before, `${before}, then ${recordsOf(volume)}`);
});

/** Takes all space that is left: puts something that packs well into files that are there. */
const fillUp = (paths: readonly string[], length: number): void => {
  const words = Buffer.alloc(length, 'sand and salt and foam ');
  for (const path of paths) {
    try {
      writeFileSync(path, words);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      return;
    }
  }
  throw new Error('there is still some space');
};

test.serial(
  'a full volume is refused with the numbers; with just enough room, and no record to spare, it works',
  async (t) => {
    const names = Array.from({ length: 300 }, (_, index) => join('many', `ballast ${index}`));
    const { file, volume } = made(t, { size: 24 * MIB }, (root) => {
      writeFileSync(join(root, 'noise'), noiseSource('noise')(3 * MIB));
      for (const name of names) writeFileSync(join(root, name), '');
    });
    useAllRecords(t, file, volume);
    const change = (body: (path: string) => void, which: readonly string[]): void =>
      whileMounted(t, { file }, (root) => {
        for (const name of which) body(join(root, name));
      });
    whileMounted(t, { file }, (root) =>
      fillUp(
        names.map((name) => join(root, name)),
        128 * KIB,
      ),
    );
    t.true(totalLength(volume.free()) < 32, 'full');
    ntfsMustBeClean(t, { file }, 'before');
    const full = await refusedUntouched(t, file, 'no-space');
    t.regex(String(full.detail.expected), /about [\d.]+ [KM]iB besides [\d.]+ [KM]iB/);
    t.regex(String(full.detail.found), /^[\d.]+ \w+ free$/);

    // A piece less each time, until it fits: there is less than one to spare.
    const empty = (path: string): void => truncateSync(path, 0);
    let given = 20;
    change(empty, names.slice(0, given));
    const fits = async (): Promise<boolean> => {
      try {
        await makeImage(file, { minFree: 0, dryRun: true });
        return true;
      } catch (error) {
        if (!isHoldfastError(error, 'refused') || error.detail.code !== 'no-space') throw error;
        return false;
      }
    };
    for (; !(await fits()); given += 1) change(empty, [names[given]!]);
    t.true(given > 20, 'it would have fit before');
    const image = await ntfsCycle(t, { file, request: { minFree: 0 } });
    t.true(totalLength(extentsOf(image.extents)) > 3 * MIB);
    t.is(freeRecords(volume) > 0, true);
  },
);

test.serial('a file of more than 4 GiB, all of it in clusters', async (t) => {
  const size = 4 * GIB + 96 * MIB;
  const { file, volume } = made(t, { size: 4 * GIB + 256 * MIB, clusterSize: 64 * KIB }, (root) => {
    for (let index = 0; index < 20; index += 1)
      writeFileSync(join(root, 'many', `${index}`), noiseSource(`${index}`)(index * 4000));
  });
  // No program at hand gives clusters to a file without writing them all: made as a container's would be, and moved by ntfs-3g.
  volume.claim('large', highest(volume.free(), size / (64 * KIB)));
  const places = [0, 2 * GIB - 3, 4 * GIB - 5, size - 1000];
  whileMounted(t, { file }, (root) => {
    renameSync(join(root, '.holdfast', 'large.hfi'), join(root, 'large'));
    rmdirSync(join(root, '.holdfast'));
    const handle = openSync(join(root, 'large'), 'r+');
    for (const at of places) writeSync(handle, Buffer.from(`kelp at ${at}`), 0, undefined, at);
    closeSync(handle);
    t.is(statSync(join(root, 'large')).size, size);
  });
  await ntfsCycle(t, { file, lookedAt: 64 * MIB });
  whileMounted(
    t,
    { file },
    (root) => {
      const handle = openSync(join(root, 'large'), 'r');
      for (const at of places) {
        const expected = `kelp at ${at}`;
        const bytes = Buffer.alloc(expected.length);
        readSync(handle, bytes, 0, bytes.length, at);
        t.is(bytes.toString(), expected);
      }
      closeSync(handle);
    },
    true,
  );
});

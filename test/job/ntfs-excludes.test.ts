import { closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { HoldfastError } from '../../rescue/errors.ts';
import { KIB, MIB } from '../../rescue/units.ts';
import { makeNtfs } from '../fs/ntfs/volumes.ts';
import { duplicate } from '../support/duplicate.ts';
import { noiseSource, overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { extentsOf } from './cycle.ts';
import { ntfsMustBeClean, whileMounted } from './ntfs-cycle.ts';
import { makeImage, restoreImage, verifyImage } from './requests.ts';

const CLUSTER = 4 * KIB;
/** Windows' own files that are not worth imaging, as they lie in the root. */
const WORTHLESS = ['pagefile.sys', 'swapfile.sys', 'hiberfil.sys'];

const contentOf = (name: string): Buffer => noiseSource(name)(MIB + 500);

/** A volume with those files, of which the hibernation file begins with a page that says `signature`. */
const windowsVolume = (t: ExecutionContext, signature: string): string => {
  const file = makeNtfs(join(temporaryFolder(t), 'volume'), { size: 32 * MIB, clusterSize: CLUSTER });
  whileMounted(t, { file }, (root) => {
    for (const name of [...WORTHLESS, 'kept.sys']) writeFileSync(join(root, name), contentOf(name));
    const page = Buffer.alloc(CLUSTER);
    page.write(signature);
    const handle = openSync(join(root, 'hiberfil.sys'), 'r+');
    writeSync(handle, page, 0, page.length, 0);
    closeSync(handle);
  });
  return file;
};

/** Whether a piece of a file's content lies in the image: what does not pack is stored as it is. */
const isStored = (file: string, extents: readonly (readonly [number, number])[], name: string): boolean => {
  const bytes = readFileSync(file);
  const piece = contentOf(name).subarray(MIB / 2, MIB / 2 + 64);
  return extents.some(([start, length]) => bytes.subarray(start, start + length).includes(piece));
};

for (const signature of ['wake', ''])
  test(`page files and an inactive hibernation file (${signature || 'zeros'}) are not stored, and come back with zeros in front`, async (t) => {
    const file = windowsVolume(t, signature);
    const notes: string[] = [];
    const { image } = await makeImage(file, {}, (event) => {
      if ('note' in event) notes.push(event.note);
    });
    for (const name of WORTHLESS) {
      t.false(isStored(file, image.extents, name), name);
      t.true(
        notes.some((note) => note.startsWith(`/${name} is a `)),
        notes.join('\n'),
      );
    }
    t.true(isStored(file, image.extents, 'kept.sys'), 'this is how it would be seen');
    ntfsMustBeClean(t, { file }, 'after create');
    whileMounted(t, { file }, (root) => {
      for (const name of ['pagefile.sys', 'swapfile.sys'])
        t.true(readFileSync(join(root, name)).equals(contentOf(name)), `create leaves ${name} alone`);
    });

    overwriteWithNoise(file, extentsOf(image.extents), 'excludes');
    await restoreImage(file);
    ntfsMustBeClean(t, { file }, 'after restore');
    whileMounted(t, { file }, (root) => {
      for (const name of WORTHLESS) {
        t.is(statSync(join(root, name)).size, MIB + 500, name);
        const content = readFileSync(join(root, name));
        t.true(content.subarray(0, CLUSTER).equals(Buffer.alloc(CLUSTER)), `first cluster of ${name}`);
        t.false(content.subarray(CLUSTER).equals(contentOf(name).subarray(CLUSTER)), `rest of ${name}`);
      }
      t.true(readFileSync(join(root, 'kept.sys')).equals(contentOf('kept.sys')));
    });
    t.deepEqual((await verifyImage(file)).problems, []);
  });

test('a suspended system is neither imaged nor written over by chance: refused with the way out', async (t) => {
  const file = windowsVolume(t, 'hibr');
  const before = duplicate(file, `${file}.before`);
  const error = (await t.throwsAsync(makeImage(file))) as HoldfastError;
  t.is(error.kind, 'refused');
  t.is(error.detail.code, 'ntfs.hibernated', error.message);
  t.regex(error.message, /powercfg \/h off/);
  t.true(sameBytes(before, file));
  rmSync(before);
});

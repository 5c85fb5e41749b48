import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { buildBinary } from '../../build/binary.ts';
import { PROJECT } from '../../build/bundle.ts';
import { licences } from '../../build/licences.ts';
import { MIB } from '../../rescue/units.ts';
import { VERSION } from '../../rescue/version.ts';
import { e2fsckClean, mustBeClean } from '../support/judges.ts';
import { overwriteWithNoise, sameBytes } from '../support/noise.ts';
import { everythingSaid, mustRun, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { makeVolume } from '../support/volume.ts';
import { bareSystem } from './bare-system.ts';

const MAIN = join(PROJECT, 'rescue/main.ts');

/** Of packages that every Debian 12 has: libc6, libgcc-s1, libstdc++6. */
const EVERYWHERE = ['ld-linux-x86-64', 'libc', 'libdl', 'libgcc_s', 'libm', 'libpthread', 'libstdc++'];

test('version.ts agrees with package.json', (t) => {
  const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { version: string };
  t.is(VERSION, version);
});

test('the executable runs without Node, and two builds are the same bytes', async (t) => {
  const one = join(temporaryFolder(t), 'holdfast');
  const two = join(temporaryFolder(t), 'elsewhere', 'another name');
  await buildBinary(one);
  await buildBinary(two);
  t.true(sameBytes(one, two));
  t.deepEqual(readdirSync(dirname(two)), ['another name'], 'nothing left beside it');
  const result = run(one, ['--version'], { env: { PATH: '', NODE_OPTIONS: '--no-such-option' } });
  t.like(result, { exit: 0, stdout: `holdfast ${VERSION}\n`, stderr: '' }, everythingSaid(result));
});

test('the executable does whole cycles with nothing but its libraries: workers, zstd, xz', async (t) => {
  const program = join(temporaryFolder(t), 'holdfast');
  const packages = await buildBinary(program);
  const needed = mustRun('readelf', ['--dynamic', program]).stdout.matchAll(/\(NEEDED\).*\[(.*?)\.so/g);
  t.deepEqual([...new Set([...needed].map(([, name]) => name!))].sort(), EVERYWHERE);
  const root = bareSystem(t, program);
  const disk = makeVolume(join(root, 'disk'), { size: 64 * MIB, type: 'ext4' });
  const inside = (...words: string[]) => {
    const result = run('chroot', [root, '/holdfast', ...words, '--json', '--progress', 'none'], {
      cwd: '/',
      env: { NODE_OPTIONS: '' },
    });
    t.is(result.exit, 0, everythingSaid(result));
    return JSON.parse(result.stdout);
  };
  const cycle = (image: { extents: [number, number][] }): void => {
    overwriteWithNoise(
      disk,
      image.extents.map(([start, length]) => ({ start, length })),
    );
    t.is(inside('list', '/disk').images.length, 1);
    inside('restore', '/disk', '--yes');
    mustBeClean(e2fsckClean(disk));
    t.deepEqual(inside('verify', '/disk').problems, []);
  };
  cycle(inside('create', '/disk').image);
  // There is no program to compress xz in there, but it must be read: by the workers, and while a restore is planned.
  const packed = run(process.execPath, [MAIN, 'create', disk, '--codec', 'xz', '--level', '1', '--json']);
  t.is(packed.exit, 0, everythingSaid(packed));
  cycle(JSON.parse(packed.stdout).image);
  inside('remove', '/disk', '--image', 'latest', '--yes');
  mustBeClean(e2fsckClean(disk));
  t.true(packages.includes('xz-decompress') && packages.includes('blessed'));
  t.regex(licences(packages), /^Holdfast\n[\s\S]*\nxz-decompress\n=+\n\n[\s\S]*\nNode\.js\n=+\n/);
});

test('a failed build says why and leaves nothing behind', async (t) => {
  const folder = temporaryFolder(t);
  await t.throwsAsync(buildBinary(join(folder, 'holdfast'), { main: 'no/such/entry.ts' }), {
    message: /no\/such\/entry/,
  });
  t.deepEqual(readdirSync(folder), []);
});

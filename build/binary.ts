import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { formatBytes } from '../rescue/units.ts';
import { bundle, PROJECT } from './bundle.ts';
import { freeFromLibatomic } from './libatomic.ts';
import { licences } from './licences.ts';
import { runProgram } from './program.ts';

/**
 * Makes the single executable: a stripped copy of the Node that runs this, with the bundle inside. It needs the C and
 * C++ libraries that every Debian 12 has and nothing else. Two builds of the same sources are the same bytes.
 */
export const buildBinary = async (
  output: string,
  options: { readonly main?: string | undefined } = {},
): Promise<readonly string[]> => {
  mkdirSync(dirname(output), { recursive: true });
  const folder = mkdtempSync(join(dirname(output), '.build-'));
  try {
    const { main, assets, packages } = await bundle(folder, options.main);
    // Before the bundle goes in: stripping afterwards throws it out again.
    runProgram('strip', ['-o', join(folder, 'node'), process.execPath], { folder });
    freeFromLibatomic(join(folder, 'node'));
    const configuration = {
      // Names, not paths: the path of the script is stored in the executable.
      main,
      mainFormat: 'commonjs',
      executable: 'node',
      output: 'executable',
      assets,
      disableExperimentalSEAWarning: true,
      // A code cache differs from build to build.
      useCodeCache: false,
      useSnapshot: false,
      // The warnings are for whoever writes this program, not for whoever runs it.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      // NODE_OPTIONS of some other program must not change this one.
      execArgvExtension: 'none',
    };
    writeFileSync(join(folder, 'sea.json'), JSON.stringify(configuration));
    runProgram(process.execPath, ['--build-sea', 'sea.json'], { folder });
    chmodSync(join(folder, 'executable'), 0o755);
    renameSync(join(folder, 'executable'), output);
    return packages;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

if (import.meta.main) {
  const output = resolve(PROJECT, 'dist/holdfast');
  const packages = await buildBinary(output);
  writeFileSync(`${output}.licences.txt`, licences(packages));
  console.log(`${output}: ${formatBytes(statSync(output).size)}`);
}

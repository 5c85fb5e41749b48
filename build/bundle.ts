import { writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';
import { WORKERS, workerAsset } from '../rescue/job/worker-source.ts';
import { PLUGINS } from './plugins.ts';

export const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));

export interface Bundle {
  /** File name of the program, in the folder given. */
  readonly main: string;
  /** Embedded assets: key to file name in the folder given. */
  readonly assets: Readonly<Record<string, string>>;
  /** npm packages whose code went in, sorted. */
  readonly packages: readonly string[];
}

/** Names of the packages in a bundle, from the paths of its inputs. */
const packagesIn = (metafile: Metafile): string[] =>
  Object.keys(metafile.inputs).flatMap((path) => {
    const match = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
    return match === null ? [] : [match[1]!];
  });

/**
 * Bundles one entry file with all it imports into one script. CommonJS, because that is what an embedded worker can
 * run as and what older packages are; not minified, so that a stack trace can be read.
 */
const bundleOne = async (entry: string, output: string): Promise<string[]> => {
  const { metafile, outputFiles } = await build({
    entryPoints: [entry],
    outfile: output,
    // Comments in the bundle name each source file relative to this: the same in every clone.
    absWorkingDir: PROJECT,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    target: `node${process.versions.node}`,
    format: 'cjs',
    charset: 'utf8',
    legalComments: 'inline',
    logLevel: 'silent',
    // An executable has no files beside it: what still asks for them fails at once, with "Invalid URL".
    define: { 'import.meta.url': 'undefined' },
    plugins: [...PLUGINS],
  });
  writeFileSync(output, outputFiles[0]!.contents);
  return packagesIn(metafile);
};

/**
 * Writes the program and each of its workers as scripts without dependencies into `folder`.
 * `main` is the entry's path from the project's top.
 */
export const bundle = async (folder: string, main = 'rescue/main.ts'): Promise<Bundle> => {
  const program = 'holdfast.cjs';
  const packages = await bundleOne(resolve(PROJECT, main), join(folder, program));
  const assets: Record<string, string> = {};
  for (const [name, file] of Object.entries(WORKERS)) {
    const asset = workerAsset(name);
    const output = basename(asset);
    packages.push(...(await bundleOne(resolve(PROJECT, 'rescue/job', file), join(folder, output))));
    assets[asset] = output;
  }
  return { main: program, assets, packages: [...new Set(packages)].sort() };
};

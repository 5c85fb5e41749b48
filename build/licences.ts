import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PROJECT } from './bundle.ts';

const licenceIn = (folder: string): string => {
  const name = existsSync(folder) ? readdirSync(folder).find((each) => /^licen[cs]e/i.test(each)) : undefined;
  if (name !== undefined) return readFileSync(join(folder, name), 'utf8').trim();
  const { license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { license?: string };
  if (license === undefined) throw new Error(`${folder} states no licence`);
  return license;
};

/** The licences of everything in the executable: this program, the bundled packages, Node. */
export const licences = (packages: readonly string[]): string => {
  const node = dirname(dirname(process.execPath));
  const parts: [string, string][] = [
    ['Holdfast', licenceIn(PROJECT)],
    ...packages.map((name): [string, string] => [name, licenceIn(join(PROJECT, 'node_modules', name))]),
    ['Node.js', licenceIn(node)],
  ];
  return parts.map(([name, text]) => `${name}\n${'='.repeat(name.length)}\n\n${text}\n`).join('\n\n');
};

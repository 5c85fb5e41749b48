import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { noiseSource } from '../../support/noise.ts';

/**
 * Makes small files, as a program of its own, so that several can do it at once:
 *
 *   node test/prove/scale/fill.ts FOLDER FROM TO
 *
 * File number N is the same each time: 200 to 4000 bytes, half of them text, half noise, more of the short ones. They lie in folders of 100,
 * and these in folders of 100.
 */
export const FILES_PER_FOLDER = 100;
const FOLDERS = 100;
const LEAST = 200;
const MOST = 4000;
/** Text and noise alternate in stretches of this many bytes. */
const STRETCH = 64;

const TEXT = Buffer.alloc(MOST, 'the kelp grips the rock while the storm takes everything else and ');

export const folderOf = (index: number): string => {
  const folder = Math.floor(index / FILES_PER_FOLDER);
  return `${Math.floor(folder / FOLDERS)}/${folder % FOLDERS}`;
};

const fill = (top: string, from: number, to: number): void => {
  const noise = noiseSource(`files from ${from}`);
  const content = Buffer.alloc(MOST);
  for (let index = from; index < to; index += 1) {
    const folder = `${top}/${folderOf(index)}`;
    if (index === from || index % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true });
    const random = noise(MOST);
    const length = LEAST + Math.floor((random.readUInt32LE() / 2 ** 32) ** 2 * (MOST - LEAST));
    random.copy(content);
    for (let at = 0; at < length; at += 2 * STRETCH)
      TEXT.copy(content, at, index % 61, (index % 61) + STRETCH);
    const file = openSync(`${folder}/file-${index}`, 'w');
    try {
      writeSync(file, content, 0, length);
    } finally {
      closeSync(file);
    }
  }
};

if (import.meta.main) {
  const [top, from, to] = process.argv.slice(2);
  fill(top!, Number(from), Number(to));
}

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { withCleanup } from '../support/cleanup.ts';
import { SHOTS, takeShot } from './shots.ts';
import { svgOf } from './svg.ts';

/** `npm run pictures`: the real screens, drawn by a real terminal, as SVG files for the documents. */

const FOLDER = join(import.meta.dirname, '../../tui/pictures');
const SIZE = { columns: 80, rows: 24 };
const NAMES = [
  'disks-partitions',
  'images',
  'images-scanning',
  'plan',
  'confirm-right',
  'progress',
  'result-medium',
  'create',
];

mkdirSync(FOLDER, { recursive: true });
for (const name of NAMES) {
  const shot = SHOTS.find((each) => each.name === name)!;
  await withCleanup(async (cleanup) => {
    const terminal = await takeShot(cleanup, shot, SIZE);
    await terminal.until(shot.settled);
    // The last frame may be on its way.
    await pause(600);
    const path = join(FOLDER, `${name}.svg`);
    writeFileSync(path, svgOf(terminal.coloured(), { ...SIZE, title: `The screen ${name} of Holdfast` }));
    console.log(path);
  });
}

import { join } from 'node:path';
import type { Cleanup } from '../support/cleanup.ts';
import type { Scenario } from './made-up.ts';
import { Terminal } from './terminal.ts';

/** Every screen, and the keys that lead to it. */

const PROGRAM = join(import.meta.dirname, 'made-up-program.ts');

export interface Shot {
  readonly name: string;
  readonly scenario?: Scenario;
  /** Each step waits for what is before it. */
  readonly steps?: readonly (readonly [seen: RegExp, ...keys: string[]])[];
  readonly settled: RegExp;
}

const DISKS = /rescue medium that is running/;
const IMAGES = /Selected image/;
const PLAN = /Nothing has been written yet/;
const toImages: Shot['steps'] = [[DISKS, 'Enter']];
const toPlan: Shot['steps'] = [...toImages, [IMAGES, 'Enter'], [PLAN]];
const toConfirm: Shot['steps'] = [...toPlan, [/Go on to confirm/, 'Enter']];
const agreed: Shot['steps'] = [...toConfirm, [/The last question/, 's', 'd', 'a', 'Enter', 'Enter']];

export const SHOTS: readonly Shot[] = [
  { name: 'disks', settled: DISKS },
  { name: 'disks-partitions', steps: [[DISKS, 'Down']], settled: /PARTITION +SIZE/ },
  {
    name: 'disks-medium',
    steps: [[DISKS, 'Down', 'Down', 'Enter']],
    settled: /Not now: this is the rescue medium/,
  },
  { name: 'disks-none', scenario: 'none', settled: /No disk was found/ },
  { name: 'images', steps: toImages, settled: IMAGES },
  {
    name: 'images-damaged',
    steps: [...toImages, [IMAGES, 'Down', 'Down']],
    settled: /3 slots cannot be read/,
  },
  { name: 'images-many', scenario: 'many', steps: toImages, settled: IMAGES },
  {
    name: 'images-factory',
    scenario: 'many',
    steps: [...toImages, [IMAGES, 'Down', 'Down']],
    settled: /"as delivered", factory image/,
  },
  {
    name: 'images-other-partition',
    scenario: 'many',
    steps: [...toImages, [IMAGES, 'Down', 'Down', 'Down']],
    settled: /partition 3 of 20\.0 GiB/,
  },
  {
    name: 'images-foreign',
    scenario: 'many',
    steps: [...toImages, [IMAGES, 'End', 'Up', 'Up', 'Enter']],
    settled: /Not now: this image belongs to another partition/,
  },
  {
    name: 'images-moved',
    scenario: 'many',
    steps: [...toImages, [IMAGES, 'End', 'Up']],
    settled: /Its\s+partition began at byte/,
  },
  { name: 'images-scanning', scenario: 'scanning', steps: toImages, settled: /whole disk is searched/ },
  {
    name: 'images-stopped',
    scenario: 'scanning',
    steps: [...toImages, [/whole disk is searched/, 'Escape']],
    settled: /The search was stopped/,
  },
  { name: 'images-nothing', scenario: 'nothing', steps: toImages, settled: /No image was found/ },
  { name: 'plan', steps: toPlan, settled: PLAN },
  { name: 'confirm', steps: toConfirm, settled: /The last question/ },
  {
    name: 'confirm-wrong',
    steps: [...toConfirm, [/The last question/, 's', 'd', 'b', 'Enter']],
    settled: /exactly so/,
  },
  {
    name: 'confirm-right',
    steps: [...toConfirm, [/The last question/, 's', 'd', 'a', 'Enter']],
    settled: /> Restore now </,
  },
  { name: 'progress', scenario: 'writing', steps: agreed, settled: /Bringing the partition back/ },
  {
    name: 'stop',
    scenario: 'writing',
    steps: [...agreed, [/Bringing the partition back/, 'C-c']],
    settled: /Stop the restore\?/,
  },
  {
    name: 'stopped',
    scenario: 'writing',
    steps: [...agreed, [/Bringing the partition back/, 'C-c'], [/Stop the restore/, 'Tab', 'Enter']],
    settled: /What to do next/,
  },
  { name: 'result', steps: agreed, settled: /The partition is back/ },
  {
    name: 'result-medium',
    scenario: 'medium',
    steps: [...agreed, [/The partition is back/, 'l']],
    settled: /holdfast.log on the stick/,
  },
  {
    name: 'reboot',
    scenario: 'medium',
    steps: [...agreed, [/The partition is back/, 'R']],
    settled: /Reboot this machine/,
  },
  {
    name: 'error-refused',
    scenario: 'refused',
    steps: [...toImages, [IMAGES, 'Enter']],
    settled: /--drop 77aa10f3/,
  },
  {
    name: 'give-up',
    scenario: 'refused',
    steps: [...toImages, [IMAGES, 'Enter'], [/--drop 77aa10f3/, 'g']],
    settled: /Give up the factory image/,
  },
  { name: 'error-internal', scenario: 'internal', steps: toImages, settled: /has a fault/ },
  { name: 'verify', steps: [...toImages, [IMAGES, 'v']], settled: /The image is whole/ },
  { name: 'remove-plan', steps: [...toImages, [IMAGES, 'x']], settled: /cannot be brought back/ },
  {
    name: 'damaged',
    steps: [...toImages, [IMAGES, 'Down', 'Down', 'Enter']],
    settled: /This image is damaged/,
  },
  { name: 'create', steps: [[DISKS, 'Down', 'c']], settled: /An image of a partition, kept inside/ },
  {
    name: 'create-plan',
    steps: [
      [DISKS, 'Down', 'c'],
      [/kept inside/, 'Up', 'Down', 'Enter', 'o', 'k', 'Tab', 'Tab', 'Tab', 'Tab', 'Enter'],
    ],
    settled: PLAN,
  },
  {
    name: 'open',
    steps: [
      [DISKS, 'o'],
      [/Path of a file/, '/', 'x'],
    ],
    settled: /\/x_/,
  },
  { name: 'settings', steps: [[DISKS, 's']], settled: /Plain characters/ },
  {
    name: 'layouts',
    steps: [
      [DISKS, 's'],
      [/Plain characters/, 'Enter'],
    ],
    settled: /fr/,
  },
  {
    name: 'log',
    steps: [
      [DISKS, 's'],
      [/Plain characters/, 'End', 'Enter'],
    ],
    settled: /disks: /,
  },
  { name: 'help', steps: [...toImages, [IMAGES, 'F1']], settled: /Keys of/ },
  { name: 'leave', steps: [[DISKS, 'C-c']], settled: /Leave Holdfast\?/ },
];

/** A terminal on which this screen is about to stand. */
export const takeShot = async (
  cleanup: Cleanup,
  { scenario = 'all', steps = [] }: Shot,
  size: { readonly columns: number; readonly rows: number },
): Promise<Terminal> => {
  const terminal = new Terminal(cleanup, { ...size, command: [process.execPath, PROGRAM, scenario] });
  for (const [seen, ...keys] of steps) {
    await terminal.until(seen);
    await terminal.keys(...keys);
  }
  return terminal;
};

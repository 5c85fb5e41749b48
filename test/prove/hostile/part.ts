import type { Depth, Part, Piece, PieceResult, Plain } from '../part.ts';
import { fixtureLines, fixtures } from './fixtures.ts';
import type { Finding, Fuzzed } from './fuzz.ts';
import { replay } from './replay.ts';
import { playScene } from './scenes/scene.ts';
import { SCENES, sceneNamed } from './scenes/scenes.ts';
import { supervise, type Work } from './supervise.ts';
import { TARGETS } from './targets.ts';

/** Executions of each target, and pieces they are cut into. Those that take least time try most: that costs nothing. */
const EXECUTIONS: Readonly<Record<string, number>> = {
  mbr: 60_000,
  gpt: 60_000,
  slot: 100_000,
  streams: 200_000,
  locator: 100_000,
  aid: 100_000,
  'kernel-cmdline': 250_000,
};
const LEAST_EACH = 50_000;
const LEAST_TOGETHER = 1_000_000;
const PIECES = 4;
/** Of each target in `npm test`. */
const SAMPLE = 40;
/** Of the scenes, in `npm test`. */
const SAMPLE_SCENES = 1;

const workOf = (target: string, depth: Depth, seed: number): Work[] => {
  if (depth === 'sample') return [{ target, seed, executions: SAMPLE }];
  const executions = Math.ceil((EXECUTIONS[target] ?? LEAST_EACH) / PIECES);
  return Array.from({ length: PIECES }, (_, index) => ({ target, seed: seed * 1000 + index, executions }));
};

const scenesOf = (depth: Depth): Piece[] =>
  SCENES.slice(0, depth === 'sample' ? SAMPLE_SCENES : SCENES.length).map(({ name }) => ({
    name: `scene: ${name}`,
    work: { scene: name },
  }));

const faultOf = (target: string, { kind, times, message, input }: Finding): string =>
  [`${kind}, ${times} times: ${message}`, ...fixtureLines(target, input)].join('\n');

const countsOf = (target: string, { executions, findings, kept }: Fuzzed): Record<string, number> => {
  const of = (kind: Finding['kind']): number =>
    findings.reduce((sum, each) => sum + (each.kind === kind ? each.times : 0), 0);
  return {
    executions,
    [`executions ${target}`]: executions,
    [`kept ${target}`]: kept,
    crashes: of('crash'),
    hangs: of('hang'),
    limits: of('limit'),
  };
};

interface Detail {
  readonly target: string;
  readonly functions: number;
  readonly untouchedBlocks: number;
  readonly outcomes: number;
  readonly largest: number;
}

const runWork = async (asked: Work): Promise<PieceResult> => {
  const fuzzed = await supervise(asked);
  const { functions, untouchedBlocks, outcomes, largest } = fuzzed;
  const detail: Detail = { target: asked.target, functions, untouchedBlocks, outcomes, largest };
  return {
    counts: countsOf(asked.target, fuzzed),
    faults: fuzzed.findings.map((finding) => faultOf(asked.target, finding)),
    detail: detail as unknown as Plain,
  };
};

/** Hostile bytes for every parser, and images that must not be believed: `npm run prove -- hostile`. */
export const hostile: Part = {
  name: 'hostile',
  pieces: (depth, seed) => [
    ...fixtures().map(({ name }): Piece => ({ name: `again: ${name}`, work: { fixture: name } })),
    ...scenesOf(depth),
    ...TARGETS.flatMap(({ name }) =>
      workOf(name, depth, seed).map(
        (work): Piece => ({ name: `${name}, seed ${work.seed}`, work: work as unknown as Plain }),
      ),
    ),
  ],
  run: ({ work }, cleanup): Promise<PieceResult> => {
    const asked = work as unknown as Work | { readonly scene: string } | { readonly fixture: string };
    if ('fixture' in asked) return replay(asked.fixture, cleanup);
    return 'scene' in asked ? playScene(sceneNamed(asked.scene), cleanup) : runWork(asked);
  },
  report: (all, sum, depth) => {
    const least =
      depth === 'full' ? { each: LEAST_EACH, together: LEAST_TOGETHER } : { each: SAMPLE, together: 1 };
    const details = all.flatMap(({ result }) =>
      result.detail === undefined ? [] : [result.detail as unknown as Detail],
    );
    const most = (target: string, of: (detail: Detail) => number): string =>
      String(Math.max(0, ...details.filter((each) => each.target === target).map(of)));
    return {
      figures: [
        { what: 'executions', value: sum('executions'), least: least.together },
        {
          what: 'executions of the parser with the fewest',
          value: Math.min(...TARGETS.map(({ name }) => sum(`executions ${name}`))),
          least: least.each,
        },
        {
          what: 'inputs that once broke something, tried again',
          value: sum('replayed'),
          least: fixtures().length,
        },
        { what: 'crashes', value: sum('crashes'), most: 0 },
        { what: 'hangs', value: sum('hangs'), most: 0 },
        { what: 'limits exceeded', value: sum('limits'), most: 0 },
        {
          what: 'scenes with images that must not be believed',
          value: sum('scenes'),
          least: depth === 'full' ? SCENES.length : SAMPLE_SCENES,
        },
        { what: 'requests for them, all refused', value: sum('requests in scenes') },
        { what: 'restored, or a byte written', value: sum('believed in scenes'), most: 0 },
      ],
      tables: [
        {
          title: 'Parsers',
          head: [
            'parser',
            'what is read',
            'executions',
            'inputs kept',
            'complaints of different kinds',
            'functions that ran',
            'longest array, bytes',
          ],
          rows: TARGETS.map(({ name, covers }) => [
            name,
            covers,
            String(sum(`executions ${name}`)),
            String(sum(`kept ${name}`)),
            most(name, ({ outcomes }) => outcomes),
            most(name, ({ functions }) => functions),
            most(name, ({ largest }) => largest),
          ]),
        },
      ],
    };
  },
};

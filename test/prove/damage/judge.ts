import {
  coalesce,
  complement,
  intersect,
  normalise,
  type Span,
  SpanSet,
  subtract,
  totalLength,
} from '../../../rescue/bytes/runs.ts';
import type { LostFile } from '../../../rescue/job/lost-files.ts';
import type { RestoreResult } from '../../../rescue/job/results.ts';
import { differences } from './compare.ts';
import type { FilePlaces } from './places.ts';
import type { Stage } from './stage.ts';
import { type Truth, used } from './truth.ts';

/** Where content of `file` is among `lost`, as bytes of the content. */
const lostRanges = ({ pieces }: FilePlaces, lost: SpanSet): Span[] =>
  normalise(
    pieces.flatMap(({ offset, start, length }) =>
      [...lost.within({ start, length })].map((part) => ({
        start: offset + part.start - start,
        length: part.length,
      })),
    ),
  );

const show = (spans: readonly Span[]): string =>
  `${spans
    .slice(0, 4)
    .map(({ start, length }) => `${start}+${length}`)
    .join(' ')}${spans.length > 4 ? ` and ${spans.length - 4} more` : ''}`;

/** Clusters that hold nothing but the content of files. */
const contentClusters = ({ files, whole: { clusterSize, clusterBase } }: Stage): Span[] =>
  normalise(
    files.flatMap(({ pieces }) =>
      pieces.map(({ start, length }) => {
        const clusters = Math.ceil((start + length - clusterBase) / clusterSize);
        return { start, length: clusterBase + clusters * clusterSize - start };
      }),
    ),
  );

/** A volume may come back without listing its image only if something else is lost than the content of files. */
const judgeListing = (stage: Stage, { unlisted, lost }: RestoreResult): string[] =>
  unlisted === undefined || subtractAll(lost, contentClusters(stage)).length > 0
    ? []
    : [`the volume does not list its image, though nothing but content of files is lost: ${unlisted}`];

/** Every byte that is not as it would be must have been in a record that was hit, and be named as lost. */
export const judgeBytes = (stage: Stage, path: string, truth: Truth, result: RestoreResult): string[] => {
  const besides = normalise([...stage.whole.extents, ...stage.locator]);
  const different = subtractAll(differences(stage.restored, path), besides);
  // A volume that does not list its image: as it was before, and as the noise was where nothing was restored.
  const free = complement(stage.whole.held, { start: 0, length: Number.MAX_SAFE_INTEGER });
  const unclaimed = [
    ...subtractAll(different, differences(stage.pristine, path)),
    ...subtractAll(intersect(different, free), differences(stage.wrecked, path)),
  ];
  // Where nothing is claimed, it is right everywhere: a run of zeros in a record that was hit is known from the map.
  const toBeClaimed = result.unlisted === undefined ? truth.lost.spans : [];
  const asItWas = subtractAll(normalise(unclaimed), toBeClaimed);
  // Without any anchor, how much of the container's end is its own may be unknown: less is claimed, which is for the checker to judge.
  const otherClaim = truth.anchored ? [] : stage.claimed;
  const wrong = subtractAll(different, normalise([...asItWas, ...otherClaim]));
  const exact = subtractAll(wrong, truth.lost.spans);
  const named = subtractAll(wrong, result.lost);
  const tooMuch = used(stage.whole, subtractAll(result.lost, truth.lost.spans));
  return [
    ...judgeListing(stage, result),
    ...(exact.length === 0
      ? []
      : [`${totalLength(exact)} bytes differ although their frames survived: ${show(exact)}`]),
    ...(named.length === 0
      ? []
      : [`${totalLength(named)} bytes differ and are not named as lost: ${show(named)}`]),
    ...(tooMuch.length === 0
      ? []
      : [`${totalLength(tooMuch)} bytes are named as lost although their frames survived: ${show(tooMuch)}`]),
    ...(result.unlisted !== undefined || !truth.anchored || asItWas.length === 0
      ? []
      : [
          `the volume is said to list its image, but ${totalLength(asItWas)} bytes of the claim are missing: ${show(asItWas)}`,
        ]),
  ];
};

const subtractAll = (spans: Iterable<Span>, holes: Iterable<Span>): Span[] => [
  ...subtract([...coalesce(spans)], normalise(holes)),
];

/** Whether something of what leads to a file is lost. */
const lacksLead = ({ leads }: FilePlaces, { lost }: Truth): boolean =>
  leads.some((each) => lost.intersects(each));

export interface NamesJudged {
  readonly faults: readonly string[];
  /** Files of which something is lost, by the judge; and how many of them could not be named, for a reason that holds. */
  readonly files: number;
  readonly unnamed: number;
}

/** Names and ranges must be those that other programs find for the bytes that are lost. */
export const judgeNames = (stage: Stage, truth: Truth, result: RestoreResult): NamesJudged => {
  const faults: string[] = [];
  const names = result.lostNames;
  const listed = new Map<string, LostFile>();
  for (const file of names?.files ?? []) if (file.stream === undefined) listed.set(file.path, file);
  const lost = new SpanSet(result.lost);
  const elsewhere = new SpanSet(names?.elsewhere ?? []);
  let files = 0;
  let unnamed = 0;
  let toFiles = 0;
  for (const file of stage.files) {
    const expected = lostRanges(file, lost);
    const short = listed.has(file.path) ? undefined : file.shortPaths?.find((each) => listed.has(each));
    const entry = listed.get(short ?? file.path);
    if (short !== undefined && !lacksLead(file, truth))
      faults.push(`${file.path} is named ${short}, though nothing that leads to it is lost`);
    toFiles += totalLength(expected);
    if (expected.length === 0) {
      if (entry !== undefined && entry.ranges.length > 0)
        faults.push(`${file.path} is named, and nothing of it is lost: ${show(entry.ranges)}`);
      continue;
    }
    files += 1;
    if (entry !== undefined && entry.also === undefined) {
      if (JSON.stringify(entry.ranges) !== JSON.stringify(expected.slice(0, 64)))
        faults.push(`${file.path}: ${show(entry.ranges)} named, ${show(expected)} lost`);
      continue;
    }
    if (entry?.also === undefined) unnamed += 1;
    if (!lacksLead(file, truth))
      faults.push(
        `${file.path} is not named in full, though nothing that leads to it is lost: ${show(expected)}`,
      );
    // What is not said of it by name is said by place.
    const said = new SpanSet(entry?.ranges ?? []);
    for (const piece of file.pieces)
      for (const part of lost.within(piece)) {
        const inFile = { start: piece.offset + part.start - piece.start, length: part.length };
        const open = subtractAll([inFile], said.spans).map(({ start, length }) => ({
          start: start - piece.offset + piece.start,
          length,
        }));
        if (subtractAll(open, elsewhere.spans).length > 0)
          faults.push(`${file.path}: bytes ${show([inFile])} are neither named nor said to be of no file`);
      }
  }
  const nothingElse = totalLength(lost.spans) === toFiles;
  if (nothingElse && (names?.elsewhereBytes ?? 0) > 0 && unnamed === 0)
    faults.push(`${names!.elsewhereBytes} bytes are said to be of no file, and all that is lost is of files`);
  return { faults, files, unnamed };
};

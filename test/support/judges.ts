import { everythingSaid, run } from './run.ts';

/**
 * Other people's programs say whether a file system is sound. Each judge has a negative test in `judges.test.ts`
 * that shows that it can say no.
 */
export interface Verdict {
  readonly clean: boolean;
  /** Command, exit code and all that was said: for the message of a failed test. */
  readonly output: string;
}

export interface Place {
  /** Byte offset of the file system in the file. */
  readonly offset?: number | undefined;
}

/** e2fsprogs' own way to say where in a file the file system starts (`IO_MANAGER` options after a question mark). */
const at = (path: string, place: Place): string =>
  place.offset === undefined || place.offset === 0 ? path : `${path}?offset=${place.offset}`;

/**
 * `e2fsck -fn`: a full check that changes nothing. Clean means exit code 0 and no journal left to replay, which
 * e2fsck mentions and then ignores.
 */
export const e2fsckClean = (path: string, place: Place = {}): Verdict => {
  const result = run('e2fsck', ['-f', '-n', at(path, place)]);
  const output = everythingSaid(result);
  return { clean: result.exit === 0 && !/skipping journal recovery/.test(output), output };
};

/** e2fsck(8): the exit code is a sum; 1 is "errors corrected", 2 "corrected, reboot"; all others mean trouble left. */
const CORRECTED = 1 | 2;

/**
 * `e2fsck -fp`: replays the journal and mends what is safe to mend without a person, **in place**: give it a copy.
 * Clean means that nothing was left for a person to decide; `changed` that it mended something.
 */
export const e2fsckPreen = (copy: string, place: Place = {}): Verdict & { readonly changed: boolean } => {
  const result = run('e2fsck', ['-f', '-p', at(copy, place)]);
  const clean = result.exit !== null && (result.exit & ~CORRECTED) === 0;
  return { clean, changed: clean && result.exit !== 0, output: everythingSaid(result) };
};

/** Throws with the judge's words unless the verdict is clean. */
export const mustBeClean = (verdict: Verdict): void => {
  if (!verdict.clean) throw new Error(`not clean:\n${verdict.output}`);
};

/**
 * sfdisk adds up an MBR's sectors as if all before partition 1 were lost: where that one is not the first on the disk it counts
 * the others twice.
 */
const oneStartsBehindOthers = (path: string): boolean => {
  const said = run('sfdisk', ['--json', path]);
  if (said.exit !== 0) return false;
  const { partitiontable } = JSON.parse(said.stdout) as {
    partitiontable: { partitions?: { node: string; start: number }[] };
  };
  const { partitions = [] } = partitiontable;
  const one = partitions.find(({ node }) => /\D1$/.test(node));
  return one !== undefined && partitions.some(({ start }) => start < one.start);
};

/**
 * `sfdisk --verify`, and for a GPT `sgdisk --verify` too, of a disk in a file (512-byte sectors) or a device. Both end with 0 whatever
 * they find, and sfdisk says "no errors" above complaints about sizes, so the words decide.
 */
export const partitionTableSound = (path: string): Verdict => {
  const results = [run('sfdisk', ['--verify', path])];
  const isGpt = /"label":\s*"gpt"/.test(run('sfdisk', ['--json', path]).stdout);
  if (isGpt) results.push(run('sgdisk', ['--verify', path]));
  const [said, gpt] = results.map((result) => result.stdout + result.stderr);
  const mbr = oneStartsBehindOthers(path) ? said?.replace(/^.*Total allocated sectors.*$/m, '') : said;
  const clean =
    /No errors detected/.test(mbr ?? '') &&
    !/greater than|overlap|outside|mismatch|corrupt|invalid|warning/i.test(mbr ?? '') &&
    (!isGpt || /No problems found/.test(gpt ?? ''));
  return { clean, output: results.map(everythingSaid).join('\n') };
};

import { corrupt } from '../errors.ts';
import type { Patch, PatchStep } from '../fs/patch.ts';
import {
  type ChainRun,
  ENTRY_MASK,
  FIRST_END,
  FIRST_ENTRY,
  type PatchChain,
  sharedEntry,
} from '../fs/patch-operation.ts';
import type { ByteLength } from '../units.ts';
import {
  CHAIN_ENDS,
  MAX_CHAIN_RUNS,
  PATCH_CHAIN,
  PATCH_HEAD,
  PATCH_RUN,
  PATCH_STEP,
  STEP_KIND,
} from './layout.ts';

/** A patch as bytes, for the journal: a head, then each step with what belongs to it. See FORMAT.md, "Journal". */
export const encodePatch = ({ sectorSize, phases }: Patch): Uint8Array => {
  const steps = phases.reduce((sum, phase) => sum + phase.length, 0);
  const parts = [PATCH_HEAD.encode({ sector_size: sectorSize, phases: phases.length, steps })];
  phases.forEach((phase, index) => {
    for (const step of phase) parts.push(...encodeStep(step, index));
  });
  return Buffer.concat(parts);
};

const encodeStep = (step: PatchStep, phase: number): Uint8Array[] => {
  const { offset } = step;
  if (step.kind === 'fill') {
    return [
      PATCH_STEP.encode({ phase, kind: STEP_KIND.fill, offset, length: step.length, value: step.byte }),
    ];
  }
  if (step.kind === 'chain') {
    const { direction, length, copies, runs, end } = step;
    if (runs.length > MAX_CHAIN_RUNS) throw new RangeError(`${runs.length} runs in one step`);
    return [
      PATCH_STEP.encode({ phase, kind: STEP_KIND[direction], offset, length, value: end }),
      PATCH_CHAIN.encode({ copies, runs: runs.length }),
      encodeRuns(runs),
    ];
  }
  if (step.kind === 'bits')
    return [PATCH_STEP.encode({ phase, kind: STEP_KIND[step.direction], offset, length: step.length })];
  const { before, after, scratch } = step;
  const kind = scratch === true ? STEP_KIND.scratch : STEP_KIND.write;
  const head = PATCH_STEP.encode({ phase, kind, offset, length: after.length });
  return scratch === true ? [head, after] : [head, before, after];
};

const encodeRuns = (runs: readonly ChainRun[]): Uint8Array => {
  const bytes = new Uint8Array(runs.length * PATCH_RUN.size);
  runs.forEach(({ start, length, ends }, index) => {
    const at = index * PATCH_RUN.size;
    PATCH_RUN.set(bytes, 'start', start, at);
    PATCH_RUN.set(bytes, 'length', ends ? length + CHAIN_ENDS : length, at);
  });
  return bytes;
};

const fail = (code: string, message: string, found: number) =>
  corrupt(message, { code: `patch.${code}`, structure: 'patch', found });

/** Throws `corrupt` (`patch.*`). `within` is the partition's length. */
export const decodePatch = (bytes: Uint8Array, within: ByteLength): Patch => {
  const head = PATCH_HEAD.decode(bytes);
  const sectorSize = head.sector_size;
  if (sectorSize !== 512 && sectorSize !== 4096) throw fail('sector', 'sector size', sectorSize);
  if (head.phases > 1024) throw fail('phases', 'too many phases', head.phases);
  const phases: PatchStep[][] = Array.from({ length: head.phases }, () => []);
  let at = PATCH_HEAD.size;
  let lastPhase = 0;
  for (let index = 0; index < head.steps; index += 1) {
    const field = PATCH_STEP.decode(bytes, at);
    at += PATCH_STEP.size;
    const { phase, length, offset } = field;
    if (phase < lastPhase || phase >= head.phases) throw fail('order', 'phase out of order', phase);
    const { step, end } = decodeStep(bytes, at, field);
    if (length === 0 || length % sectorSize !== 0 || offset % sectorSize !== 0) {
      throw fail('alignment', 'step not in sectors', offset);
    }
    const copies = step.kind === 'chain' ? step.copies : 1;
    if (offset + length * copies > within) throw fail('bounds', 'step outside the partition', offset);
    phases[phase]!.push(step);
    lastPhase = phase;
    at = end;
  }
  if (at !== bytes.length) throw fail('excess', 'bytes behind the last step', bytes.length - at);
  return { sectorSize, phases };
};

type StepHead = ReturnType<typeof PATCH_STEP.decode>;

/** The step whose content starts at `at`, and where that ends. Its place in the partition is not checked yet. */
const decodeStep = (
  bytes: Uint8Array,
  at: number,
  head: StepHead,
): { readonly step: PatchStep; readonly end: number } => {
  const { kind, offset, length, value } = head;
  switch (kind) {
    case STEP_KIND.write:
    case STEP_KIND.scratch: {
      const scratch = kind === STEP_KIND.scratch;
      const end = at + length * (scratch ? 1 : 2);
      if (end > bytes.length) throw fail('cut-short', 'write cut short', end);
      const after = bytes.subarray(end - length, end);
      const before = scratch ? after : bytes.subarray(at, at + length);
      return { step: scratch ? { offset, before, after, scratch } : { offset, before, after }, end };
    }
    case STEP_KIND.fill:
      if (value > 0xff) throw fail('fill', 'not a byte', value);
      return { step: { kind: 'fill', offset, length, byte: value }, end: at };
    case STEP_KIND.set:
    case STEP_KIND.clear: {
      if (value !== 0) throw fail('bits', 'a number where none belongs', value);
      const direction = kind === STEP_KIND.set ? 'set' : 'clear';
      return { step: { kind: 'bits', direction, offset, length }, end: at };
    }
    case STEP_KIND.link:
    case STEP_KIND.free:
      return decodeChain(bytes, at, head);
    default:
      throw fail('kind', 'unknown kind of step', kind);
  }
};

const decodeChain = (
  bytes: Uint8Array,
  at: number,
  { kind, offset, length, value }: StepHead,
): { readonly step: PatchChain; readonly end: number } => {
  const { copies, runs: count } = PATCH_CHAIN.decode(bytes, at);
  if (copies === 0 || copies > 255) throw fail('copies', 'copies of a table', copies);
  if (value < FIRST_END || value > ENTRY_MASK) throw fail('chain-end', 'not the end of a chain', value);
  const first = at + PATCH_CHAIN.size;
  const end = first + count * PATCH_RUN.size;
  if (count === 0 || count > MAX_CHAIN_RUNS) throw fail('runs', 'runs of a chain', count);
  if (end > bytes.length) throw fail('cut-short', 'chain cut short', end);
  const entries = Math.min(length / 4, FIRST_END);
  const runs = Array.from({ length: count }, (_, index): ChainRun => {
    const position = first + index * PATCH_RUN.size;
    const start = PATCH_RUN.get(bytes, 'start', position);
    const coded = PATCH_RUN.get(bytes, 'length', position);
    const run = { start, length: coded % CHAIN_ENDS, ends: coded >= CHAIN_ENDS };
    if (start < FIRST_ENTRY || run.length === 0 || start + run.length > entries)
      throw fail('run', 'run outside the table', start);
    return run;
  });
  if (!runs.at(-1)!.ends) throw fail('open-chain', 'chain without an end', count);
  const direction = kind === STEP_KIND.link ? 'link' : 'free';
  const step: PatchChain = { kind: 'chain', direction, offset, length, copies, end: value, runs };
  const shared = sharedEntry(step);
  if (shared !== undefined) throw fail('overlap', 'entry in two runs', shared);
  return { step, end };
};

/** A mistake that somebody could make, and how the proof has to see it. */
export interface PlantedFault {
  readonly name: string;
  /** Below the project's folder. */
  readonly file: string;
  /** Stands exactly once in the file; what stands there instead. */
  readonly text: string;
  readonly instead: string;
  /** What is run: a part, and a piece of its sample. */
  readonly part: string;
  readonly only: string;
  /** Said of that piece, and of nothing but this mistake. */
  readonly seen: RegExp;
}

export const FAULTS: readonly PlantedFault[] = [
  {
    name: 'the guard lets the first sealed slot of a write through',
    file: 'rescue/device/guard.ts',
    text: 'for (const hit of image.sealed.within(span)) {',
    instead: 'for (const hit of [...image.sealed.within(span)].slice(1)) {',
    part: 'cuts',
    only: 'create: ext2',
    seen: /^FAILED cuts: create: ext2: .*a write into image [0-9a-f]+ at \d+ was let through/m,
  },
  {
    name: 'a claim on ext refers to what is not marked as taken yet',
    file: 'rescue/fs/ext/staged-edits.ts',
    text: "direction === 'claim' ? PHASES : RELEASE_ORDER",
    instead: "direction === 'claim' ? RELEASE_ORDER : PHASES",
    part: 'cuts',
    only: 'create: ext2',
    seen: /^FAILED cuts: create: ext2: before event \d+ .*(?:e2fsck|: was )/m,
  },
  {
    name: 'a count of a group descriptor of ext is believed',
    file: 'rescue/fs/ext/group-editor.ts',
    text: 'if (index > used) {',
    instead: 'if (index > Number.POSITIVE_INFINITY) {',
    part: 'hostile',
    only: 'again: ext-unused-inodes-in-use',
    seen: /^FAILED hostile: again: ext-unused-inodes-in-use\.txt: (?:crash|limit): /m,
  },
];

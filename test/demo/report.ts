import { count, formatDuration, wrap } from '../../rescue/cli/text.ts';
import { formatBytes } from '../../rescue/units.ts';
import type { Judgements } from './judgement.ts';

/** What the closing report is made of. Bytes and seconds. */
export interface Outcome {
  readonly judgements: Judgements;
  readonly diskBytes: number;
  readonly files: number;
  readonly contentBytes: number;
  /** Of the disk, overwritten with noise. */
  readonly destroyedBytes: number;
  /** Of the container: all that was left. */
  readonly imageBytes: number;
  readonly sealedBytes: number;
  readonly usedBytes: number;
  readonly seconds: { readonly create: number; readonly list: number; readonly restore: number };
}

const WIDTH = 80;

/** One sentence per judgement, and who the judge was. */
const sentences = ({ files, sealedBytes }: Outcome): Record<keyof Judgements, string> => ({
  soundWithImage: 'With the image inside it, the file system was clean (e2fsck -fn).',
  destroyed: 'After the noise, sfdisk, blkid and e2fsck found no partition and no file system.',
  table: 'The partition table is what it was (sfdisk --dump, before and after).',
  boot: 'Boot code and BIOS boot partition are what they were (SHA-256).',
  clean: 'The restored file system is clean (e2fsck -fn).',
  files: `All ${files} files and folders are what they were: mounted read-only by the kernel; compared: content (SHA-256), names, owners, modes, times, links, attributes, ACLs, holes.`,
  imageFound: 'The image is still there, in the same place, and whole (holdfast list, holdfast verify).',
  sealed: `The ${formatBytes(sealedBytes)} of it that must never change did not (SHA-256).`,
});

export const allHold = (judgements: Judgements): boolean =>
  Object.values(judgements).every((judgement) => judgement.holds);

/** For a reader who saw nothing of what came before. At most 80 columns, but for what failing judges said. */
export const reportLines = (outcome: Outcome): string[] => {
  const { judgements, seconds } = outcome;
  const passed = allHold(judgements);
  const texts = sentences(outcome);
  const names = Object.keys(texts) as (keyof Judgements)[];
  const paragraph = (text: string): string => wrap(text, { width: WIDTH });
  return [
    '='.repeat(WIDTH),
    passed
      ? 'Everything came back.'
      : `FAILED: ${count(names.filter((name) => !judgements[name].holds).length, 'check')} of ${names.length} did not pass.`,
    '',
    paragraph(
      `A disk of ${formatBytes(outcome.diskBytes)} (a file that stood for one) with a boot area and an ext4 partition held ${outcome.files} files and folders with ${formatBytes(outcome.contentBytes)}: copies from /usr of this machine, and a small tree of odd cases. Holdfast made an image of the partition inside that same partition: ${formatBytes(outcome.usedBytes)} in use became ${formatBytes(outcome.imageBytes)}.`,
    ),
    paragraph(
      `Then every byte of the disk outside this image was overwritten with noise, ${formatBytes(outcome.destroyedBytes)} in all, partition table included. From the image alone, found by scanning, Holdfast restored the disk.`,
    ),
    '',
    paragraph(
      `create ${formatDuration(seconds.create)}   list ${formatDuration(seconds.list)}   restore ${formatDuration(seconds.restore)}`,
    ),
    '',
    ...names.flatMap((name) => {
      const { holds, seen } = judgements[name];
      const mark = holds ? '  yes  ' : '  NO   ';
      return [
        wrap(texts[name], { width: WIDTH, first: mark, rest: '       ' }),
        ...(holds ? [] : seen.split('\n').map((line) => `       | ${line}`)),
      ];
    }),
    '='.repeat(WIDTH),
  ];
};

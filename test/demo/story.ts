import { join } from 'node:path';
import { wrap } from '../../rescue/cli/text.ts';
import type { ImageSummary, ListResult } from '../../rescue/job/results.ts';
import { formatBytes } from '../../rescue/units.ts';
import { digestOf, overwriteWithNoise } from '../support/noise.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { type DemoDisk, makeDemoDisk } from './disk.ts';
import { fold, type Typist, type } from './holdfast.ts';
import {
  describeExtents,
  judgeBytes,
  judgeDestroyed,
  judgeFileSystem,
  judgeFiles,
  judgeImage,
  judgeTable,
  lengthOf,
  lookForAnything,
  lookLines,
  toExtents,
} from './judgement.ts';
import type { Sizes } from './machine.ts';
import type { Outcome } from './report.ts';

/** Lets a signal be noticed between two things that block this thread. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const parse = <T>(text: string): T => JSON.parse(text) as T;

/** The whole story, told as it happens: a disk with an image of itself, its destruction, its return. */
export const play = async (stage: Typist, sizes: Sizes): Promise<Outcome> => {
  const { cleanup, say } = stage;
  const title = async (number: number, text: string): Promise<void> => {
    say('');
    say(wrap(text, { width: 80, first: `${number}. `, rest: '   ' }));
    await breathe();
  };
  const tell = (text: string): void => say(wrap(text, { width: 80, first: '   ', rest: '   ' }));

  await title(
    1,
    `A disk of ${formatBytes(sizes.disk)} in a file: GPT, BIOS boot partition, ext4 partition, filled with about ${formatBytes(sizes.data)} from /usr of this machine.`,
  );
  const cwd = temporaryFolder(cleanup);
  const path = join(cwd, 'disk');
  const disk = makeDemoDisk(cleanup, path, sizes);
  const bootDigest = digestOf(path, disk.boot);
  tell(
    `${disk.files.size} files and folders, ${formatBytes(disk.contentBytes)} of content. The disk: ${path}`,
  );

  await title(2, 'An image of the ext4 partition, inside that same partition.');
  const partition = String(disk.partition.number);
  const created = await type(stage, ['create', 'disk', '--partition', partition, '--name', 'good'], { cwd });
  const soundWithImage = judgeFileSystem(disk);
  const image = await onlyImage(stage, cwd);
  const container = toExtents(image.extents);
  const sealed = toExtents(image.sealedExtents);
  const sealedDigest = digestOf(path, sealed);

  await title(3, `Noise over the whole disk, but for the image's own ${describeExtents(container)}.`);
  const destroyedBytes = overwriteWithNoise(path, container, 'storm');
  tell(`${formatBytes(destroyedBytes)} overwritten, partition table included. What is left to be seen:`);
  const look = lookForAnything(disk);
  for (const line of lookLines(disk, look)) say(fold(line));

  await title(4, 'Looking for images on that disk.');
  const listed = await type(stage, ['list', 'disk'], { cwd });

  await title(5, 'Bringing everything back.');
  const restored = await type(stage, ['restore', 'disk', '--yes'], { cwd });

  await title(6, 'Comparing with what was.');
  await type(stage, ['verify', 'disk'], { cwd });
  const after = parse<ListResult>(
    (await type(stage, ['list', 'disk', '--json'], { cwd, quiet: true })).stdout,
  );
  await breathe();
  return {
    judgements: {
      soundWithImage,
      destroyed: judgeDestroyed(look),
      table: judgeTable(disk),
      boot: judgeBytes(path, disk.boot, bootDigest),
      clean: judgeFileSystem(disk),
      files: await judgeFiles(disk),
      imageFound: judgeImage(image, after.images),
      sealed: judgeBytes(path, sealed, sealedDigest),
    },
    ...sizesOf(disk, image),
    destroyedBytes,
    seconds: { create: created.seconds, list: listed.seconds, restore: restored.seconds },
  };
};

const onlyImage = async (stage: Typist, cwd: string): Promise<ImageSummary> => {
  const { stdout } = await type(stage, ['list', 'disk', '--json'], { cwd, quiet: true });
  const { images } = parse<ListResult>(stdout);
  const [image] = images;
  if (image === undefined || images.length > 1) throw new Error(`not one image: ${stdout}`);
  return image;
};

const sizesOf = (disk: DemoDisk, image: ImageSummary) => ({
  diskBytes: disk.size,
  files: disk.files.size,
  contentBytes: disk.contentBytes,
  usedBytes: image.usedBytes,
  imageBytes: lengthOf(toExtents(image.extents)),
  sealedBytes: lengthOf(toExtents(image.sealedExtents)),
});

import { refused, usage } from '../errors.ts';
import { readAudit } from '../image/audit.ts';
import type { Image } from '../image/image.ts';
import { formatBytes, formatSeconds } from '../units.ts';
import { checkAidOut, writeAid } from './aid.ts';
import { type ChosenImage, openChosen } from './chosen.ts';
import { JobContext, type JobOptions } from './context.ts';
import type { InfoRequest, InfoResult } from './results.ts';
import { statsOf, summarise } from './summary.ts';

/** Everything that an image says of itself. Never writes to TARGET. */
export const info = async (request: InfoRequest, options: JobOptions = {}): Promise<InfoResult> => {
  const context = new JobContext(options);
  try {
    if (request.aidOut !== undefined) checkAidOut(request.aidOut, request.target);
    const chosen = await openChosen(context, request);
    try {
      return describe(context, request, chosen);
    } finally {
      chosen.close();
    }
  } finally {
    await context.close();
  }
};

const describe = (context: JobContext, request: InfoRequest, chosen: ChosenImage): InfoResult => {
  const { image } = chosen.found;
  const { control, identity, commit } = image;
  const facts: [string, string][] = [
    ['made by', control.tool],
    ['codec', `${control.codec.name}, level ${control.codec.level}`],
    ['slots', `${image.homes.slotCount} of ${formatBytes(identity.slotSize)}`],
    ['extents', `${image.extents.length} in the order of the slots`],
    ['file system UUID', control.fileSystem.uuid],
    ...Object.entries(control.fileSystem.parameters).map(([key, value]): [string, string] => [
      `${control.fileSystem.kind} ${key}`,
      key === 'made' && typeof value === 'number' ? formatSeconds(value) : String(value),
    ]),
    ['partition UUID', control.partition.uuid ?? 'unknown'],
    ['disk', control.disk === null ? 'none' : describeDisk(control.disk)],
    ['partition table', control.table === null ? 'not kept' : 'a copy is kept'],
    ['siblings', commit === undefined ? 'unknown' : String(commit.siblingTotal)],
    ['history', history(image)],
    ['root digest', Buffer.from(image.rootDigest).toString('hex')],
  ];
  if (request.aidOut !== undefined) writeAidOf(context, request.aidOut, chosen);
  return {
    target: request.target,
    image: summarise(chosen.found),
    stats: statsOf(context, image, chosen.traffic()),
    facts,
    ...(request.aidOut === undefined ? {} : { aidOut: request.aidOut }),
  };
};

/** Throws `usage` (`aid.from-file`) and `refused` (`aid.displaced`): where homes do not count, an aid cannot name any. */
const writeAidOf = (context: JobContext, path: string, chosen: ChosenImage): void => {
  const { found, fromFile, subject } = chosen;
  if (fromFile) {
    throw usage(`${subject.target.path} is an image file, and a recovery aid is for a disk`, {
      code: 'aid.from-file',
      wayOut: 'Name the disk or the partition that holds the image.',
    });
  }
  if (found.image.displaced === true) {
    throw refused('the image does not lie where its slots say: an aid would lead nowhere', {
      code: 'aid.displaced',
      wayOut: 'Have it repaired first, with verify --repair or the next create.',
    });
  }
  if (found.state !== 'committed') {
    context.note(
      `The recovery aid is for an image that is ${found.state}: ${found.reason ?? 'see above'}.`,
      'warning',
    );
  }
  writeAid(context, path, found, subject);
};

/** What happened with the image, as its audit record tells it. */
const history = ({ device, mutableHomes, identity }: Image): string => {
  const audit = mutableHomes === undefined ? undefined : readAudit(device, mutableHomes, identity.imageId);
  if (audit === undefined) return 'nothing is recorded';
  const dropped = audit.total - audit.latest.length;
  const entries = audit.latest.map(
    ({ action, time, salvaged }) => `${action} ${formatSeconds(time)}${salvaged ? ' (with parts lost)' : ''}`,
  );
  return [...entries, ...(dropped > 0 ? [`and ${dropped} earlier`] : [])].join('; ');
};

const describeDisk = (disk: {
  size: number;
  sectorSize: number;
  model: string | null;
  serial: string | null;
}): string =>
  [
    formatBytes(disk.size),
    `${disk.sectorSize}-byte sectors`,
    ...(disk.model === null ? [] : [disk.model]),
    ...(disk.serial === null ? [] : [`serial ${disk.serial}`]),
  ].join(', ');

import { readAudit } from '../image/audit.ts';
import type { Image } from '../image/image.ts';
import { formatBytes, formatSeconds } from '../units.ts';
import { openChosen } from './chosen.ts';
import { JobContext, type JobOptions } from './context.ts';
import type { InfoRequest, InfoResult } from './results.ts';
import { statsOf, summarise } from './summary.ts';

/** Everything that an image says of itself. Never writes. */
export const info = async (request: InfoRequest, options: JobOptions = {}): Promise<InfoResult> => {
  const context = new JobContext(options);
  try {
    const chosen = await openChosen(context, request);
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
    const result = {
      target: request.target,
      image: summarise(chosen.found),
      stats: statsOf(context, image, chosen.traffic()),
      facts,
    };
    chosen.close();
    return result;
  } finally {
    await context.close();
  }
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

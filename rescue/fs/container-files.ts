import { toExtents } from '../bytes/runs.ts';
import type { ByteLength, Extent, Run } from '../units.ts';
import {
  CONTAINER_EXTENSION,
  CONTAINER_FOLDER,
  type ContainerFile,
  type ContainerTest,
  type Geometry,
} from './filesystem.ts';

/** How a container's files are called and put together: the same in every file system. */

/** `NAME.hfi`, `NAME.001`, `NAME.002`, ... */
export const fileNames = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => fileName(name, index));

export const fileName = (name: string, index: number): string =>
  index === 0 ? `${name}${CONTAINER_EXTENSION}` : `${name}.${String(index).padStart(3, '0')}`;

/** Whether a file of this name belongs to the container `name`. */
export const isFileOf = (name: string, file: string): boolean => {
  if (!file.startsWith(`${name}.`)) return false;
  const rest = file.slice(name.length);
  return rest === CONTAINER_EXTENSION || /^\.[0-9]{3,}$/.test(rest);
};

/** Cuts a list of runs into lists of at most `most` clusters each, in order. */
export const splitRuns = (runs: readonly Run[], most: number): Run[][] => {
  const parts: Run[][] = [];
  let room = 0;
  for (const run of runs) {
    for (let done = 0; done < run.length; ) {
      if (room === 0) {
        parts.push([]);
        room = most;
      }
      const length = Math.min(room, run.length - done);
      parts.at(-1)!.push({ start: run.start + done, length });
      room -= length;
      done += length;
    }
  }
  return parts;
};

/** `NAME.hfi` is a container's first file, `NAME.001` and so on the following ones. */
const FILE_NAME = /^([A-Za-z0-9._-]{1,64})\.(hfi|\d{3,5})$/;

/** A file in the containers' folder. */
export interface ListedFile {
  readonly name: string;
  readonly size: ByteLength;
  runs(): Iterable<Run>;
}

interface Part {
  readonly order: number;
  readonly file: ListedFile;
}

interface RealPart extends Part {
  readonly runs: readonly Run[];
  readonly extents: readonly Extent[];
}

type Places = Pick<Geometry, 'clusterSize' | 'clusterBase'>;

/** The files of one name that are a container's, in order. */
const partsOf = (
  name: string,
  parts: readonly Part[],
  places: Places,
  isContainer: ContainerTest,
): RealPart[] => {
  const real: RealPart[] = [];
  for (const part of [...parts].sort((a, b) => a.order - b.order)) {
    const runs = [...part.file.runs()];
    const extents = [...toExtents(runs, places.clusterSize, places.clusterBase)];
    const last = real.at(-1);
    const before = last?.order === part.order - 1 ? last.extents : undefined;
    if (isContainer(extents, before, name)) real.push({ ...part, runs, extents });
  }
  return real;
};

/**
 * The containers among the files of the folder, by name; files that are none of a container are not in it. A container some of
 * whose files are missing is listed with those that are there: whoever reads it finds the gap.
 */
export const containersAmong = (
  files: Iterable<ListedFile>,
  places: Places,
  isContainer: ContainerTest = () => true,
): ContainerFile[] => {
  const found = new Map<string, Part[]>();
  for (const file of files) {
    const match = FILE_NAME.exec(file.name);
    if (match === null) continue;
    const [, name, suffix] = match as unknown as [string, string, string];
    const order = suffix === 'hfi' ? 0 : Number(suffix);
    if (file.name !== fileName(name, order)) continue;
    const parts = found.get(name) ?? [];
    parts.push({ order, file });
    found.set(name, parts);
  }
  return [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, all]) => {
      const parts = partsOf(name, all, places, isContainer);
      if (parts.length === 0) return [];
      return [
        {
          name,
          paths: parts.map(({ file }) => `/${CONTAINER_FOLDER}/${file.name}`),
          runs: parts.flatMap((part) => part.runs),
          size: parts.reduce((sum, { file }) => sum + file.size, 0),
        },
      ];
    });
};

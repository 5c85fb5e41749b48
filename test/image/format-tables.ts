import { readFileSync } from 'node:fs';

export interface DocumentedField {
  readonly offset: number;
  /** `reserved` for bytes without a meaning. */
  readonly name: string;
  readonly type: string;
}

export interface DocumentedStruct {
  /** As `layout.ts` exports it. */
  readonly key: string;
  readonly size: number;
  readonly fields: readonly DocumentedField[];
}

export const FORMAT = readFileSync(new URL('../../rescue/image/FORMAT.md', import.meta.url), 'utf8');

/** Cells of the rows of the first table behind `start`, header and rule left out. */
export const rowsBehind = (text: string, start: number): string[][] => {
  const lines = text.slice(start).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const table = lines.slice(first);
  const length = table.findIndex((line) => !line.startsWith('|'));
  return table.slice(2, length < 0 ? undefined : length).map((line) =>
    line
      .replaceAll('\\|', '\0')
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('\0', '|').trim()),
  );
};

/** The table under the heading `title`. */
export const rowsUnder = (title: string, text = FORMAT): string[][] => {
  const at = text.search(new RegExp(`^#+ ${title}$`, 'm'));
  if (at < 0) throw new Error(`no heading "${title}"`);
  return rowsBehind(text, at);
};

/** The structures that a text shows: a line "*`KEY`, N bytes*", then a table of offset, name, type, ... */
export const documentedStructs = (text = FORMAT): DocumentedStruct[] =>
  [...text.matchAll(/^\*`(\w+)`, (\d+) bytes\*$/gm)].map((match) => ({
    key: match[1]!,
    size: Number(match[2]),
    fields: rowsBehind(text, match.index).map(([offset, name, type]) => ({
      offset: Number(offset),
      name: name!.replaceAll('`', ''),
      type: type!,
    })),
  }));

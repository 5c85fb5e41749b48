import { createHash } from 'node:crypto';

/** What an owner does to one file. */
export type Change =
  | { readonly do: 'write'; readonly path: string; readonly size: number; readonly seed: string }
  | { readonly do: 'delete'; readonly path: string }
  | { readonly do: 'rename'; readonly path: string; readonly to: string };

/** Numbers below 1 that depend on the seed alone. */
export const dice = (seed: string): (() => number) => {
  let count = 0;
  return () => {
    count += 1;
    return createHash('sha256').update(`${seed} ${count}`).digest().readUInt32LE() / 2 ** 32;
  };
};

export const FOLDERS = ['etc', 'srv', 'srv/deep', 'a folder with a longer name'];
const CHANGES = 12;
const LARGEST = 900 * 1024;

/** Files by path with their sizes: what the owner thinks is there. Changed by each plan. */
export type Ledger = Map<string, number>;

/** A day's changes, of files that are there and of new ones; altogether they stay below `budget` bytes. */
export const planChanges = (ledger: Ledger, budget: number, seed: string): Change[] => {
  const roll = dice(seed);
  const changes: Change[] = [];
  const newName = (): string => {
    const folder = FOLDERS[Math.floor(roll() * FOLDERS.length)]!;
    return `${folder}/file ${Math.floor(roll() * 1e9)}`;
  };
  const pick = (): string | undefined => [...ledger.keys()][Math.floor(roll() * ledger.size)];
  const drop = (path: string): void => {
    ledger.delete(path);
    changes.push({ do: 'delete', path });
  };
  for (let index = 0; index < CHANGES; index += 1) {
    const kind = roll();
    const known = pick();
    if (kind < 0.2 && known !== undefined) drop(known);
    else if (kind < 0.35 && known !== undefined) {
      const to = newName();
      ledger.set(to, ledger.get(known)!);
      ledger.delete(known);
      changes.push({ do: 'rename', path: known, to });
    } else {
      const path = kind < 0.6 && known !== undefined ? known : newName();
      const size = Math.floor(roll() ** 3 * LARGEST);
      ledger.set(path, size);
      changes.push({ do: 'write', path, size, seed: `${seed} ${index}` });
    }
  }
  const total = (): number => [...ledger.values()].reduce((sum, size) => sum + size, 0);
  while (total() > budget) drop([...ledger].reduce((a, b) => (b[1] > a[1] ? b : a))[0]);
  return changes;
};

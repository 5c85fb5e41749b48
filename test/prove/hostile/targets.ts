import type { Target } from './target.ts';
import { LADDER_TARGET, LOG_TARGET, SLOT_TARGET } from './targets/containers.ts';
import { EXT_TARGET } from './targets/ext.ts';
import { FAT_TARGET } from './targets/fat.ts';
import { LOCATOR_TARGET } from './targets/locators.ts';
import { NTFS_TARGET } from './targets/ntfs.ts';
import { STREAMS_TARGET } from './targets/streams.ts';
import { GPT_TARGET, MBR_TARGET } from './targets/tables.ts';
import { AID_TARGET, KERNEL_TARGET } from './targets/texts.ts';

/** Everything that reads bytes which somebody else may have written. */
export const TARGETS: readonly Target[] = [
  MBR_TARGET,
  GPT_TARGET,
  EXT_TARGET,
  FAT_TARGET,
  NTFS_TARGET,
  SLOT_TARGET,
  LOG_TARGET,
  STREAMS_TARGET,
  LOCATOR_TARGET,
  LADDER_TARGET,
  AID_TARGET,
  KERNEL_TARGET,
];

/** Throws for a name that no target has. */
export const targetNamed = (name: string): Target => {
  const target = TARGETS.find((each) => each.name === name);
  if (target === undefined) throw new Error(`${name}: there is no such target`);
  return target;
};

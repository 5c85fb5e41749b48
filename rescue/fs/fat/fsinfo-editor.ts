import { endOf } from '../../bytes/runs.ts';
import type { Run } from '../../units.ts';
import type { Editor } from '../patch.ts';
import {
  FIRST_DATA_ENTRY,
  FS_INFO,
  FSINFO_LEAD,
  FSINFO_STRUCTURE,
  FSINFO_TRAIL,
  FSINFO_UNKNOWN,
} from './layout.ts';
import type { FatVolume } from './volume.ts';

/**
 * Counts clusters that were taken or given back, and moves the place where a search begins if it was taken. What FSInfo does not know, or
 * what cannot be, is left as it is: these are hints.
 */
export const updateFsInfo = (
  volume: FatVolume,
  editor: Editor,
  change: { readonly taken: readonly Run[] } | { readonly given: readonly Run[] },
): void => {
  const offset = volume.parameters.fsInfo;
  if (offset === undefined) return;
  const info = editor.read(offset, FS_INFO.size);
  const sound =
    FS_INFO.get(info, 'FSI_LeadSig') === FSINFO_LEAD &&
    FS_INFO.get(info, 'FSI_StrucSig') === FSINFO_STRUCTURE &&
    FS_INFO.get(info, 'FSI_TrailSig') === FSINFO_TRAIL;
  if (!sound) return;
  const free = FS_INFO.get(info, 'FSI_Free_Count');
  const difference = 'taken' in change ? -countOf(change.taken) : countOf(change.given);
  const known = free !== FSINFO_UNKNOWN && free <= volume.clusterCount;
  if (known && free + difference >= 0 && free + difference <= volume.clusterCount)
    FS_INFO.set(info, 'FSI_Free_Count', free + difference);
  if ('taken' in change) {
    const next = FS_INFO.get(info, 'FSI_Nxt_Free') - FIRST_DATA_ENTRY;
    const run = change.taken.find((each) => each.start <= next && next < endOf(each));
    if (run !== undefined)
      FS_INFO.set(info, 'FSI_Nxt_Free', volume.entryOf(volume.hasCluster(endOf(run)) ? endOf(run) : 0));
  }
  editor.write(offset, info);
};

const countOf = (runs: readonly Run[]): number => runs.reduce((sum, { length }) => sum + length, 0);

import type { Editor } from '../patch.ts';
import { attributeRuns } from './file.ts';
import { AT_DATA, FILE_LOGFILE } from './layout.ts';
import { logState } from './log-file.ts';
import { RunMap } from './run-map.ts';
import type { NtfsVolume } from './volume.ts';

/** Windows' pages have 4 KiB, whatever the cluster; two of them are restart pages. */
const RESTART_PAGES = 8192;
const EMPTY = 0xff;

/**
 * Empties $LogFile as offline tools do: without a restart page there is nothing that Windows could redo over what was changed. The restart
 * pages are written, so that a log which Windows has used since is noticed; what is behind them is filled. A log that is empty
 * stays as it is.
 */
export const resetLog = (volume: NtfsVolume, editor: Editor): void => {
  if (logState(volume).kind === 'empty') return;
  const file = volume.file(FILE_LOGFILE);
  const { clusterSize } = volume;
  const map = RunMap.of(attributeRuns(file, AT_DATA, ''), file.record.place);
  const size = map.end * clusterSize;
  const head = Math.min(size, RESTART_PAGES);
  for (const { start, length } of map.extents(clusterSize, 0, head))
    editor.write(start, new Uint8Array(length).fill(EMPTY));
  for (const { start, length } of map.extents(clusterSize, head, size - head))
    editor.operate({ kind: 'fill', offset: start, length, byte: EMPTY });
  editor.barrier();
};

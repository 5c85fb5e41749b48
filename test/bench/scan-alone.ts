import { setTimeout as pause } from 'node:timers/promises';
import { openFile } from '../../rescue/device/file.ts';
import { readAheadBy } from '../../rescue/job/scan-ahead.ts';
import { BackwardScan } from '../../rescue/locate/scan.ts';

/**
 * `node scan-alone.ts FILE one|two`: the scan of a file at full depth, with one thread or with two, and nothing else: the time and the bytes that it
 * took as JSON. A second thread is listening already when the time begins.
 */
const [path = '', threads = ''] = process.argv.slice(2);
const device = openFile(path);
const readAhead = threads === 'two' ? readAheadBy(device.sharedReads!) : undefined;
while (readAhead?.isFree === false) await pause(5);
const startedAt = performance.now();
const scan = new BackwardScan({ device, rotational: false, readAhead });
while (scan.step() !== undefined);
const seconds = (performance.now() - startedAt) / 1000;
await readAhead?.close();
device.close();
process.stdout.write(`${JSON.stringify({ seconds, bytesRead: scan.bytesRead })}\n`);

import { buildBinary } from '../../build/binary.ts';
import { EXECUTABLE, isFresh } from './program.ts';

/** Before a bench: the executable is what will be measured, so it must be that of these sources. */
if (!isFresh(EXECUTABLE)) {
  process.stderr.write(`building ${EXECUTABLE}\n`);
  await buildBinary(EXECUTABLE);
}

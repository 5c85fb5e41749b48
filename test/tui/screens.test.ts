import test from 'ava';
import { SHOTS, takeShot } from './shots.ts';
import { mustShow } from './terminal.ts';

/** Every screen on a terminal, in both sizes, as `snapshots/*.txt`. */

for (const shot of SHOTS) {
  test.serial(shot.name, async (t) => {
    const terminal = await takeShot(t, shot, { columns: 80, rows: 24 });
    await mustShow(t, terminal, `${shot.name}-80x24`, shot.settled);
    terminal.resize(132, 43);
    await mustShow(t, terminal, `${shot.name}-132x43`, shot.settled);
  });
}

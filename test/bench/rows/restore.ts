import type { RestoreResult } from '../../../rescue/job/results.ts';
import { overwriteOnly } from '../../support/noise.ts';
import { bringTo } from '../cache.ts';
import { damage } from '../damage.ts';
import { extentsOf, type Imaged, type Stage, storedIn } from '../stage.ts';
import { ddOfMoved } from './moved.ts';
import type { Contestant, Outcome, Row } from './row.ts';

const SHARE = 0.01;

/** `holdfast restore` on a volume that `spoil` changed; then the volume must be sound and every file as it was. */
const ours = (
  stage: Stage,
  label: string,
  words: readonly string[],
  spoil: (imaged: Imaged) => void,
  note: (outcome: Outcome) => void = () => {},
): Contestant => ({
  label,
  run: async (cache) => {
    const imaged = await stage.imaged();
    spoil(imaged);
    const measured = await stage.holdfast(imaged.file, cache, [
      'restore',
      '--image',
      imaged.image.id,
      '--yes',
      ...words,
    ]);
    const { image } = JSON.parse(measured.stdout) as RestoreResult;
    if (image.id !== imaged.image.id) throw new Error(`restored ${image.id}, not ${imaged.image.id}`);
    await stage.check(imaged.file);
    const outcome = { ...measured, stored: storedIn(imaged.image) };
    note(outcome);
    return outcome;
  },
});

/** All rows that restore: they share their peers. */
export const restoreRows = (stage: Stage): Row[] => {
  const { peer } = stage.subject.kind;
  const bytes = stage.subject.usedBytes;
  let full: Outcome | undefined;
  let fast: Outcome | undefined;
  const destroy = ({ file, image }: Imaged): void => stage.destroy(file, image);
  const oursFull = ours(stage, 'holdfast restore', [], destroy, (outcome) => {
    full = outcome;
  });
  const oursFast = ours(
    stage,
    'holdfast restore --no-verify-after',
    ['--no-verify-after'],
    destroy,
    (outcome) => {
      fast = outcome;
    },
  );
  const theirs: Contestant = {
    label: peer.labels.restore,
    run: async (cache) => {
      const image = await stage.peerImage();
      const target = stage.target();
      stage.destroy(target);
      bringTo(cache, image);
      const measured = await stage.peer(target, cache, `${peer.restore}; sync "$2"; sync "$4"`, image);
      await stage.check(target);
      return measured;
    },
  };
  const spoilSome = ({ file, image }: Imaged): void => {
    const extents = damage(stage.subject, extentsOf(image), SHARE);
    overwriteOnly(file, extents, 'nightly');
  };
  return [
    {
      id: 'restore',
      bytes,
      contestants: {
        ours: oursFull,
        peer: theirs,
        dd: ddOfMoved(stage, 'dd of what restore moved', () => full),
      },
    },
    {
      id: 'restore-fast',
      bytes,
      contestants: {
        ours: oursFast,
        peer: theirs,
        dd: ddOfMoved(stage, 'dd of what that moved', () => fast),
      },
    },
    {
      id: 'nightly',
      bytes,
      contestants: {
        ours: ours(stage, 'holdfast restore, 1 % differs', [], spoilSome),
        full: oursFull,
        once: {
          label: 'dd, reading the used bytes',
          run: (cache) => stage.peer(stage.packed(), cache, 'dd if="$2" of=/dev/null bs=1M status=none', ''),
        },
      },
    },
  ];
};

import type { CreateResult, VerifyResult } from '../../../rescue/job/results.ts';
import { mustRun } from '../../support/run.ts';
import { type Imaged, type Stage, storedIn } from '../stage.ts';
import type { Contestant, Outcome, Row } from './row.ts';

/**
 * `holdfast create` on a fresh copy of the volume. The reading back of what was written is within the time. Afterwards the file system must
 * be sound, and `verify` content unless the image is going to be restored, which proves more.
 */
const ours = (
  stage: Stage,
  label: string,
  words: readonly string[],
  willBeRestored: boolean,
  use: (imaged: Imaged) => void,
): Contestant => ({
  label,
  run: async (cache): Promise<Outcome> => {
    const file = stage.copy(label.replaceAll(/\W+/g, '-'));
    const measured = await stage.holdfast(file, cache, ['create', ...words]);
    const { image } = JSON.parse(measured.stdout) as CreateResult;
    await stage.judge(file);
    if (!willBeRestored) {
      const verified = await stage.holdfast(file, 'cold', ['verify', '--image', image.id]);
      const { problems } = JSON.parse(verified.stdout) as VerifyResult;
      if (problems.length > 0) throw new Error(`verify found ${JSON.stringify(problems)}`);
    }
    use({ file, image });
    return { ...measured, stored: storedIn(image) };
  },
});

/** `willBeRestored`: the rows that restore what this one makes play as well. */
export const createRow = (stage: Stage, willBeRestored: boolean): Row => ({
  id: 'create',
  bytes: stage.subject.usedBytes,
  contestants: {
    ours: ours(stage, 'holdfast create', [], willBeRestored, (imaged) => stage.keep(imaged)),
    peer: {
      label: stage.subject.kind.peer.labels.create,
      run: async (cache) => {
        const image = stage.peerImagePath;
        const script = `${stage.subject.kind.peer.create}; sync "$3"`;
        const measured = await stage.peer(stage.subject.pristine, cache, script, image);
        mustRun('zstd', ['-t', '-q', image]);
        stage.keepPeerImage();
        return { ...measured, stored: stage.sizeOf(image) };
      },
    },
  },
});

/** The peer's stored image must be what is in its compressed one, which the restore rows check, but for what differs by chance. */
const mustMatchCompressed = async (stage: Stage, image: string): Promise<void> => {
  const stored = stage.sizeOf(image);
  const whole = await stage.peerLength();
  if (stored !== whole) throw new Error(`the peer stored ${stored} bytes, ${whole} when compressing`);
};

export const storeRow = (stage: Stage): Row => ({
  id: 'store',
  bytes: stage.subject.usedBytes,
  contestants: {
    ours: ours(stage, 'holdfast create --codec store', ['--codec', 'store'], false, ({ file }) =>
      stage.remove(file),
    ),
    peer: {
      label: stage.subject.kind.peer.labels.store,
      run: async (cache) => {
        const image = stage.path('peer.img');
        const script = `${stage.subject.kind.peer.store}; sync "$3"`;
        const measured = await stage.peer(stage.subject.pristine, cache, script, image);
        await mustMatchCompressed(stage, image);
        const stored = stage.sizeOf(image);
        stage.remove(image);
        return { ...measured, stored };
      },
    },
    dd: {
      label: 'dd of the used bytes to a file',
      run: async (cache) => {
        const copy = stage.path('dd.img');
        const script = 'dd if="$2" of="$3" bs=1M conv=fsync status=none';
        const measured = await stage.peer(stage.packed(), cache, script, copy);
        mustRun('cmp', [stage.packed(), copy]);
        const stored = stage.sizeOf(copy);
        stage.remove(copy);
        return { ...measured, stored };
      },
    },
  },
});

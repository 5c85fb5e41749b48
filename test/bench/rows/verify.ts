import type { VerifyResult } from '../../../rescue/job/results.ts';
import { bringTo } from '../cache.ts';
import { alone } from '../jobs.ts';
import type { Stage } from '../stage.ts';
import type { Row } from './row.ts';

/** `holdfast verify` beside `zstd -t` of the peer's image, which looks at zstd's checksum and nothing else. */
export const verifyRow = (stage: Stage): Row => ({
  id: 'verify',
  bytes: stage.subject.usedBytes,
  contestants: {
    ours: {
      label: 'holdfast verify',
      run: async (cache) => {
        const { file, image } = await stage.imaged();
        const measured = await stage.holdfast(file, cache, ['verify', '--image', image.id]);
        const result = JSON.parse(measured.stdout) as VerifyResult;
        if (result.image.id !== image.id || result.problems.length > 0)
          throw new Error(`verify found ${JSON.stringify(result.problems)} in ${result.image.id}`);
        return measured;
      },
    },
    peer: {
      label: "zstd -t of the peer's image",
      run: async (cache) => {
        const image = await stage.peerImage();
        bringTo(cache, image);
        return await alone('zstd -t -q "$1"', [image]);
      },
    },
  },
});

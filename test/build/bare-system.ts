import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Cleanup } from '../support/cleanup.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/**
 * A folder for `chroot` that holds the program as `/holdfast`, the shared libraries that it is linked with and `/proc`,
 * where it reads who has a target mounted. Nothing else.
 */
export const bareSystem = (cleanup: Cleanup, program: string): string => {
  const root = temporaryFolder(cleanup);
  copyFileSync(program, join(root, 'holdfast'));
  for (const [, library] of mustRun('ldd', [program]).stdout.matchAll(/(\/\S+) \(0x/g)) {
    mkdirSync(dirname(join(root, library!)), { recursive: true });
    copyFileSync(library!, join(root, library!));
  }
  mkdirSync(join(root, 'proc'));
  mustRun('mount', ['-t', 'proc', 'proc', join(root, 'proc')]);
  cleanup.teardown(() => mustRun('umount', [join(root, 'proc')]));
  return root;
};

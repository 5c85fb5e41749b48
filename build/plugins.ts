import type { Plugin } from 'esbuild';

/**
 * esbuild plugins for packages that cannot be bundled as they are (computed `require`, files beside the source).
 * Each says which package needs it and why.
 */
export const PLUGINS: readonly Plugin[] = [];

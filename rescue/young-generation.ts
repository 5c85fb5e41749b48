import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the memory in which V8 makes new objects at the size it starts with. Left alone it grows to 64 MiB of garbage for each
 * thread, as much as everything that this program holds (invariant 8). It is for the whole process, threads that are
 * started later included, so it must be imported before anything else. `--max-semi-space-size` says the same, but counts
 * only on the command line of node.
 */
setFlagsFromString('--semi-space-growth-factor=1');

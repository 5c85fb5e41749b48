/** The boot tests take minutes each and need more programs: `npm run test:boot`, not `npm test`. One at a time. */
export default {
  extensions: ['ts'],
  files: ['test/boot/**/*.test.ts'],
  timeout: '30m',
  concurrency: 1,
};

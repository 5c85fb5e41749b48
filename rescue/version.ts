/** The same as in package.json (a test holds them together); a file of its own, so that the bundle needs no JSON. */
export const VERSION = '0.1.0';

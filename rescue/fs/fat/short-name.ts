import { refused } from '../../errors.ts';

/** fatgen103 "The Basis-Name Generation Algorithm": what a short name may have beside capital letters and digits. */
const IN_SHORT = /[^A-Z0-9$%'\-_@~`!(){}^#&]/g;
/** Short names of one basis that are tried: `~1` to `~999999`. */
const TAILS_MOST = 999_999;

/** The parts of a name before and behind its last dot; dots in front count for nothing. */
const partsOf = (name: string): { readonly base: string; readonly extension: string } => {
  const bare = name.replace(/^\.+/, '');
  const dot = bare.lastIndexOf('.');
  return dot < 0
    ? { base: bare, extension: '' }
    : { base: bare.slice(0, dot), extension: bare.slice(dot + 1) };
};

const packed = (base: string, extension: string): Uint8Array =>
  Buffer.from(base.padEnd(8) + extension.padEnd(3), 'latin1');

/**
 * The eleven bytes of a short name for a long one of ASCII characters: the name itself if it fits and is not `taken`, else the first of
 * `BASIS~1`, `BASIS~2`, ... that is not. Throws `refused` (`claim.short-names`) if all are.
 */
export const shortNameFor = (name: string, taken: (shortName: Uint8Array) => boolean): Uint8Array => {
  const { base, extension } = partsOf(name.toUpperCase());
  const plain = base.replace(IN_SHORT, '');
  const suffix = extension.replace(IN_SHORT, '').slice(0, 3);
  const whole = name.toUpperCase() === (suffix === '' ? plain : `${plain}.${suffix}`) && plain.length <= 8;
  if (whole && !taken(packed(plain, suffix))) return packed(plain, suffix);
  for (let number = 1; number <= TAILS_MOST; number += 1) {
    const tail = `~${number}`;
    const tried = packed(plain.slice(0, 8 - tail.length) + tail, suffix);
    if (!taken(tried)) return tried;
  }
  throw refused('all short names that could stand for it are taken', {
    code: 'claim.short-names',
    structure: `FAT name ${name}`,
    wayOut: 'Choose another name',
  });
};

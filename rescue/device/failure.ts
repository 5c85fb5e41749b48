import { type HoldfastError, ioError, refused, usage } from '../errors.ts';
import type { ByteOffset } from '../units.ts';

/** The errno name of a failed system call (`EIO`), if `error` is one. */
export const errnoOf = (error: unknown): string | undefined => {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
};

const EXPLANATIONS: Readonly<Record<string, string>> = {
  EIO: 'the medium reports an error',
  ENXIO: 'the device is gone',
  ENODEV: 'the device is gone',
  ENOMEDIUM: 'there is no medium in the drive',
  ENOSPC: 'no space is left',
  EDQUOT: 'the quota is used up',
  EROFS: 'the device is read-only',
  EFBIG: 'the file would be too large for its file system',
};

/**
 * A read, write or flush that failed: an `io` error whose code is the errno's name. Anything that is not a failed
 * system call is a fault of this program and is returned as it is.
 */
export const ioFailure = (action: string, name: string, error: unknown, offset?: ByteOffset): unknown => {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  return ioError(`cannot ${action} ${name}: ${EXPLANATIONS[errno] ?? errno}`, {
    code: errno,
    ...(offset === undefined ? {} : { offset }),
    cause: error,
  });
};

/** Way out of every refusal that is about a partition in use. */
export const UNMOUNT = 'Unmount it, or boot the rescue medium and run the command from there.';

/** A target that could not be opened: `usage` or `refused` where the person can do something about it, else `io`. */
export const openFailure = (path: string, error: unknown): HoldfastError | unknown => {
  switch (errnoOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return usage(`${path} does not exist`, { code: 'target.missing', cause: error });
    case 'EISDIR':
      return usage(`${path} is a directory`, { code: 'target.directory', cause: error });
    case 'ENAMETOOLONG':
    case 'ELOOP':
      return usage(`${path} cannot be followed`, { code: 'target.missing', cause: error });
    case 'EBUSY':
    case 'ETXTBSY':
      return refused(`${path} is in use`, { code: 'in-use', wayOut: UNMOUNT, cause: error });
    case 'EROFS':
      return refused(`${path} is read-only`, {
        code: 'read-only',
        wayOut: 'Release the write protection, or name another target.',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
      return refused(`${path} may not be opened`, {
        code: 'no-permission',
        wayOut: 'Run the command as root, and see that the file is not immutable.',
        cause: error,
      });
    case 'ENOMEDIUM':
      return refused(`${path} has no medium`, {
        code: 'no-medium',
        wayOut: 'Insert one.',
        cause: error,
      });
    default:
      return ioFailure('open', path, error);
  }
};

/** The program that does the same for a file system, as bash scripts. */
export interface Peer {
  readonly name: string;
  /** `$1` a file for its log, `$2` the device, `$3` the image that is to be made: compressed. */
  readonly create: string;
  /** The same, not compressed. */
  readonly store: string;
  /** As for `create`; the image is there. */
  readonly restore: string;
  /** What they are called in the table. */
  readonly labels: { readonly create: string; readonly store: string; readonly restore: string };
}

/** partclone's program for a file system. */
export const partclone = (program: string): Peer => ({
  name: 'partclone',
  create: `${program} -c -q -L "$1" -s "$2" -o - | zstd -1 -T2 -q -f -o "$3"`,
  store: `${program} -c -q -L "$1" -s "$2" -O "$3"`,
  restore: 'zstd -d -q -c "$3" | partclone.restore -q -L "$1" -s - -O "$2"',
  labels: {
    create: `${program} | zstd -1 -T2`,
    store: `${program} -c`,
    restore: 'zstd -d | partclone.restore',
  },
});

export const ntfsclone: Peer = {
  name: 'ntfsclone',
  create: 'ntfsclone -q --save-image -o - "$2" 2>"$1" | zstd -1 -T2 -q -f -o "$3"',
  store: 'rm -f "$3"; ntfsclone -q --save-image -o "$3" "$2" >"$1" 2>&1',
  restore: 'zstd -d -q -c "$3" | ntfsclone -q --restore-image --overwrite "$2" - >"$1" 2>&1',
  labels: {
    create: 'ntfsclone -s | zstd -1 -T2',
    store: 'ntfsclone --save-image',
    restore: 'zstd -d | ntfsclone -r',
  },
};

import { unsupported } from '../../errors.ts';

/**
 * Every feature that Debian 12's mke2fs (e2fsprogs 1.47.0) can name, with what Holdfast does about it. The README
 * beside this file shows the same table; a test keeps the two alike. Names and bits: super.rst "Super Block
 * Feature Compatible", "Incompatible", "Readonly-Compatible"; names as in mke2fs(8) and dumpe2fs(8).
 */
export type FeatureWord = 'compat' | 'incompat' | 'ro_compat';
/** `state`: understood, but set only while the volume must be left alone (see state.ts). */
export type FeatureSupport = 'supported' | 'refused' | 'state';

interface Feature {
  readonly word: FeatureWord;
  readonly bit: number;
  readonly support: FeatureSupport;
  readonly why: string;
}

const feature = (word: FeatureWord, bit: number, support: FeatureSupport, why: string): Feature => ({
  word,
  bit,
  support,
  why,
});

export const FEATURES = {
  dir_prealloc: feature('compat', 0x1, 'supported', 'a hint to the kernel only'),
  imagic_inodes: feature('compat', 0x2, 'supported', 'an inode flag; kept as it is'),
  has_journal: feature('compat', 0x4, 'supported', 'internal journals; one on another device is refused'),
  ext_attr: feature('compat', 0x8, 'supported', 'attribute blocks are read and kept'),
  resize_inode: feature('compat', 0x10, 'supported', 'its blocks are in use like any other'),
  dir_index: feature('compat', 0x20, 'supported', 'htree directories'),
  lazy_bg: feature('compat', 0x40, 'refused', 'an experiment that no kernel knows any more'),
  snapshot_bitmap: feature('compat', 0x100, 'refused', 'belongs to the ext4 snapshot patches'),
  sparse_super2: feature('compat', 0x200, 'supported', 'at most two backup superblocks'),
  fast_commit: feature('compat', 0x400, 'supported', 'once the journal is empty its fast commit area is too'),
  stable_inodes: feature('compat', 0x800, 'supported', 'inode numbers are never changed here'),
  orphan_file: feature('compat', 0x1000, 'supported', 'the file must hold no orphans'),

  filetype: feature('incompat', 0x2, 'supported', 'type byte in directory entries'),
  compression: feature('incompat', 0x1, 'refused', 'never in a released kernel'),
  needs_recovery: feature('incompat', 0x4, 'state', 'the journal has to be replayed first'),
  journal_dev: feature('incompat', 0x8, 'refused', 'a journal device, not a file system'),
  meta_bg: feature('incompat', 0x10, 'supported', 'descriptor blocks spread over the volume'),
  extent: feature('incompat', 0x40, 'supported', 'extent trees'),
  '64bit': feature('incompat', 0x80, 'supported', 'long group descriptors'),
  mmp: feature('incompat', 0x100, 'supported', 'only while the MMP block says that nobody uses the volume'),
  flex_bg: feature('incompat', 0x200, 'supported', 'bitmaps and inode tables outside their own group'),
  ea_inode: feature('incompat', 0x400, 'supported', 'attribute values in inodes of their own'),
  dirdata: feature('incompat', 0x1000, 'refused', 'Lustre only; no released kernel reads it'),
  metadata_csum_seed: feature('incompat', 0x2000, 'supported', 'checksums independent of the UUID'),
  large_dir: feature('incompat', 0x4000, 'supported', 'three-level htrees, directories above 2 GiB'),
  inline_data: feature('incompat', 0x8000, 'supported', 'small files and folders inside the inode'),
  encrypt: feature('incompat', 0x10000, 'supported', 'content and names are kept as they are, encrypted'),
  casefold: feature('incompat', 0x20000, 'supported', 'names are compared byte by byte here'),

  sparse_super: feature('ro_compat', 0x1, 'supported', 'backup superblocks in few groups'),
  large_file: feature('ro_compat', 0x2, 'supported', 'files above 2 GiB'),
  huge_file: feature('ro_compat', 0x8, 'supported', 'block counts above 2^32 sectors'),
  uninit_bg: feature('ro_compat', 0x10, 'supported', 'group descriptor checksums, groups never written'),
  dir_nlink: feature('ro_compat', 0x20, 'supported', 'more than 65000 folders in one'),
  extra_isize: feature('ro_compat', 0x40, 'supported', 'inode fields beyond the first 128 bytes'),
  has_snapshot: feature('ro_compat', 0x80, 'refused', 'belongs to the ext4 snapshot patches'),
  quota: feature('ro_compat', 0x100, 'refused', 'the container would have to be counted in the quota files'),
  bigalloc: feature('ro_compat', 0x200, 'supported', 'clusters of several blocks'),
  metadata_csum: feature('ro_compat', 0x400, 'supported', 'crc32c on all metadata'),
  replica: feature('ro_compat', 0x800, 'refused', 'never in a released kernel'),
  'read-only': feature('ro_compat', 0x1000, 'refused', 'the owner has declared that nothing may be written'),
  project: feature(
    'ro_compat',
    0x2000,
    'refused',
    'the container would have to be counted in the quota files',
  ),
  shared_blocks: feature(
    'ro_compat',
    0x4000,
    'refused',
    'blocks belong to several files; nothing may be written',
  ),
  verity: feature('ro_compat', 0x8000, 'supported', 'hash trees behind the end of files are kept'),
  orphan_present: feature('ro_compat', 0x10000, 'state', 'the orphan file is to be cleaned up first'),
} as const satisfies Record<string, Feature>;

export type FeatureName = keyof typeof FEATURES;
export type FeatureWords = Readonly<Record<FeatureWord, number>>;

const WORDS: readonly FeatureWord[] = ['compat', 'incompat', 'ro_compat'];

/** Names of all bits that are set and known, in table order. */
export const featureNames = (words: FeatureWords): FeatureName[] =>
  (Object.keys(FEATURES) as FeatureName[]).filter(
    (name) => (words[FEATURES[name].word] & FEATURES[name].bit) !== 0,
  );

/** Bits that the table does not know, spelled like dumpe2fs does: `FEATURE_I31`, ... */
export const unknownFeatures = (words: FeatureWords): string[] => {
  const letters = { compat: 'C', incompat: 'I', ro_compat: 'R' };
  return WORDS.flatMap((word) => {
    const known = Object.values<Feature>(FEATURES).filter((each) => each.word === word);
    const mask = known.reduce((bits, each) => bits | each.bit, 0);
    const bits = [...Array(32).keys()].filter((bit) => (((words[word] & ~mask) >>> bit) & 1) === 1);
    return bits.map((bit) => `FEATURE_${letters[word]}${bit}`);
  });
};

/** Throws `unsupported` (`ext.feature`) that names every feature that is refused or unknown. */
export const requireSupported = (words: FeatureWords, offset: number): void => {
  const refused = featureNames(words).filter((name) => FEATURES[name].support === 'refused');
  const unknown = unknownFeatures(words);
  if (refused.length + unknown.length === 0) return;
  const reasons = [
    ...refused.map((name) => `${name} (${FEATURES[name].why})`),
    ...unknown.map((name) => `${name} (unknown)`),
  ];
  throw unsupported(`has features that Holdfast does not handle: ${reasons.join(', ')}`, {
    code: 'ext.feature',
    structure: 'ext superblock',
    offset,
    found: [...refused, ...unknown].join(' '),
  });
};

import { createHash } from 'node:crypto';
import { parseKernelCommandLine } from '../../../../rescue/cli/kernel-cmdline.ts';
import { aidOf, formatAid, isAidFile, MAX_AID_LENGTH, parseAid } from '../../../../rescue/locate/aid-file.ts';
import { Outcome } from '../outcome.ts';
import { anyParser, type Target } from '../target.ts';
import { textParser } from '../text-parser.ts';

const LINES = [
  'BOOT_IMAGE=/boot/vmlinuz quiet splash console=ttyS0,115200n8',
  'holdfast.mode=unattended holdfast.action=restore holdfast.target=auto holdfast.image=latest',
  'holdfast.mode=tui holdfast.target=PARTUUID=5eaf00d5-01 holdfast.countdown=30 holdfast.on-fail=shell',
  'holdfast.target="LABEL=a name" "holdfast.log=LABEL=LOGS:/run.log" holdfast.on_success=poweroff',
  'holdfast.target=/dev/disk/by-id/x holdfast.image=0123abcd holdfast.log=/dev/sdb1:/log holdfast.target=UUID=1',
  'holdfast.mode=unattended holdfast.target=SERIAL=S1 holdfast.action=verify holdfast.action=create',
];

const WORDS = [
  ...'holdfast. mode= action= target= image= countdown= on_success= on_fail= log= tui unattended shell'.split(
    ' ',
  ),
  ...'auto /dev/ PARTUUID= UUID= LABEL= SERIAL= latest factory none restore 3600 99999999999999999999'.split(
    ' ',
  ),
  '"',
  '""',
  '=',
  '\n',
  '\0',
  ' ',
  '-',
  '_',
  '\u2028',
  '\ud800',
  '\x1b[2J',
];

export const KERNEL_TARGET: Target = {
  name: 'kernel-cmdline',
  covers: 'kernel command line',
  open: () =>
    anyParser(
      textParser({ seeds: LINES, words: WORDS, longest: 4096 }, (text) => {
        const { options, errors } = parseKernelCommandLine(text);
        const outcome = new Outcome();
        for (const error of errors) outcome.note(`${error.detail.code}:${error.detail.structure ?? ''}`);
        for (const [name, value] of Object.entries(options))
          outcome.note(`${name}:${typeof value === 'object' ? Object.values(value)[0] : typeof value}`);
        if (options.countdown < 0 || options.countdown > 3600) throw new Error('a countdown out of range');
        return outcome.toString();
      }),
    ),
};

const BEGIN = '-----BEGIN HOLDFAST RECOVERY AID-----\n';
const END = '-----END HOLDFAST RECOVERY AID-----';

/** With the checksum of what it says now: what a forger would write. */
const resealed = (text: string): string => {
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END);
  if (from < 0 || to < from) return text;
  const json = text.slice(from + BEGIN.length, to);
  const digest = createHash('sha256').update(json, 'utf8').digest('hex');
  return text.replace(/^SHA-256 .*$/m, `SHA-256 ${digest}`);
};

const anAid = (images: number): string =>
  formatAid(
    {
      format: 1,
      disk: { size: 2 ** 30, sectorSize: 512, model: 'a disk', serial: null },
      partition: { offset: 2 ** 20, size: 2 ** 29, number: 1, uuid: 'aa-bb' },
      fileSystem: { kind: 'ext4', label: 'root', uuid: '0f8a7b6c-1d2e-4f30-9a5b-6c7d8e9f0a1b' },
      images: Array.from({ length: images }, (_, index) => ({
        id: `${index}`.repeat(32),
        generation: 1,
        sequence: index + 1,
        kind: 'user',
        name: `image ${index}`,
        created: 1_700_000_000,
        slotSize: 65536,
        anchors: [2 ** 28, 2 ** 27],
        extentCount: 2,
        extents: [
          [2 ** 28, 65536 * 8],
          [2 ** 27, 65536],
        ],
        extentsDigest: 'ab'.repeat(32),
      })),
    },
    1_700_000_000,
  );

const AID_WORDS = [
  ...'null true -1 0 1.5 1e308 9007199254740993 {} [] [[]] "" "__proto__" "format" "anchors" "extents" 512'.split(
    ' ',
  ),
  BEGIN,
  `${END}\n`,
  '\r\n',
  'SHA-256 ',
  '\\u0000',
  '\ud83d',
];

export const AID_TARGET: Target = {
  name: 'aid',
  covers: 'recovery aid file',
  open: () =>
    anyParser(
      textParser(
        { seeds: [anAid(1), anAid(3)], words: AID_WORDS, longest: 32 * 1024, seal: resealed },
        (text) => {
          const bytes = Buffer.from(text, 'utf8');
          const outcome = new Outcome();
          if (!isAidFile(bytes) || bytes.length > MAX_AID_LENGTH) return 'other';
          const parsed = parseAid(bytes);
          if ('fault' in parsed)
            outcome.note(parsed.fault.replaceAll(/\d+/g, 'N').replaceAll(' ', '-').slice(0, 60));
          else {
            const aid = aidOf(parsed);
            outcome.note(`images-${aid.images.length}`);
            // What was understood can be written again.
            outcome.try(() => formatAid(parsed, 0));
          }
          return outcome.toString();
        },
      ),
    ),
};

import { isGuid } from './guid.ts';

/** Partition types that both schemes know (UEFI Discoverable Partitions; Microsoft and Linux type lists). */
const PAIRS: readonly (readonly [mbr: string, gpt: string])[] = [
  ['83', '0fc63daf-8483-4772-8e79-3d69d8477de4'], // Linux file system
  ['82', '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f'], // Linux swap
  ['8e', 'e6d6d379-f507-44c2-a23c-238f2a3df928'], // Linux LVM
  ['fd', 'a19d880f-05fc-4d3b-a006-743f0f84911e'], // Linux RAID
  ['ef', 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'], // EFI system partition
  ['07', 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'], // Microsoft basic data
  ['0c', 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  ['0b', 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  ['0e', 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  ['06', 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
];
const LINUX = PAIRS[0]!;
const BYTE = /^(0x)?[0-9a-f]{1,2}$/;

/** `83`, `0x83` -> `83`; a GUID in lower case; null for anything else, extended and unused types included. */
export const normaliseType = (type: string | null): string | null => {
  if (type === null) return null;
  const text = type.toLowerCase();
  if (isGuid(text)) return text;
  if (!BYTE.test(text)) return null;
  const byte = text.replace('0x', '').padStart(2, '0');
  return ['00', '05', '0f', '85', 'ee'].includes(byte) ? null : byte;
};

/** The type in the GPT's terms; a Linux file system when there is no counterpart. */
export const gptType = (type: string | null): string => {
  const known = normaliseType(type);
  if (known !== null && isGuid(known)) return known;
  return (PAIRS.find(([mbr]) => mbr === known) ?? LINUX)[1];
};

/** The type byte in the MBR's terms; 0x83 when there is no counterpart. */
export const mbrType = (type: string | null): number => {
  const known = normaliseType(type);
  const text =
    known !== null && !isGuid(known) ? known : (PAIRS.find(([, gpt]) => gpt === known) ?? LINUX)[0];
  return Number.parseInt(text, 16);
};

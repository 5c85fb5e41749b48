import type { Partition } from '../../rescue/partition/model.ts';

/** A Linux partition as a table with sectors of 512 bytes has it; `start` and length in sectors. */
export const linuxPartition = (number: number, start: number, sectors: number): Partition => ({
  number,
  start: start * 512,
  size: sectors * 512,
  type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  uuid: `00000000-0000-4000-8000-00000000000${number}`,
  name: `p${number}`,
  bootable: false,
  attributes: '0000000000000000',
  logical: false,
});

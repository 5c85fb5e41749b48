import type { MemoryDevice } from '../../../rescue/device/memory.ts';
import { openContent } from '../../../rescue/fs/ntfs/content.ts';
import {
  AT_DATA,
  FILE_LOGFILE,
  NO_CLIENT,
  RESTART_AREA,
  RESTART_PAGE,
  RESTART_VOLUME_IS_CLEAN,
} from '../../../rescue/fs/ntfs/layout.ts';
import { KIB, MIB } from '../../../rescue/units.ts';
import { addUpdateSequence, Damaged } from './damage.ts';

interface Page {
  readonly lsn?: bigint;
  readonly open?: boolean;
  readonly clean?: boolean;
  readonly major?: number;
  readonly minor?: number;
  readonly magic?: string;
}

/** A restart page as Windows writes them: 4 KiB, one client. */
export const restartPage = ({
  lsn = 100n,
  open = true,
  clean = false,
  major = 1,
  minor = 1,
  magic = 'RSTR',
}: Page): Uint8Array => {
  const page = new Uint8Array(4 * KIB);
  const area = 0x30;
  page.set(Buffer.from(magic));
  RESTART_PAGE.set(page, 'usa_ofs', 0x1e);
  RESTART_PAGE.set(page, 'usa_count', 9);
  RESTART_PAGE.set(page, 'system_page_size', 4 * KIB);
  RESTART_PAGE.set(page, 'log_page_size', 4 * KIB);
  RESTART_PAGE.set(page, 'restart_area_offset', area);
  RESTART_PAGE.set(page, 'major_ver', major);
  RESTART_PAGE.set(page, 'minor_ver', minor);
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(lsn);
  if (magic === 'CHKD') RESTART_PAGE.set(page, 'chkdsk_lsn', bytes);
  RESTART_AREA.set(page, 'current_lsn', bytes, area);
  RESTART_AREA.set(page, 'log_clients', 1, area);
  RESTART_AREA.set(page, 'client_free_list', open ? NO_CLIENT : 0, area);
  RESTART_AREA.set(page, 'client_in_use_list', open ? 0 : NO_CLIENT, area);
  RESTART_AREA.set(page, 'flags', clean ? RESTART_VOLUME_IS_CLEAN : 0, area);
  RESTART_AREA.set(page, 'seq_number_bits', 67 - 22, area);
  RESTART_AREA.set(page, 'restart_area_length', 0x40 + 0xa0, area);
  RESTART_AREA.set(page, 'client_array_offset', 0x40, area);
  const size = Buffer.alloc(8);
  size.writeBigInt64LE(BigInt(2 * MIB));
  RESTART_AREA.set(page, 'file_size', size, area);
  RESTART_AREA.set(page, 'log_record_header_length', 0x30, area);
  RESTART_AREA.set(page, 'log_page_data_offset', 0x40, area);
  // The client's record: no neighbours, its name.
  page.set([0xff, 0xff, 0xff, 0xff], area + 0x40 + 0x10);
  page.set([8], area + 0x40 + 0x1c);
  page.set(Buffer.from('NTFS', 'utf16le'), area + 0x40 + 0x20);
  page.set([7, 0], 0x1e);
  addUpdateSequence(page);
  return page;
};

/** A volume whose $LogFile begins with these pages; `undefined` leaves what is there. */
export const withLog = (base: MemoryDevice, ...pages: (Uint8Array | undefined)[]): MemoryDevice => {
  const damaged = new Damaged(base);
  const log = openContent(damaged.volume.file(FILE_LOGFILE), AT_DATA, '')!;
  pages.forEach((page, index) => {
    if (page !== undefined) damaged.device.write(log.position(index * 4 * KIB), page);
  });
  return damaged.device;
};

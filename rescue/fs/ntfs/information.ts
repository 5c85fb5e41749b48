import { corrupt } from '../../errors.ts';
import { utf16 } from './attribute.ts';
import { AT_VOLUME_INFORMATION, AT_VOLUME_NAME, FILE_VOLUME, VOLUME_INFORMATION } from './layout.ts';
import type { Place } from './update-sequence.ts';
import type { NtfsVolume } from './volume.ts';

export interface VolumeInformation {
  readonly label: string;
  readonly major: number;
  readonly minor: number;
  /** VOLUME_* bits. */
  readonly flags: number;
  readonly place: Place;
}

/** Reads $Volume. Throws `corrupt` (`ntfs.missing`, ...), `io`. */
export const volumeInformation = (volume: NtfsVolume): VolumeInformation => {
  const file = volume.file(FILE_VOLUME);
  const name = file.find(AT_VOLUME_NAME, '');
  const information = file.find(AT_VOLUME_INFORMATION, '');
  const { place } = file.record;
  if (information === undefined || !information.resident)
    throw corrupt('has no volume information', { code: 'ntfs.missing', ...place });
  const label = name?.resident === true ? name.value : new Uint8Array();
  return {
    label: utf16(label, 0, Math.floor(label.length / 2)).toWellFormed(),
    major: VOLUME_INFORMATION.get(information.value, 'major_ver'),
    minor: VOLUME_INFORMATION.get(information.value, 'minor_ver'),
    flags: VOLUME_INFORMATION.get(information.value, 'flags'),
    place,
  };
};

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { wantedModules } from '../../iso/modules.ts';
import { temporaryFolder } from '../support/temporary.ts';

test('lists of modules: names, comments, blank lines', (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'two.modules'), '# all of it\n\nusb-storage # sticks\n  uas\n');
  writeFileSync(join(folder, 'one.modules'), 'CONFIG_FB_EFI');
  writeFileSync(join(folder, 'other'), 'not a list');
  t.deepEqual(wantedModules(folder), [
    { name: 'CONFIG_FB_EFI', feature: 'one' },
    { name: 'usb-storage', feature: 'two' },
    { name: 'uas', feature: 'two' },
  ]);
});

test('a line with more than a name is an error that names the list', (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'bad.modules'), 'nvme ahci\n');
  t.throws(() => wantedModules(folder), { message: "bad.modules: 'nvme ahci' is not the name of a module" });
});

test('the lists that are used name no module twice', (t) => {
  const names = wantedModules().map(({ name }) => name.replaceAll('-', '_'));
  t.is(new Set(names).size, names.length);
  for (const name of ['ahci', 'nvme', 'xhci_pci', 'usbhid', 'ext4', 'vfat'])
    t.true(names.includes(name), name);
});

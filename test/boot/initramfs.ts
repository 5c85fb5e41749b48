import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { unpackKernel } from '../../iso/kernel.ts';
import { resolveModules } from '../../iso/modules.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { mustRun } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Where the small system finds its line, on its root file system. */
export const PROOF_FILE = 'etc/holdfast-proof';

/** Drivers of QEMU's virtio disk; ext4, and the checksum that it asks the kernel for by name. */
const MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4'];

/**
 * The whole small system. It finds its root by the UUID on the kernel command line, mounts it read-only, says the line
 * that it finds there, and turns the machine off. Whatever fails is said too, so that a failed test shows it.
 */
const INIT = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
fail() { echo "small system: $*"; poweroff -f; }
mount -t devtmpfs dev /dev || fail 'no /dev'
mount -t proc proc /proc || fail 'no /proc'
mount -t sysfs sys /sys || fail 'no /sys'
for module in $(cat /modules/order); do insmod "/modules/$module" || fail "module $module"; done
uuid=$(sed -n 's/.*holdfast-root=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
tries=0
until root=$(findfs "UUID=$uuid" 2>/dev/null); do
  tries=$((tries + 1))
  [ $tries -lt 60 ] || fail "no file system with the UUID $uuid; there is: $(ls /sys/class/block)"
  sleep 1
done
mount -t ext4 -o ro,noload "$root" /root || fail "cannot mount $root"
echo "small system: root is $root"
cat /root/${PROOF_FILE} || fail 'no line'
umount /root
poweroff -f
`;

export interface SmallSystem {
  /** The files that a boot loader loads: Debian's kernel, and the small system as an initramfs (gzip-compressed cpio). */
  readonly kernel: Buffer;
  readonly initramfs: Buffer;
}

export const makeSmallSystem = (cleanup: Cleanup): SmallSystem => {
  const unpacked = temporaryFolder(cleanup);
  const kernel = unpackKernel(unpacked);
  const wanted = MODULES.map((name) => ({ name, feature: 'boot tests' }));
  const modules = resolveModules(kernel, wanted, '/bin/busybox').paths.map((path) =>
    join(unpacked, 'lib/modules', kernel.release, path),
  );
  const root = temporaryFolder(cleanup);
  for (const folder of ['bin', 'dev', 'proc', 'sys', 'root', 'modules']) mkdirSync(join(root, folder));
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  for (const path of modules) copyFileSync(path, join(root, 'modules', basename(path)));
  const order = modules.map((path) => `${basename(path)}\n`).join('');
  writeFileSync(join(root, 'modules/order'), order);
  writeFileSync(join(root, 'init'), INIT);
  chmodSync(join(root, 'init'), 0o755);
  // Before /dev is mounted, the kernel wants this one for init's output.
  mustRun('mknod', [join(root, 'dev/console'), 'c', '5', '1']);
  const names = mustRun('find', ['.', '-print0'], { cwd: root }).stdoutBytes;
  const archive = mustRun('cpio', ['--quiet', '--null', '--create', '--format=newc'], {
    cwd: root,
    input: names,
  });
  return { kernel: readFileSync(kernel.image), initramfs: gzipSync(archive.stdoutBytes) };
};

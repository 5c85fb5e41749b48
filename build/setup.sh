#!/bin/sh
# Makes a fresh clone able to run: npm packages as package-lock.json names them, and the Debian packages that a use
# needs. npm runs it before `start`, `test`, `test:boot`, `build`, `iso` and `bench`. When nothing is missing it takes a
# fraction of a second.
#
#   sh build/setup.sh [start|test|build|iso|bench|boot]...      (default: start)
#
# Plain POSIX sh, and any Node from 20 up: what it installs is not there yet.
set -eu

# What Node 26 is linked with, and a bare Debian 12 does not have: needed before any npm package is.
NODE='libatomic1'
# Programs that make and judge disks: mke2fs, e2fsck, debugfs; losetup, mount, partx; sfdisk; getfattr; getfacl.
START="$NODE e2fsprogs util-linux mount fdisk attr acl"
# NTFS volumes: made, filled and judged (ntfs-3g). FAT volumes: made and judged (dosfstools), filled and read (mtools). A second judge of GPTs (sgdisk). Who uses a file (fuser). strip, for the tests of the executable. xz, for xz-compressed
# images. The bench's peers. tmux, the terminal on which the screens are tried.
TEST="$START dosfstools mtools gdisk psmisc binutils xz-utils partclone zstd tmux ntfs-3g"
# strip takes 30 MB of symbols off the executable.
BUILD="$NODE binutils"
# What we measure ourselves against.
BENCH="$START $BUILD partclone zstd ntfs-3g dosfstools mtools"
# The bootable medium: GRUB for BIOS, the FAT image for UEFI, the ISO. (Kernel, busybox and the signed boot loaders are
# downloaded by the build, not installed.)
ISO="$BUILD grub-common grub-pc-bin mtools ncurses-base xorriso zstd"
# Machines that boot from it and from restored disks, in QEMU with BIOS and UEFI.
BOOT="$START $ISO dosfstools ntfs-3g gdisk tmux qemu-system-x86 ovmf grub2-common busybox-static cpio"

cd "$(dirname "$0")/.."
say() { echo "holdfast setup: $*" >&2; }

[ $# -gt 0 ] || set -- start
packages=
for use in "$@"; do
  case $use in
    start) packages="$packages $START" ;;
    test) packages="$packages $TEST" ;;
    build) packages="$packages $BUILD" ;;
    iso) packages="$packages $ISO" ;;
    bench) packages="$packages $BENCH" ;;
    boot) packages="$packages $BOOT" ;;
    *)
      say "unknown use '$use': start, test, build, iso, bench or boot"
      exit 2
      ;;
  esac
done

# Two commands at once in the same clone wait for each other. (The lock goes with this process, however it ends.)
exec 9<package-lock.json
if command -v flock >/dev/null 2>&1; then flock 9; fi

# --- Debian packages --------------------------------------------------------------------------------------------------

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  say "this is not Debian; the programs of these packages must be there:$packages"
  packages=
fi

missing=
for package in $packages; do
  case " $missing " in *" $package "*) continue ;; esac
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=absent
  [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    say "missing Debian packages; as root: apt-get install$missing"
    exit 1
  fi
  say "installing Debian packages:$missing"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  # Another apt may be at work (a fresh machine updates itself): wait for it. 9>&-: no daemon may keep our lock.
  apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1 9>&-; }

  # Old package lists may still do, so only the installation decides.
  apt update || say 'apt-get update failed; trying with the package lists that are here'
  # shellcheck disable=SC2086 # one word per package
  if ! apt install --no-install-recommends $missing; then
    cat "$log" >&2
    say "apt-get could not install:$missing"
    exit 1
  fi
fi

# --- npm packages -----------------------------------------------------------------------------------------------------

# npm ci starts by removing node_modules, and this copy is written after it has ended: an installation that was cut
# off has no copy, and is done again.
installed=node_modules/.holdfast-package-lock.json
if ! cmp -s package-lock.json "$installed"; then
  say 'installing npm packages (about half a minute)'
  # Called by npm, PATH begins with node_modules/.bin, whose node is about to be removed: use the npm that called us.
  if [ -n "${npm_execpath:-}" ] && [ -n "${npm_node_execpath:-}" ]; then
    set -- "$npm_node_execpath" "$npm_execpath"
  else
    set -- npm
  fi
  # --include=dev: also where NODE_ENV=production would leave out what runs and builds this program.
  if ! "$@" ci --include=dev --no-audit --no-fund --loglevel=error </dev/null >&2; then
    say 'npm ci failed (see above); run the command again when the reason is gone'
    exit 1
  fi
  cp package-lock.json "$installed.new"
  mv "$installed.new" "$installed"
fi

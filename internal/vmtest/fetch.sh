#!/bin/sh
# fetch.sh fills the cache of the VM tests: Debian's kernel, its modules, and fido2-tools with their libraries.
# Nothing is installed and nothing runs as root; the packages are downloaded by apt and unpacked beside each other.
# Once the cache is there this does nothing; remove the directory to fetch again.
set -eu

cache=${KEYFOB_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keyfob-vm}
[ -e "$cache/vmlinux" ] && exit 0
for tool in apt-get dpkg-deb xz; do
	command -v $tool >/dev/null || { echo "fetch.sh: needs $tool (a Debian amd64 system)" >&2; exit 1; }
done

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/debian"

# linux-image-amd64, not -cloud-: only the former has USB. fido2-tools come with every library down to libc, so that
# the guest does not depend on what this system has.
kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
tools=$(apt-cache depends --recurse --important fido2-tools | grep '^[a-z0-9]')
[ -n "$kernel" ] && [ -n "$tools" ] || { echo "fetch.sh: apt knows no linux-image-amd64 (apt-get update?)" >&2; exit 1; }
# shellcheck disable=SC2086 # a list of packages
(cd "$work/debs" && apt-get -qq -o APT::Sandbox::User= download $kernel $tools)
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/debian"; done
rm -r "$work/debs"

# Later releases compress the modules; the guest's init loads plain ones.
find "$work/debian/lib/modules" "$work/debian/usr/lib/modules" -name '*.ko.xz' -exec xz -d {} + 2>/dev/null || true

# The ELF kernel inside the bzImage boots through PVH, which spares the guest to unpack itself under emulation.
# Documentation/x86/boot.rst: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c; the last
# four bytes of the payload are its unpacked size. A payload that is not XZ is left to the guest.
image=$(echo "$work"/debian/boot/vmlinuz-*)
field() { od -An -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }
start=$((($(field 497 1) + 1) * 512 + $(field 584 4)))
length=$(($(field 588 4) - 4))
tail -c +$((start + 1)) "$image" | head -c $length | xz -dc >"$work/vmlinux" 2>/dev/null || cp "$image" "$work/vmlinux"

# vmlinux comes last: it says that the rest is complete.
rm -rf "$cache/debian"
mv "$work/debian" "$work/vmlinux" "$cache"

#!/bin/sh
# fetch.sh fills the cache of the VM tests: Debian's kernel, its modules, fido2-tools with their libraries, Python
# with python3-fido2, Wine, OpenSSH's client, and what enrolls keys for encrypted volumes and opens them.
# Nothing is installed and nothing runs as root; the packages are downloaded by apt and unpacked beside each other.
# Once the cache is there this does nothing; remove the directory to fetch again.
set -eu

cache=${KEYFOB_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keyfob-vm}
for part in vmlinux python wine openssh luks; do
	[ -e "$cache/$part" ] || missing=$part
done
[ -n "${missing:-}" ] || exit 0
for tool in apt-get dpkg-deb xz; do
	command -v $tool >/dev/null || { echo "fetch.sh: needs $tool (a Debian amd64 system)" >&2; exit 1; }
done

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

# unpack TO PACKAGE... downloads packages and unpacks them to a new directory.
unpack() {
	mkdir "$work/debs" "$1"
	to=$1
	shift
	(cd "$work/debs" && apt-get -qq -o APT::Sandbox::User= download "$@")
	for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$to"; done
	rm -r "$work/debs"
}

fetch_debian() {
	# linux-image-amd64, not -cloud-: only the former has USB. fido2-tools come with every library down to libc, so that
	# the guest does not depend on what this system has.
	kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
	tools=$(apt-cache depends --recurse --important fido2-tools | grep '^[a-z0-9]')
	[ -n "$kernel" ] && [ -n "$tools" ] || { echo "fetch.sh: apt knows no linux-image-amd64 (apt-get update?)" >&2; exit 1; }
	# shellcheck disable=SC2086 # a list of packages
	unpack "$work/debian" $kernel $tools

	# Later releases compress the modules; the guest's init loads plain ones.
	find "$work/debian/lib/modules" "$work/debian/usr/lib/modules" -name '*.ko.xz' -exec xz -d {} + 2>/dev/null || true

	# The ELF kernel inside the bzImage boots through PVH, which spares the guest to unpack itself under emulation.
	# Documentation/x86/boot.rst: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c; the last
	# four bytes of the payload are its unpacked size. A payload that is not XZ is left to the guest.
	image=$(echo "$work"/debian/boot/vmlinuz-*)
	start=$((($(field 497 1) + 1) * 512 + $(field 584 4)))
	length=$(($(field 588 4) - 4))
	tail -c +$((start + 1)) "$image" | head -c $length | xz -dc >"$work/vmlinux" 2>/dev/null || cp "$image" "$work/vmlinux"

	# vmlinux comes last: it says that the rest is complete.
	rm -rf "$cache/debian"
	mv "$work/debian" "$work/vmlinux" "$cache"
}

field() { od -An -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }

fetch_wine() {
	# Of the many libraries that Wine wants, these are all that a program without windows needs. The compression library
	# is a Windows one that Debian keeps elsewhere, and wineserver is a script for an installed Wine.
	wine=$work/wine
	unpack "$wine" wine64 libwine libz-mingw-w64 libudev1 libunwind8 liblzma5
	cp "$wine/usr/x86_64-w64-mingw32/lib/zlib1.dll" "$wine/usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
	mv "$wine/usr/lib/wine/wineserver64" "$wine/usr/lib/wine/wineserver"
	# The rest of share has files with the names of programs.
	find "$wine/usr/share" -mindepth 1 -maxdepth 1 ! -name wine -exec rm -r {} +

	# Wine's installation, of which the registry and what it says about drivers is kept: the guest puts the rest together.
	# It fails in the end, for lack of a screen and of what it needs for 32 bits.
	(
		unset DISPLAY
		export WINEPREFIX="$work/prefix" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=d;mshtml=d'
		export LD_LIBRARY_PATH="$wine/usr/lib/x86_64-linux-gnu:$wine/lib/x86_64-linux-gnu"
		"$wine/usr/lib/wine/wine64" wineboot -i >"$work/wineboot" 2>&1 || true
		"$wine/usr/lib/wine/wineserver" -w || true # until it has written the registry
	)
	grep -q '^\[System.*Services.*winebus\]' "$work/prefix/system.reg" || { cat "$work/wineboot" >&2; exit 1; }
	mkdir "$wine/registry"
	mv "$work"/prefix/*.reg "$wine/registry"
	mv "$work/prefix/drive_c/windows/inf" "$wine/inf"
	# There is no udevd to tell of devices, and only without SDL does Wine look at hidraw.
	printf '\n[System\\\\CurrentControlSet\\\\Services\\\\winebus]\n"%s"=dword:%08x\n"%s"=dword:%08x\n' \
		'Enable SDL' 0 DisableUdevd 1 >>"$wine/registry/system.reg"
	mv "$wine" "$cache"
}

fetch_python() {
	# The interpreter's version is in the names of its packages. OpenSSL and what else is missing here are in debian.
	version=$(apt-cache depends python3-minimal | grep -o 'python3\.[0-9]*' | head -n 1)
	python=$work/python
	unpack "$python" "$version-minimal" "lib$version-minimal" "lib$version-stdlib" libexpat1 libffi8 \
		python3-fido2 python3-cryptography python3-cffi-backend python3-six
	mv "$python/usr/bin/$version" "$python/usr/bin/python3"

	# python3-fido2 uses none of these, which are a third of all, and of the extensions these alone.
	library=$python/usr/lib/$version
	for dir in asyncio multiprocessing pydoc_data test unittest xml; do rm -r "${library:?}/$dir"; done
	find "$library/lib-dynload" -type f ! -name '_hashlib.*' ! -name '_json.*' ! -name '_typing.*' -delete

	# Under emulation, compiling would take longer than running.
	find "$python/usr/lib" -xtype l -delete # links to what was not unpacked
	LD_LIBRARY_PATH="$python/lib/x86_64-linux-gnu:$python/usr/lib/x86_64-linux-gnu" PYTHONHOME="$python/usr" \
		"$python/usr/bin/python3" -S -m compileall -q -b -s "$python" \
		--invalidation-mode unchecked-hash "$library" "$python/usr/lib/python3"
	find "$python/usr/lib" -name '*.py' -delete
	find "$python/usr/lib" -name __pycache__ -prune -exec rm -r {} +
	rm -r "$python/usr/share" # where files have the names of programs
	mv "$python" "$cache"
}

fetch_openssh() {
	# The other libraries are in debian.
	unpack "$work/openssh" openssh-client libselinux1 libpcre2-8-0
	rm -r "$work/openssh/usr/share" # where files have the names of programs
	mv "$work/openssh" "$cache"
}

fetch_luks() {
	# systemd itself would want many packages more than its one program here does.
	luks=$work/luks
	needs=$(apt-cache depends --recurse --important cryptsetup-bin libsystemd-shared | grep '^[a-z0-9]' | grep -v '^debconf')
	[ -n "$needs" ] || { echo "fetch.sh: apt knows no cryptsetup-bin (apt-get update?)" >&2; exit 1; }
	# shellcheck disable=SC2086 # a list of packages
	unpack "$work/unpacked" systemd $needs
	mkdir "$luks"
	find "$work/unpacked" \( -name 'lib*.so*' -o -name systemd-cryptenroll -o -path '*/sbin/cryptsetup' \) ! -type d \
		! -path '*/gconv/*' -exec cp -P {} "$luks" \;
	mv "$luks" "$cache"
}

[ -e "$cache/vmlinux" ] || fetch_debian
[ -e "$cache/python" ] || fetch_python
[ -e "$cache/wine" ] || fetch_wine
[ -e "$cache/openssh" ] || fetch_openssh
[ -e "$cache/luks" ] || fetch_luks

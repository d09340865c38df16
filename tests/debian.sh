#!/usr/bin/env bash
# Fetches Debian trixie's unmodified dom0 software and unpacks it under OUTDIR/root: the kernel image, xen-utils-4.20 with xl,
# xenstored and xenconsoled, every shared library they need, the programs its hotplug scripts call, and Xen's public headers.
# A second run does nothing. Needs neither root nor a trixie host (see apt.sh).
#
# usage: debian.sh [OUTDIR]        (default target/debian; about 120 MB to download, once)
set -euo pipefail
umask 022

suite=trixie
# Fetched together with everything they depend on; the last line is for the tests of the boot menu and of the units.
closure=(libxenmisc4.20 libncurses6 xenstore-utils libxen-dev busybox-static bash coreutils util-linux mount sed grep mawk iproute2
    grub2-common grub-pc-bin systemd kmod)
# Fetched alone: their dependencies (device model, firmware, python, initramfs tools) play no part in the tests.
alone=(xen-utils-4.20 xen-utils-common)
# The reference: only its hypervisor is taken, as OUTDIR/xen.
reference=xen-hypervisor-4.20-amd64
kernel_metapackage=linux-image-amd64

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-target/debian}"
out=$(cd "${1:-target/debian}" && pwd)
stamp=$out/complete
wanted="$suite ${closure[*]} ${alone[*]} $reference $kernel_metapackage"
if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

fail() {
    echo "debian.sh: $*" >&2
    exit 1
}

apt=$out/apt
APT_CONFIG=$("$here/apt.sh" "$apt" "$suite") || fail "no package lists"
export APT_CONFIG DEBIAN_FRONTEND=noninteractive

kernel=$(apt-cache depends "$kernel_metapackage" | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ && !found { print $2; found = 1 }')
[ -n "$kernel" ] || fail "$kernel_metapackage names no kernel package"

echo "debian.sh: fetching $kernel, ${alone[*]} and what they need"
apt-get -q -q -y --download-only install "${closure[@]}" || fail "cannot fetch ${closure[*]}"
(cd "$apt/archives" && apt-get -q -q download "${alone[@]}" "$kernel") || fail "cannot fetch ${alone[*]} $kernel"
(cd "$apt" && apt-get -q -q download "$reference") || fail "cannot fetch $reference"
dpkg-deb --fsys-tarfile "$apt/$reference"_*.deb | tar -x -O --wildcards './boot/xen-4.20-amd64.gz' | gzip -dc > "$out/xen" ||
    fail "no hypervisor in $reference"

rm -rf "$out/root.partial" "$out/root" "$stamp"
# Packages that ship files under /bin or /lib unpack through these links into /usr, as on an installed system.
mkdir -p "$out/root.partial/usr"/{bin,sbin,lib,lib64}
for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$out/root.partial/$directory"
done
for package in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" |
        tar -x --no-same-owner --no-same-permissions --keep-directory-symlink -C "$out/root.partial" ||
        fail "cannot unpack $package"
done
mv "$out/root.partial" "$out/root"
rm -rf "$apt"
printf '%s\n' "$wanted" > "$stamp"
echo "debian.sh: unpacked into $out/root"

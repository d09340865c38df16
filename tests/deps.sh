#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, and Rust, or says which are missing when it may not install them.
# Looks only at the package status when everything is there.
set -euo pipefail

packages=(
    ca-certificates curl gcc libc6-dev make                  # building
    debian-archive-keyring xz-utils zstd                     # dom0's files from Debian's packages
    e2fsprogs grub-common grub-pc-bin mtools xorriso         # boot CD and disk
    qemu-system-x86                                          # the machine
    bochs bochsbios vgabios                                  # the machine with what QEMU lacks
)

missing=()
for package in "${packages[@]}"; do
    # shellcheck disable=SC2016  # the dollar is dpkg-query's
    status=$(dpkg-query -W -f '${Status}' "$package" 2> /dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done

# A machine without Rust gets rustup: from Debian where it is packaged (13 and later), else with its own installer.
export PATH="$PATH:$HOME/.cargo/bin"
rust=present
if ! command -v cargo > /dev/null; then
    rust=missing
    missing+=(rustup)
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
    as_root=(sudo)
else
    echo "deps.sh: missing packages; as root run: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
echo "deps.sh: installing ${missing[*]}"
"${as_root[@]}" apt-get -q update
if [ "$rust" = missing ] && ! apt-cache show rustup > /dev/null 2>&1; then
    missing=("${missing[@]/#rustup/curl}")
    rust=installer
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
case $rust in
    missing) rustup default stable ;;
    installer) curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component rustfmt,clippy ;;
esac

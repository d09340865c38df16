#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, and Rust, or says which are missing when it may not install them.
# Looks only at the package status when everything is there.
#
# usage: deps.sh [build]        only what building the image needs
set -euo pipefail

packages=(ca-certificates curl gcc libc6-dev make)
[ "${1:-}" = build ] || packages+=(
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

export PATH="$PATH:$HOME/.cargo/bin"
has_rust() { cargo --version > /dev/null 2>&1; }
[ ${#missing[@]} -gt 0 ] || ! has_rust || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
    as_root=(sudo)
else
    [ ${#missing[@]} -eq 0 ] || echo "deps.sh: missing packages; as root run: apt-get install --no-install-recommends ${missing[*]}" >&2
    has_rust || echo "deps.sh: no Rust; see https://rustup.rs" >&2
    exit 1
fi

install() {
    echo "deps.sh: installing $*"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
}

"${as_root[@]}" apt-get -q update
[ ${#missing[@]} -eq 0 ] || install "${missing[@]}"

# A machine without Rust gets rustup: from Debian where it is packaged (13 and later), else by its own installer.
if has_rust; then
    exit 0
elif apt-cache policy rustup | grep -q 'Candidate: [0-9]'; then
    install rustup
    rustup default stable
else
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component rustfmt,clippy
fi

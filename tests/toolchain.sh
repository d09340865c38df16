#!/usr/bin/env bash
# Prints the words that go between `cargo` and its command to build for x86_64-unknown-none, and makes that build possible.
#
# With the target's libraries installed, or after rustup has fetched them, there is nothing to print. Otherwise the nightly
# toolchain builds core and alloc from the sources that rustup has or can fetch, that the tarball RUST_SRC_TARBALL holds, or
# that Debian packages as rust-src. The project's code uses no nightly feature either way.
set -euo pipefail

target=x86_64-unknown-none
nightly=${NIGHTLY:-nightly}
repository=$(cd "$(dirname "$0")/.." && pwd)

has_target() { [ -n "$(find "$1/lib/rustlib/$target/lib" -name 'libcore-*.rlib' -print -quit 2> /dev/null)" ]; }

# rustup may print progress; only this script's own answer goes to standard output.
fetch() { command -v rustup > /dev/null && RUST_BACKTRACE=0 timeout 120 rustup "$@" >&2; }

sysroot=$(cd "$repository" && rustc --print sysroot)
if has_target "$sysroot" || { fetch target add "$target" && has_target "$sysroot"; }; then
    exit 0
fi

sysroot=$(rustup run "$nightly" rustc --print sysroot 2> /dev/null) || {
    echo "toolchain.sh: no libraries for $target and no $nightly toolchain to build them with" >&2
    echo "toolchain.sh: run 'rustup target add $target', or install a nightly toolchain and give its rust-src" >&2
    exit 1
}
sources=$sysroot/lib/rustlib/src/rust

unpack_library() { # reads a tar archive on standard input; takes the tree named .../library
    local scratch library
    scratch=$(mktemp -d)
    tar -x -C "$scratch"
    library=$(find "$scratch" -type d -path '*library/core' -prune | head -n 1)
    [ -n "$library" ] && mkdir -p "$sources" && cp -r "${library%/core}" "$sources/library"
    rm -rf "$scratch"
}

from_tarball() { [ -n "${RUST_SRC_TARBALL:-}" ] && [ -e "$RUST_SRC_TARBALL" ] && xz -dc "$RUST_SRC_TARBALL" | unpack_library; }

from_debian() { # the suite that follows the compiler's own releases closely enough for a nightly
    local scratch=$repository/target/rust-src config
    config=$("$repository/tests/apt.sh" "$scratch" sid) || return 1
    (cd "$scratch" && APT_CONFIG=$config apt-get -q -q download rust-src >&2) || return 1
    dpkg-deb --fsys-tarfile "$scratch"/rust-src_*.deb | unpack_library
    rm -rf "$scratch"
}

if ! [ -e "$sources/library/core/src/lib.rs" ]; then
    echo "toolchain.sh: looking for the library sources of $nightly" >&2
    fetch component add rust-src --toolchain "$nightly" || from_tarball || from_debian || true
fi
if ! [ -e "$sources/library/core/src/lib.rs" ]; then
    echo "toolchain.sh: no library sources for $nightly: give a tarball of them in RUST_SRC_TARBALL" >&2
    exit 1
fi
echo "+$nightly -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem"

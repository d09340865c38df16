#!/usr/bin/env bash
# Everything `make test` checks: formatting, lints, host tests, the image's build, and the enabled scenarios on emulators.
# Every part runs even if another failed. The last line is the sum: `N passed, M failed`.
#
# usage: all.sh [RUNNER ARGUMENT]...       for instance --limit 900 on a slow machine
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

passed=0 failed=0
mkdir -p target/logs

# Runs a part with its output on the terminal and in a log.
logged() {
    local log=target/logs/$1.log
    shift
    "$@" 2>&1 | tee "$log"
    return "${PIPESTATUS[0]}"
}

# A part that passes or fails as a whole.
check() {
    echo "== $1"
    if logged "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1"
    fi
}

# A part that counts by itself: adds the numbers that FILTER finds in its log; failing without a count is one failure.
counted() {
    local filter=$1 name=$2 status=0 good bad
    shift
    echo "== $name"
    logged "$@" || status=1
    read -r good bad < <(sed -n -E "s/$filter/\1 \2/p" "target/logs/$name.log" | awk '{ good += $1; bad += $2 } END { print good + 0, bad + 0 }')
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
        echo "FAIL $name: it ended without a count of failures"
    fi
    passed=$((passed + good)) failed=$((failed + bad))
}

scenarios() { # the runner's own sum is indented, so that there is one such line at the end
    "$@" | sed -u -E 's/^[0-9]+ passed, [0-9]+ failed$/  &/'
    return "${PIPESTATUS[0]}"
}

bare=x86_64-unknown-none
hosted=(--workspace --exclude xen-rs --exclude guests)
toolchain=()
read -r -a toolchain < <(tests/toolchain.sh) || true

lint_image() { cargo "${toolchain[@]}" clippy --release -p xen-rs -p guests --target "$bare" -- -D warnings; }

check debian tests/debian.sh target/debian
export XEN_HEADERS=$PWD/target/debian/root/usr/include XEN_EXAMPLES=$PWD/target/debian/root/etc/xen
check format cargo fmt --all --check
check lint-host cargo clippy --quiet "${hosted[@]}" --all-targets -- -D warnings
check lint-image lint_image
counted '^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*' host-tests cargo test --quiet --no-fail-fast "${hosted[@]}"
check image make --no-print-directory image
check tools make --no-print-directory tools
check install-tools make --no-print-directory install-tools DESTDIR="$PWD/target/installed" PREFIX=/usr/local INIT=systemd
check guests make --no-print-directory guests
check grub-menu tests/grub-menu.sh
counted '^ +([0-9]+) passed, ([0-9]+) failed$' scenarios scenarios cargo run --quiet --release -p runner -- all "$@"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

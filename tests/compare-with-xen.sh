#!/usr/bin/env bash
# Boots one scenario of the compatibility lab on real Xen and on this hypervisor, and compares what the two consoles show, line by line:
# dom0's kernel log, what xl prints, the guest's console.
#
# usage: compare-with-xen.sh LAB SCENARIO [OPTION OF BOOT.SH]...     for instance -c 4, or -n for a machine without an IOMMU
#        compare-with-xen.sh --tools DIR LAB SCENARIO [OPTION]...    with Debian's dom0 tools on real Xen, and those of DIR on both
#        compare-with-xen.sh --logs XEN-LOG OWN-LOG                  compares what earlier runs left
#
# The lab is not part of this project: LAB is what its build-dom0.sh made, SCENARIO a directory beside which, one level up, its boot.sh
# stands. Real Xen cannot start a PVH dom0 without an IOMMU, so for -n its run has one all the same.
#
# What differs between any two runs (times, addresses, order of what happens at once) is taken out by compare-with-xen.sed. What differs for
# a reason stands in compare-with-xen.allowed. Ends with 1 if anything else differs. Logs: target/logs/compare-*.log.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "compare-with-xen.sh: $*" >&2
    exit 2
}

# Lines of one console in a form that can be compared: user space's in their order, then the kernel's, dom0's and the guest's apart, sorted,
# since drivers start side by side.
normalised() {
    tr -d '\r' < "$1" | sed -n '/Linux version/,$p' | sed -E -f "$here/compare-with-xen.sed" | awk '
        /^--- guest console/ { guest = "guest " }
        # Of a kernel warning only where it comes from; registers and stack are never the same.
        /^\[time\] -+\[ cut here/ { warning = 1 }
        warning && /^\[time\] ---\[ end trace/ { warning = 0; next }
        warning && !/WARNING: |consistency problem/ { next }
        /^\[time\]/ { kernel[++kernels] = guest $0; next }
        { print guest $0 }
        END { for (i = 1; i <= kernels; i++) print kernel[i] | "LC_ALL=C sort" }'
}

# The lines of a difference that no line of the list allows. A list line is `SIDE PATTERN`: `<` only Xen prints it, `>` only we, `=` either may.
unexpected() {
    awk '
        NR == FNR { if ($0 !~ /^($|#)/) { count++; side[count] = substr($0, 1, 1); pattern[count] = substr($0, 3) } next }
        /^[<>] / {
            text = substr($0, 3)
            for (i = 1; i <= count; i++)
                if ((side[i] == "=" || side[i] == substr($0, 1, 1)) && text ~ pattern[i]) next
            print
        }' "$here/compare-with-xen.allowed" -
}

# Boots the scenario: run TITLE LOG SCENARIO OPTION...
run() {
    local title=$1 log=$2 scenario=$3
    shift 3
    echo "compare-with-xen.sh: $name on $title"
    bash "$boot" "$@" "$lab" "$scenario" "$log" || fail "$name did not finish on $title, see $log"
}

# The scenario with the programs of a directory before Debian's: with_tools DIR
with_tools() {
    [ -x "$1/xl" ] || fail "no xl in $1: make tools"
    mkdir "$work/$name"
    cp -r "$scenario/." "$work/$name/"
    mkdir "$work/$name/tools"
    cp "$1"/* "$work/$name/tools/"
    mv "$work/$name/run.sh" "$work/$name/scenario.sh"
    cat > "$work/$name/run.sh" << 'END'
PATH=/lab/tools:$PATH
[ "$(command -v xl)$(command -v xenstored)$(command -v xenconsoled)" = /lab/tools/xl/lab/tools/xenstored/lab/tools/xenconsoled ] && . /lab/scenario.sh
END
}

count() { printf '%s' "$1" | grep -c '^[<>]' || true; }

# Compares two logs; ends with 1 if lines differ that no list allows.
compare() {
    local all bad
    all=$(diff <(normalised "$1") <(normalised "$2") || true)
    bad=$(printf '%s\n' "$all" | unexpected)
    [ -z "$bad" ] || printf '%s\n' "$bad"
    echo "compare-with-xen.sh: $(basename "$2"): $(count "$all") lines differ, $(count "$bad") of them without a known reason"
    [ -z "$bad" ]
}

if [ "${1:-}" = --logs ]; then
    [ $# -eq 3 ] || fail "usage: compare-with-xen.sh --logs XEN-LOG OWN-LOG"
    compare "$2" "$3"
    exit
fi

tools=
if [ "${1:-}" = --tools ]; then
    [ $# -ge 2 ] || fail "--tools needs a directory"
    tools=$(cd "$2" && pwd)
    shift 2
fi
[ $# -ge 2 ] || fail "usage: compare-with-xen.sh [--tools DIR] LAB SCENARIO [OPTION OF BOOT.SH]..."
lab=$(cd "$1" && pwd) scenario=$(cd "$2" && pwd)
shift 2
boot=$scenario/../../boot.sh
[ -e "$boot" ] || fail "no boot.sh beside $(dirname "$scenario")"
name=$(basename "$scenario")
logs=$here/../target/logs
log=$logs/compare-$(printf '%s' "$name $*" | tr -cs '[:alnum:]' '-')
mkdir -p "$logs"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
with_iommu=()
for option in "$@"; do [ "$option" = -n ] || with_iommu+=("$option"); done

run "real Xen" "$log-xen.log" "$scenario" "${with_iommu[@]}"
if [ -z "$tools" ]; then
    run "xen-rs" "$log.log" "$scenario" -v "$here/../target/xen-rs" "$@"
    compare "$log-xen.log" "$log.log"
else
    with_tools "$tools"
    run "real Xen with these tools" "$log-xen-tools.log" "$work/$name" "${with_iommu[@]}"
    run "xen-rs with these tools" "$log-tools.log" "$work/$name" -v "$here/../target/xen-rs" "$@"
    status=0
    compare "$log-xen.log" "$log-xen-tools.log" || status=1
    compare "$log-xen.log" "$log-tools.log" || status=1
    exit $status
fi

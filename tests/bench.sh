#!/usr/bin/env bash
# Runs the bare kernel `bench` as PVH dom0 on Debian's Xen and on our image, on the same emulated machine, and prints what each operation
# costs in instructions. Nothing depends on the host's speed: with -icount the machine's TSC counts the instructions it executes.
#
# usage: bench.sh [IMAGE]        (default target/xen-rs; target/guests/bench and the emulator must be there)
#
# XEN=FILE names another reference. Exit status 1 when an operation costs more than on Xen, or a null hypercall or CPUID a quarter or more.
set -euo pipefail
cd "$(dirname "$0")/.."

image=${1:-target/xen-rs}
kernel=target/guests/bench
work=target/bench
limit=${LIMIT:-300}
mkdir -p "$work"

# measure NAME HYPERVISOR ARGUMENTS: boots it and leaves the console in target/bench/NAME.log.
measure() {
    local cd=$work/$1 log=$work/$1.log
    rm -rf "$cd" "$log"
    mkdir -p "$cd/boot/grub"
    cp "$2" "$cd/boot/hypervisor"
    cp "$kernel" "$cd/boot/kernel"
    cat > "$cd/boot/grub/grub.cfg" << G
set timeout=0
menuentry bench {
 multiboot2 /boot/hypervisor placeholder dom0_mem=256M console=com1 com1=115200,8n1 $3
 module2 /boot/kernel placeholder
}
G
    grub-mkrescue -o "$cd.iso" "$cd" > "$work/$1.grub" 2>&1
    # Real Xen wants an I/O MMU for a PVH dom0; the machine is the same for both.
    timeout -k 5 "$limit" qemu-system-x86_64 -M q35,kernel-irqchip=split -device amd-iommu -accel tcg \
        -cpu EPYC,+svm,+npt,-monitor,-rdtscp -icount shift=0,sleep=off -smp 1 -m 1024 -cdrom "$cd.iso" \
        -no-reboot -display none -monitor none -serial "file:$log" 2> "$work/$1.qemu" &
    wait_for_end "$log" $!
    rm -rf "$cd" "$cd.iso"
}

# The machine may be halted for ever; what counts is the last line.
wait_for_end() {
    while kill -0 "$2" 2> /dev/null && ! grep -aqE 'BENCH-DONE|GUEST-FATAL|Panic on CPU' "$1" 2> /dev/null; do
        sleep 0.5
    done
    kill -KILL "$(pgrep -P "$2" | head -n 1)" "$2" 2> /dev/null || true
    wait "$2" 2> /dev/null || true
    grep -aq BENCH-DONE "$1" || {
        echo "bench.sh: no result in $1:" >&2
        tail -n 5 "$1" >&2
        exit 1
    }
}

table() {
    awk '
    FNR == 1 { system_number++ }
    { sub(/\r$/, "") }
    $1 == "BENCH-CALIBRATION" { ticks[system_number] = $2 / 2000 }
    $1 == "BENCH" { cost[system_number, $2] = int($3 / ticks[system_number] + 0.5); if (system_number == 1) names[++count] = $2 }
    END {
        printf "%-28s %12s %12s %8s\n", "operation (instructions)", "Xen", "xen-rs", "ratio"
        for (i = 1; i <= count; i++) {
            name = names[i]; xen = cost[1, name]; ours = cost[2, name]; ratio = ours / xen
            limit = name ~ /^(null-hypercall|cpuid)$/ ? 0.25 : 1
            over = limit < 1 ? ratio >= limit : ratio > limit
            printf "%-28s %12d %12d %8.2f%s\n", name, xen, ours, ratio, over ? "  above " limit : ""
            bad += over
        }
        exit bad > 0
    }' "$work/xen.log" "$work/xen-rs.log"
}

xen=${XEN:-target/debian/xen}
measure xen "$xen" "dom0=pvh"
measure xen-rs "$image" ""
table

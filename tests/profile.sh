#!/usr/bin/env bash
# Shows where the instructions of one operation go: boots the bare kernel `bench`, which repeats the operation for ever, has QEMU log every
# instruction it executes for a moment, and counts them by the hypervisor's functions.
#
# usage: profile.sh OPERATION [IMAGE]        (a name that bench.sh prints; default target/xen-rs, an ELF file with symbols)
#
# BY=line counts by source line instead, with what was inlined in its place. Leaves the log in target/profile/trace.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

operation=$1
image=${2:-target/xen-rs}
work=target/profile
rm -rf "$work"
mkdir -p "$work/cd/boot/grub"
cp "$image" "$work/cd/boot/hypervisor"
cp target/guests/bench "$work/cd/boot/kernel"
cat > "$work/cd/boot/grub/grub.cfg" << G
set timeout=0
menuentry bench {
 multiboot2 /boot/hypervisor placeholder dom0_mem=256M console=com1 com1=115200,8n1
 module2 /boot/kernel placeholder repeat=$operation
}
G
grub-mkrescue -o "$work/cd.iso" "$work/cd" > "$work/grub" 2>&1
mkfifo "$work/monitor"
timeout -k 5 120 qemu-system-x86_64 -M q35,kernel-irqchip=split -device amd-iommu -accel tcg -cpu EPYC,+svm,+npt,-monitor,-rdtscp \
    -icount shift=0,sleep=off -smp 1 -m 1024 -cdrom "$work/cd.iso" -no-reboot -display none -monitor stdio \
    -serial "file:$work/console" < "$work/monitor" > "$work/qemu" 2>&1 &
emulator=$!
exec 3> "$work/monitor"
until grep -aqE 'BENCH-REPEAT|BENCH-DONE|GUEST-FATAL|Panic on CPU' "$work/console" 2> /dev/null; do
    kill -0 $emulator 2> /dev/null || break
    sleep 0.2
done
grep -aq BENCH-REPEAT "$work/console" || {
    echo "profile.sh: the kernel does not repeat '$operation'; see $work/console" >&2
    echo quit >&3
    exit 1
}
echo "singlestep on" >&3
sleep 0.5
echo "logfile $work/trace" >&3
echo "log exec,nochain" >&3
sleep "${SECONDS_LOGGED:-1}"
echo "log none" >&3
echo quit >&3
wait $emulator || true

# Lines look like `Trace 0: ADDRESS [CODE BASE/RIP/FLAGS/...]`; bit 21 of the flags is set while a guest runs. The first and last trip may be cut.
awk -F '[][/]' '
/^Trace/ {
    if (substr($4, 3, 1) ~ /[2367abef]/) { if (trip > 0 && !was) whole++; was = 1; next }
    if (was) { trip++; was = 0 }
    if (trip) count[$3]++
}
END { print whole + 0; for (at in count) print at, count[at] }' "$work/trace" > "$work/counts"
trips=$(head -n 1 "$work/counts")
tail -n +2 "$work/counts" | sort > "$work/addresses"
if [ "${BY:-function}" = line ]; then
    cut -d ' ' -f 1 "$work/addresses" | addr2line -C -f -s -e "$image" > "$work/places"
    paste -d ' ' <(cut -d ' ' -f 2 "$work/addresses") <(paste -d ' ' - - < "$work/places")
else
    nm -C "$image" | sed -n 's/^\([0-9a-f]*\) [tTwW] /\1 /p' | sort > "$work/symbols"
    # The letter keeps awk from taking an address for a number.
    awk 'NR == FNR { at[++n] = "x" $1; $1 = ""; name[n] = $0; next }
        { while (i < n && at[i + 1] <= "x" $1) i++; print $2, name[i] }' "$work/symbols" "$work/addresses"
fi | awk -v trips="$trips" '
    { n = $1; $1 = ""; sum[$0] += n; total += n }
    END { for (name in sum) printf "%9.1f %s\n", sum[name] / trips, name; printf "%9.1f  in %d exits\n", total / trips, trips }' | sort -rn

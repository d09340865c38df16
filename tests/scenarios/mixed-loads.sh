# shellcheck shell=bash
# Runs in dom0: for LOAD_SECONDS (default 300) dom0 and a guest compute, use the guest's disk and talk to each other, all at once.
seconds=${LOAD_SECONDS:-300}
console=/var/log/xen/console/guest-demo.log

md5() { md5sum | cut -d' ' -f1; }
guest_gone() { [ "$(xl list | wc -l)" -eq 2 ]; }
guest_says() { grep -q "$1" "$console"; }
# guest_load NAME LEAST: that load of the guest had at least LEAST rounds and none was bad.
guest_load() {
    local rounds
    rounds=$(tr -d '\r' < "$console" | sed -n "s/^GUEST-LOAD $1 rounds \([0-9]*\) bad 0\$/\1/p")
    [ "${rounds:-0}" -ge "$2" ]
}
# The kernels found nothing wrong: no lock-up, stall, or failed request.
content() { ! grep -E 'soft lockup|hard LOCKUP|detected stalls|blocked for more than|I/O error|WARNING: CPU|BUG:|Oops'; }

prepare() {
    head -c 33554432 /dev/urandom > /tmp/disk.img && mkdir -p /tmp/www &&
        head -c 2097152 /dev/urandom > /tmp/www/data && md5 < /tmp/www/data > /tmp/www/data.md5 && busybox httpd -h /tmp/www &&
        sed -e 's/^vcpus = .*/vcpus = 4/' -e "s/^extra = .*/extra = \"console=hvc0 guest.load=$seconds\"/" /etc/xen/demo.cfg > /tmp/load.cfg
}

# repeat NAME CHECK: runs CHECK until $end and counts.
repeat() {
    local rounds=0 bad=0
    while [ "$SECONDS" -lt "$end" ]; do
        "$2" || bad=$((bad + 1))
        rounds=$((rounds + 1))
    done
    [ "$rounds" -gt 0 ] || bad=none-ran
    echo "DOM0-LOAD $1 rounds $rounds bad $bad"
}
processor_round() { [ "$(md5 < /tmp/www/data)" = "$(cat /tmp/www/data.md5)" ]; }
network_round() { [ "$(wget -q -O - http://10.9.0.2/data | md5)" = "$guest_md5" ]; }
disk_round() {
    head -c 2097152 /dev/urandom > /tmp/copy && sync && losetup -f --show /tmp/copy > /tmp/copy.loop &&
        [ "$(dd if="$(cat /tmp/copy.loop)" bs=256k iflag=direct 2> /dev/null | md5)" = "$(md5 < /tmp/copy)" ] && losetup -d "$(cat /tmp/copy.loop)"
}

run_loads() {
    local guest_md5
    end=$((SECONDS + seconds))
    guest_md5=$(wget -q -O - http://10.9.0.2/data.md5)
    [ -n "$guest_md5" ] || return 1
    repeat processor processor_round > /tmp/load-processor & local processor=$!
    repeat network network_round > /tmp/load-network & local network=$!
    repeat disk disk_round > /tmp/load-disk & local disk=$!
    wait $processor $network $disk
}

start_toolstack
step disk prepare
step create xl create -q /tmp/load.cfg
step guest-started wait_until 240 guest_says 'GUEST-LOAD started'
step loads run_loads
cat /tmp/load-processor /tmp/load-network /tmp/load-disk
xl vcpu-list
step guest-finished wait_until 300 guest_gone
echo "--- the guest's console"
tr -d '\r' < "$console"
echo "--- end of the guest's console"
step guest-processor guest_load processor1 5
step guest-processor-2 guest_load processor2 5
step guest-disk guest_load disk 5
step guest-network guest_load network 5
step guest-kernel-content content < "$console"
dmesg > /tmp/dmesg
step dom0-kernel-content content < /tmp/dmesg
step domain-gone guest_gone

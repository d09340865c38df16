# shellcheck shell=bash
# Runs in dom0: stock xl creates a stock Linux PVH guest, which reads and writes its disk and pings dom0.
console=/var/log/xen/console/guest-demo.log

make_disk() { head -c 33554432 /dev/urandom > /tmp/disk.img; }
# A look-up by name may fail while the domain is there, so the whole list decides: its heading and Domain-0.
guest_gone() { [ "$(xl list | wc -l)" -eq 2 ]; }
from_guest() { sed -n "s/^$1 \([0-9a-f]*\).*/\1/p" "$console" | head -n 1; }
written_part_md5() { dd if=/tmp/disk.img bs=64k skip=16 count=16 2> /dev/null | md5sum | cut -d' ' -f1; }
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }

start_toolstack
step disk-image make_disk
dom0_md5=$(md5sum < /tmp/disk.img | cut -d' ' -f1)
echo "DOM0-DISK-MD5 $dom0_md5"
started=$(uptime_seconds)
step xl-create xl create /etc/xen/demo.cfg
echo "XL-CREATE started $started finished $(uptime_seconds)"
xl list
step guest-finished wait_until "${GUEST_LIMIT:-240}" guest_gone
echo "--- the guest's console"
tr -d '\r' < "$console"
echo "--- end of the guest's console"
xl list
step guest-disk-md5 same "$(from_guest GUEST-DISK-MD5)" "$dom0_md5"
step guest-disk-write same "$(from_guest GUEST-WROTE-MD5)" "$(written_part_md5)"
step guest-ping grep -q ' 0% packet loss' "$console"
step domain-gone guest_gone

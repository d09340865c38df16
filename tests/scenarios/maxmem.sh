# shellcheck shell=bash
# Runs in dom0: a stock Linux guest with half of the memory that it may grow to, which is populated on demand; then it grows and shrinks.
console=/var/log/xen/console/guest-grow.log

make_disk() { head -c 16777216 /dev/urandom > /tmp/disk.img; }
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
# Free pages, with those that hold tables of dom0's own map, which come and go; where the key says nothing of the kind, free MiB.
free_pages() {
    xl dmesg -c > /dev/null
    xl debug-keys m
    xl dmesg | awk '/ pages, [0-9]+ free/ { sub(/.* pages, /, ""); free = $1 } / d0: .* page tables/ { free += $(NF - 2) } END { print free + 0 }' |
        grep -v '^0$' || xl info | sed -n 's/^free_memory *: //p'
}
listed_mib() { xl list | awk '$1 == "grow" { print $3 }'; }
lists_mib() { [ "$(listed_mib)" -eq "$1" ]; }
guest_gone() { [ "$(xl list | wc -l)" -eq 2 ]; }
from_guest() { sed -n "s/^$1 \([0-9a-f]*\).*/\1/p" "$console" | tail -n 1; }
guest_says() { [ -n "$(from_guest "$1")" ]; }
# The guest's MemTotal in kB, when it has not changed for a while.
settled_total() {
    local before=none now
    until now=$(from_guest GUEST-MEMTOTAL); [ -n "$now" ] && [ "$now" = "$before" ]; do
        before=$now
        sleep 5
    done
    echo "$now"
}
guest_total_is() { [ "$(from_guest GUEST-MEMTOTAL)" = "$1" ]; }
refused() { ! "$@"; }

sed -e 's/^name = .*/name = "grow"/' -e 's/^memory = .*/memory = 128\nmaxmem = 256/' -e 's/^vcpus = .*/vcpus = 1/' -e '/^vif/d' \
    -e 's/^extra = .*/extra = "console=hvc0 guest.stay"/' /etc/xen/demo.cfg > /tmp/grow.cfg

start_toolstack
step disk-image make_disk
dom0_md5=$(md5sum < /tmp/disk.img | cut -d' ' -f1)
echo "DOM0-DISK-MD5 $dom0_md5"
before=$(free_pages)
echo "FREE-PAGES before $before"
step xl-create xl create /tmp/grow.cfg
xl list
step starts-small lists_mib 128
step guest-runs wait_until 300 guest_says GUEST-MEMTOTAL
step guest-disk-md5 same "$(from_guest GUEST-DISK-MD5)" "$dom0_md5"
small=$(settled_total)
echo "GUEST-TOTAL at-128 $small"
step stays-small lists_mib 128
xl debug-keys m
xl dmesg | tail -n 4

step grow xl mem-set grow 192
step grown-in-guest wait_until 120 guest_total_is $((small + 65536))
step grown-in-list wait_until 60 lists_mib 192
echo "GUEST-TOTAL at-192 $(from_guest GUEST-MEMTOTAL)"
xl list

step shrink xl mem-set grow 128
step shrunk-in-guest wait_until 120 guest_total_is "$small"
step shrunk-in-list wait_until 60 lists_mib 128
echo "GUEST-TOTAL at-128-again $(from_guest GUEST-MEMTOTAL)"
xl list

step mem-max xl mem-max grow 200
step mem-max-below-target-refused refused xl mem-max grow 100
step grow-beyond-maxmem-refused refused xl mem-set grow 300
step unchanged lists_mib 128

step destroy xl destroy grow
step domain-gone wait_until 60 guest_gone
after=$(free_pages)
echo "FREE-PAGES after $after"
step all-pages-back same "$after" "$before"

# A guest that needs more than it has before its balloon driver is up: the hypervisor ends it and says why.
sed -e 's/^name = .*/name = "starved"/' -e 's/^memory = .*/memory = 96\nmaxmem = 4096/' -e 's/^vcpus = .*/vcpus = 1/' -e '/^vif/d' -e '/^disk/d' \
    /etc/xen/demo.cfg > /tmp/starved.cfg
echo 'on_crash = "preserve"' >> /tmp/starved.cfg
is_crashed() { xl list | grep -q '^starved .* ---sc- '; }
is_explained() { xl dmesg | grep -E 'no memory left to populate|out of PoD memory'; }
step create-starved xl create /tmp/starved.cfg
step starved-is-crashed wait_until 180 is_crashed
step crash-is-explained is_explained
xl list
step destroy-starved xl destroy starved
step starved-gone wait_until 60 guest_gone
step starved-pages-back same "$(free_pages)" "$before"
echo "--- the guest's console"
tr -d '\r' < "$console"
echo "--- end of the guest's console"

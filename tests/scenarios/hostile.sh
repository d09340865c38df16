# shellcheck shell=bash
# Runs in dom0: a hostile guest beside an ordinary one, which has to do its work as if it were alone.
console=/var/log/xen/console/guest-demo.log
hostile_words=${HOSTILE_WORDS:-seed=1 calls=1000000}

make_disk() { head -c 33554432 /dev/urandom > /tmp/disk.img; }
has_domain() { xl list | grep -q "^$1 "; }
neighbour_gone() { ! has_domain demo; }
all_gone() { [ "$(xl list | wc -l)" -eq 2 ]; }
dom0_answers() { xl list && xl info > /dev/null && xl vcpu-list && has_domain Domain-0; }
free_memory() { xl info | sed -n 's/^free_memory *: //p'; }
from_guest() { sed -n "s/^$1 \([0-9a-f]*\).*/\1/p" "$console" | head -n 1; }
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
# It powers off when all calls are made; a crash shows as `c`. Either way it stays to be looked at.
hostile_runs() { xl list | grep -q '^hostile .* [r-][b-][p-]--[d-] '; }
hostile_over() { ! hostile_runs; }
hostile_done() { xl list | grep '^hostile ' && xl list | grep -q '^hostile .* ---s-- '; }

cat > /tmp/hostile.cfg << C
name = "hostile"
type = "pvh"
kernel = "/guest/hostile"
cmdline = "$hostile_words"
memory = 64
vcpus = 2
on_poweroff = "preserve"
on_crash = "preserve"
on_reboot = "preserve"
C

start_toolstack
step disk-image make_disk
dom0_md5=$(md5sum < /tmp/disk.img | cut -d' ' -f1)
echo "DOM0-DISK-MD5 $dom0_md5"
before=$(free_memory)
echo "FREE-MEMORY before $before"
step create-hostile xl create /tmp/hostile.cfg
step create-neighbour xl create /etc/xen/demo.cfg
step neighbour-finished wait_until 600 neighbour_gone
step dom0-answers dom0_answers
wait_until 900 hostile_over
step hostile-done hostile_done
step destroy-hostile xl destroy hostile
step all-gone wait_until 30 all_gone
sleep 3
after=$(free_memory)
echo "FREE-MEMORY after $after"
echo "--- the neighbour's console"
tr -d '\r' < "$console"
echo "--- end of the neighbour's console"
step neighbour-disk same "$(from_guest GUEST-DISK-MD5)" "$dom0_md5"
step neighbour-ping grep -q ' 0% packet loss' "$console"
step free-memory same "$after" "$before"

# shellcheck shell=bash
# Runs in dom0: what the toolstack shows of the null scheduler, and a guest under it.
cat > /tmp/guest.cfg << C
name = "guest"
type = "pvh"
kernel = "/guest/actor"
cmdline = "spin"
memory = 64
C

cpus=$(xl info | sed -n 's/^nr_cpus *: //p')
# On one processor the guest has to wait for dom0's, which never becomes free.
on_its_own() { [ "$cpus" -lt 2 ] || shows '^guest 1 0 1 r-- [1-9]' xl vcpu-list guest; }

start_toolstack
step info shows '^xen_scheduler : null$' xl info
step cpupool-list shows "^Pool-0 $cpus null y 1$" xl cpupool-list
step no-credit fails xl sched-credit2 -d 0 -w 512
step create xl create /tmp/guest.cfg
step guest-on-its-own wait_until 30 on_its_own
xl vcpu-list
step destroy xl destroy guest
step no-guests wait_until 30 no_guests

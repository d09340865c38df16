# shellcheck shell=bash
# Runs in dom0: dom0's balloon, down and up again, with a guest in between that takes the memory it gave back.
dom0_mib() { xl list | awk '$1 == "Domain-0" { print $3 }'; }
has_at_most() { [ "$(dom0_mib)" -le "$1" ]; }
has_at_least() { [ "$(dom0_mib)" -ge "$1" ]; }
free_mib() { xl info | sed -n 's/^free_memory *: //p'; }
create() {
    cat > "/tmp/$1.cfg" << C
name = "$1"
type = "pvh"
kernel = "/guest/actor"
cmdline = "idle"
memory = $2
vcpus = 1
C
    xl create -q "/tmp/$1.cfg"
}

start_toolstack
whole=$(dom0_mib)
step shrink xl mem-set Domain-0 700
step shrunk wait_until 60 has_at_most 700
# Some is left for the guest's page tables and grants.
step create-large create large $(($(free_mib) - 24))
step grow xl mem-set Domain-0 "$whole"
sleep 8
echo "DOM0-MIB beside-the-guest $(dom0_mib)"
step waits-for-the-guest has_at_most 740
step destroy xl destroy large
step whole-again wait_until 120 has_at_least "$whole"
step create-once-more create small 64

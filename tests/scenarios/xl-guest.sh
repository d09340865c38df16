# shellcheck shell=bash
# Runs in dom0: a stock Linux guest that stays and reports what it sees, while stock xl changes its machine.
cat > /tmp/service.cfg << C
name = "service"
uuid = "00112233-4455-6677-8899-aabbccddeeff"
type = "pvh"
kernel = "/guest/vmlinuz"
ramdisk = "/guest/initrd"
root = "/dev/ram0 ro"
extra = "console=hvc0 role=service"
memory = 256
vcpus = 2
maxvcpus = 4
cpus = "all"
disk = [ '/tmp/a.img,raw,xvda,rw', 'phy:/dev/loop7,xvdb,r', 'format=raw, vdev=xvdc, access=rw, target=/tmp/c.img' ]
vif = [ 'bridge=xenbr0,mac=00:16:3e:00:00:01', 'mac=00:16:3e:00:00:02,bridge=xenbr0' ]
on_poweroff = "destroy"
on_reboot = "restart"
on_crash = "preserve"
C
cat > /tmp/small.cfg << C
name = "small"
type = "pvh"
kernel = "/guest/vmlinuz"
ramdisk = "/guest/initrd"
cmdline = "console=hvc0 role=service"
memory = 128
vcpus = 8
C

make_disks() {
    local name
    for name in a b c d; do head -c 4194304 /dev/urandom > "/tmp/$name.img" || return 1; done
    losetup /dev/loop7 /tmp/b.img
}
md5_of() { md5sum < "$1" | cut -d' ' -f1; }
disk_is() { ask 20 service "GUEST-MD5 $1 $(md5_of "$2")" md5 "$1"; }
report() { ask 40 service "GUEST-REPORT $1 $2" report "$1"; }
network() {
    tell service address 0 10.9.0.2/24
    sleep 2
    ask 30 service '[1-3] packets received, [0-9]' ping 10.9.0.1
}
# Without a terminal `xl console` only shows, first what was said before, then what follows, until it is ended.
console() {
    local job
    xl console -t pv service > /tmp/screen 2>&1 &
    job=$!
    wait_until 20 grep -q GUEST-READY /tmp/screen && tell service say on-the-console &&
        wait_until 20 grep -q 'GUEST-SAYS on-the-console' /tmp/screen || { tail -n 5 /tmp/screen; kill "$job"; return 1; }
    kill "$job" && wait "$job"
}
# What is said to a paused guest it hears later.
paused() { xl pause service && domain_is service p && tell service say later && sleep 2 && fails heard service 'GUEST-SAYS later'; }
unpaused() { xl unpause service && wait_until 10 heard service 'GUEST-SAYS later'; }
vcpus() { xl vcpu-set --ignore-host service "$1" && report "vcpus$1" "cpus $2 of "; }
# This kernel cannot start processors that were off when it booted (its own tables have them as absent): the toolstack's part is looked at.
vcpus_announced() {
    local id
    id=$(xl domid service)
    xl vcpu-set --ignore-host service 4 && same "$(xenstore-read "/local/domain/$id/cpu/3/availability")" online && report announced 'cpus 0-1 of '
}
memory_less() {
    xl mem-set service 160 || return 1
    balloon_is() { shows "^service [0-9]+ $1 " xl list service > /dev/null; }
    wait_until 40 balloon_is 160 && xl list && [ "$(free_memory)" -ge $((free_while + 90)) ]
}
memory_back() { xl mem-set service 256 && wait_until 40 balloon_is 256; }
block_attach() { xl block-attach service '/tmp/d.img,raw,xvdd,rw' && report attached '.* disks xvda xvdb xvdc xvdd nets'; }
block_detach() { xl block-detach service xvdd && report detached '.* disks xvda xvdb xvdc nets'; }
network_attach() { xl network-attach service bridge=xenbr0 mac=00:16:3e:00:00:03 && report more '.* nets eth0 eth1 eth2$'; }
network_detach() { xl network-detach service 2 && report fewer '.* nets eth0 eth1$'; }
reboot_guest() {
    local first
    first=$(xl domid service) && xl reboot service || return 1
    is_another() { local now; now=$(xl domid service 2> /dev/null) && [ "$now" -gt "$first" ]; }
    wait_until 90 is_another && heard service 'GUEST-ASKED reboot' || { cat /var/log/xen/xl-service.log; return 1; }
}
ready() { [ "$(said "$1" | grep -c GUEST-READY)" -ge "$2" ]; }
small_says() { tr -d '\r' < /tmp/small.console | grep -Eq -- "$1"; }
# The console's other end keeps the foreground of `xl create -c` busy until the guest is gone.
create_small() {
    (sleep 400 | xl create -c /tmp/small.cfg > /tmp/small.console 2>&1) &
    touch /tmp/small.console
    wait_until 120 small_says GUEST-READY || { cat /tmp/small.console; return 1; }
}
all_memory_back() { same "$(free_memory)" "$free"; }

start_toolstack
step disks make_disks
free=$(free_memory)
step create xl create /tmp/service.cfg
step ready wait_until 120 ready service 1
free_while=$(free_memory)
step devices-and-vcpus report started 'cpus 0-1 of 0-[13] memory [0-9]+ disks xvda xvdb xvdc nets eth0 eth1$'
step disk-file disk_is xvda /tmp/a.img
step disk-block-device disk_is xvdb /tmp/b.img
step network network
step console console
step paused paused
step unpaused unpaused
step vcpus-announced vcpus_announced
step vcpus-1 vcpus 1 0
step vcpu-list shows "^service [0-9]+ 1 - --p " xl vcpu-list service
step vcpus-2 vcpus 2 0-1
step memory-less memory_less
step memory-back memory_back
step block-list shows '^51728 0 [0-9]+ 4 ' xl block-list service
step block-attach block_attach
step disk-attached disk_is xvdd /tmp/d.img
step block-detach block_detach
step network-list shows '^1 0 00:16:3e:00:00:02 [0-9]+ 4 ' xl network-list service
step network-attach network_attach
step network-detach network_detach
step reboot reboot_guest
step ready-again wait_until 120 ready service 2
step same-uuid shows '^00112233-4455-6677-8899-aabbccddeeff [0-9]+ service *$' xl vm-list
step shutdown xl shutdown -w service
step create-small-with-console create_small
step small-on-console small_says 'GUEST-INIT .* type PVH cpus 8'
step small-memory shows '^small [0-9]+ 128 8 ' xl list
step small-destroyed xl destroy small
step no-guests wait_until 30 no_guests
step all-memory-back wait_until 20 all_memory_back

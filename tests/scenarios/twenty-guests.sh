# shellcheck shell=bash
# Runs in dom0: many stock Linux guests at once, each with a disk whose checksum it prints, then cycles of create and destroy.
guests=20 cycles=200

# What the hypervisor says of its memory: free pages, and the objects and bytes on its heap.
memory() {
    xl dmesg -c > /dev/null
    xl debug-keys m
    xl dmesg | sed -n -e 's/.*pages, \([0-9]*\) free.*/\1 free pages/p' -e 's/.*heap: \(.*\)/\1/p' | head -n 2 | paste -sd ' '
}
# The first guests make the hypervisor's tables of dom0 grow (event channels, grant mappings), which stay as long as dom0: a few pages.
pages_back() {
    local free_before heap_before free_after heap_after
    read -r free_before _ _ _ _ _ heap_before _ <<< "$1"
    read -r free_after _ _ _ _ _ heap_after _ <<< "$2"
    same "$free_before" "$free_after" && [ $((heap_after - heap_before)) -lt 65536 ]
}
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
domains() { xl list | tail -n +3 | wc -l; }
all_gone() { [ "$(domains)" -eq 0 ]; }

make_disks() {
    local n
    for n in $(seq "$guests"); do
        head -c 2097152 /dev/urandom > "/tmp/disk$n.img" || return 1
        md5sum < "/tmp/disk$n.img" | cut -d' ' -f1 > "/tmp/md5-$n"
        sed -e "s/^name = .*/name = \"many$n\"/" -e 's/^memory = .*/memory = 128/' -e 's/^vcpus = .*/vcpus = 1/' -e '/^vif/d' \
            -e "s,/tmp/disk.img,/tmp/disk$n.img," /etc/xen/demo.cfg > "/tmp/many$n.cfg"
    done
}

create_all() { local n; for n in $(seq "$guests"); do xl create -q -p "/tmp/many$n.cfg" && echo "CREATED $n $(uptime_seconds)" || return 1; done; }
start_all() { local n; for n in $(seq "$guests"); do xl unpause "many$n" || return 1; done; }

check_all() {
    local n bad=0
    for n in $(seq "$guests"); do
        grep -q "GUEST-DISK-MD5 $(cat "/tmp/md5-$n")" "/var/log/xen/console/guest-many$n.log" || { echo "guest $n: wrong or no checksum"; bad=1; }
    done
    return $bad
}

# Every tenth time with a disk, whose hotplug scripts take most of the time; else with the console only.
run_cycles() {
    local n config
    sed -e '/^disk/d' /tmp/many1.cfg > /tmp/plain.cfg
    for n in $(seq "$cycles"); do
        [ $((n % 10)) -eq 0 ] && config=many1 || config=plain
        xl create -q -p "/tmp/$config.cfg" && xl destroy many1 || { echo "cycle $n failed"; return 1; }
        [ $((n % 20)) -ne 0 ] || echo "CYCLES $n $(uptime_seconds)"
    done
}

start_toolstack
step disks make_disks
before=$(memory)
echo "MEMORY before $before"
step all-created create_all
xl list
step all-started start_all
step all-finished wait_until 1800 all_gone
step all-checksums check_all
after=$(memory)
echo "MEMORY after $after"
step all-memory-back pages_back "$before" "$after"
step all-cycles run_cycles
last=$(memory)
echo "MEMORY after-cycles $last"
step all-memory-back-after-cycles same "$after" "$last"

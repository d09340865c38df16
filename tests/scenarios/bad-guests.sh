# shellcheck shell=bash
# Runs in dom0: asks for guests that cannot be. Each has to be refused with a message and leave no domain and no page behind.
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
all_gone() { [ "$(xl list | wc -l)" -eq 2 ]; }
free_pages() { xl debug-keys m && xl dmesg | sed -n 's/.*pages, \([0-9]*\) free.*/\1/p' | tail -n 1; }

# config NAME KERNEL MEMORY VCPUS
config() { printf 'name = "%s"\ntype = "pvh"\nkernel = "%s"\nmemory = %s\nvcpus = %s\n' "$@" > "/tmp/$1.cfg"; }

# refused PATTERN NAME KERNEL MEMORY VCPUS: cannot be created, and says why.
refused() {
    local why=$1
    shift
    config "$@"
    ! xl create "/tmp/$1.cfg" > /tmp/said 2>&1 || return 1
    cat /tmp/said
    grep -qiE "$why" /tmp/said && wait_until 10 all_gone
}

twice() {
    config twin /guest/hello 32 1
    xl create -q -p /tmp/twin.cfg || return 1
    ! xl create -q -p /tmp/twin.cfg > /tmp/said 2>&1 || return 1
    cat /tmp/said
    grep -q 'already exists' /tmp/said && [ "$(xl list | wc -l)" -eq 3 ] && xl destroy twin
}

no_such_guest() { ! xl destroy nobody && ! xl destroy 4711 && ! xl domname 4711; }

# Large guests first, then smaller ones, until there is no room for the smallest.
use_up() {
    local size count=0
    for size in 640 256 64 16; do
        while config "filler$count" /guest/hello "$size" 1 && xl create -q -p "/tmp/filler$count.cfg" > /tmp/said 2>&1; do
            count=$((count + 1))
        done
        cat /tmp/said
    done
    echo "$count guests, $(xl info | sed -n 's/^free_memory *: //p') MiB left"
    fillers=$count
    [ "$count" -ge 4 ]
}

release() {
    local n
    for n in $(seq 0 $((fillers - 1))); do xl destroy "filler$n" || return 1; done
    wait_until 30 all_gone
}

still_refused() {
    ! xl create -q -p "/tmp/filler$fillers.cfg" && [ "$(xl list | wc -l)" -eq $((fillers + 2)) ]
}

good_guest() {
    config good /guest/hello 32 1
    xl create -q /tmp/good.cfg && wait_until 60 all_gone
}

start_toolstack
head -c 150000 /guest/hello > /tmp/cut
: > /tmp/empty
echo "this is no kernel" > /tmp/text
{ head -c 24 /guest/hello; head -c 4096 /dev/urandom; tail -c +4121 /guest/hello; } > /tmp/damaged
config warm-up /guest/hello 32 1
xl create -q -p /tmp/warm-up.cfg && xl destroy warm-up
wait_until 10 all_gone
before=$(free_pages)
echo "FREE-PAGES before $before"
step cut-kernel refused 'kernel|image|elf' bad /tmp/cut 32 1
step empty-kernel refused 'kernel|image|file' bad /tmp/empty 32 1
step text-kernel refused 'kernel|image|elf' bad /tmp/text 32 1
step no-kernel refused 'kernel|no such file' bad /tmp/nothing 32 1
step damaged-kernel refused 'kernel|image|elf' bad /tmp/damaged 32 1
step too-much-memory refused 'memory' bad /guest/hello 1000000 1
step too-many-vcpus refused 'vcpu|cpu' bad /guest/hello 32 5000
step same-name-twice twice
step no-such-guest no_such_guest
step memory-used-up use_up
step create-when-used-up still_refused
step all-gone release
sleep 3
after=$(free_pages)
echo "FREE-PAGES after $after"
step all-pages-back same "$before" "$after"
step good-guest good_guest

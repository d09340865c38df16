# shellcheck shell=bash
# Runs in dom0: guests from configuration files, and their ends. What they see they print on the hypervisor's console.
actor() { # NAME WORDS LINE...
    local name=$1 words=$2
    shift 2
    printf '%s\n' "name = \"$name\"" 'type = "pvh"' 'kernel = "/guest/actor"' "cmdline = \"$words\"" 'memory = 64' "$@" > "/tmp/$name.cfg"
}
# Runs a guest to its end and keeps what it said in /tmp/said: run NAME WORDS LINE...
run() {
    xl dmesg -c > /dev/null
    actor "$@"
    xl create -q "/tmp/$1.cfg" || return 1
    wait_until 40 domain_gone "$1" || { xl list; xl destroy "$1"; return 1; }
    xl dmesg | grep ACTOR > /tmp/said
}
says() { grep -Eq -- "$1" /tmp/said || { printf 'nothing like %s in:\n' "$1"; cat /tmp/said; return 1; }; }
tsc() { # MODE EMULATED
    run tsc 'facts poweroff' "tsc_mode = \"$1\"" && says "$2" && says 'tsc khz [1-9][0-9]{5,}$'
}
clocks() {
    run clocks 'time poweroff' "tsc_mode = \"$1\"" && cat /tmp/said && says 'clocks agree: true' &&
        says 'tsc written Ok\(\(\)\) to 1 clock went on (1[3-9]..|2...)$'
}
refused() { actor "$@" && fails xl create "/tmp/$1.cfg" > /tmp/errors 2>&1 && wait_until 20 domain_gone "$1"; }
# Bit 20 of ECX: SSE4.2.
sse42() {
    local ecx
    ecx=$(sed -n 's/.*cpuid 0x1 .* ecx \([0-9a-f]*\) .*/\1/p' /tmp/said)
    [ -n "$ecx" ] && [ $((0x$ecx >> 20 & 1)) -eq "$1" ]
}
has_sse42() { run plain 'facts poweroff' && sse42 1; }
has_no_sse42() { run masked 'facts poweroff' 'cpuid = "host,sse4_2=0"' && sse42 0; }
wallclock() { sed -n 's/.*ACTOR wallclock \([0-9]*\) .*/\1/p' /tmp/said; }
# In zones two and five hours east of Greenwich. A guest without an offset has no wall clock that early on real Xen.
localtime() {
    local first
    TZ=EAST-2 run here 'facts poweroff' 'localtime = 1' || return 1
    first=$(wallclock)
    TZ=EAST-5 run east 'facts poweroff' 'localtime = 1' || return 1
    echo "WALLCLOCK $first, then $(wallclock)"
    [ $(($(wallclock) - first - 10800)) -ge -1 ] && [ $(($(wallclock) - first - 10800)) -le 1 ]
}
uuid() {
    actor named idle 'uuid = "89abcdef-0123-4567-89ab-cdef01234567"' && xl create -q /tmp/named.cfg &&
        shows '^89abcdef-0123-4567-89ab-cdef01234567 [0-9]+ named *$' xl vm-list && xl destroy named
}
eight_vcpus() {
    actor many idle 'vcpus = 8' 'maxvcpus = 8' && xl create -q /tmp/many.cfg && shows '^many [0-9]+ 64 1 ' xl list &&
        [ "$(xl vcpu-list many | wc -l)" -eq 9 ] && xl destroy many
}
# Stays with the state it ended in: preserved NAME WORDS STATE LINE...
preserved() {
    local name=$1 state=$3
    actor "$1" "$2" "${@:4}" && xl create -q "/tmp/$name.cfg" && wait_until 30 domain_is "$name" "$state" && xl destroy "$name"
}
# Ends guests that would go on restarting for ever, and whoever restarts them.
end_all() {
    local id
    pidof xl | xargs -r kill 2> /dev/null
    for id in $(xl list | awk 'NR > 2 { print $2 }'); do xl destroy "$id" 2> /dev/null; done
    no_guests
}
restarts() {
    local first
    actor again 'wait=300 reboot' 'on_reboot = "restart"' && xl create -q /tmp/again.cfg || return 1
    first=$(xl list | awk 'END { print $2 }')
    another() { [ "$(xl list | awk 'END { print $2 }')" -gt "$first" ]; }
    wait_until 40 another && wait_until 30 end_all
}
# The one that crashed stays under a name with the time, and another one takes its place.
renamed() {
    actor victim 'wait=300 crash' 'on_crash = "rename-restart"' && xl create -q /tmp/victim.cfg || return 1
    wait_until 40 shows '^victim-20[0-9TZ]+ [0-9]+ 64 1 ---[-s]c-' xl list > /tmp/waiting || { cat /tmp/waiting; return 1; }
    xl list
    wait_until 30 end_all
}
triple_fault() { run fault 'wait=100 fault' 'on_crash = "destroy"' 'on_reboot = "destroy"'; }
memory_back() { same "$(free_memory)" "$free"; }

start_toolstack
free=$(free_memory)
step tsc-default tsc default 'tsc mode 0 emulated [01] incarnation 1'
step tsc-native tsc native 'tsc mode 2 emulated 0 incarnation 1'
step tsc-emulated tsc always_emulate 'tsc mode 1 emulated 1 incarnation 1'
step tsc-paravirtual-refused refused paravirtual poweroff 'tsc_mode = "native_paravirt"'
step clocks-agree-natively clocks native
step clocks-agree-emulated clocks always_emulate
step cpuid-as-it-is has_sse42
step cpuid-masked has_no_sse42
step localtime localtime
step uuid uuid
step eight-vcpus eight_vcpus
step ports run ports 'facts poweroff' 'ioports = [ "2f8-2ff" ]'
step passthrough-refused refused passed poweroff 'passthrough = "enabled"'
step poweroff-destroy run off 'wait=100 poweroff' 'on_poweroff = "destroy"'
step poweroff-preserve preserved kept 'wait=100 poweroff' s 'on_poweroff = "preserve"'
step reboot-restart restarts
step reboot-destroy run once 'wait=100 reboot' 'on_reboot = "destroy"'
step crash-preserve preserved broken 'wait=100 crash' c 'on_crash = "preserve"'
step crash-destroy run crashed 'wait=100 crash' 'on_crash = "destroy"'
step crash-rename-restart renamed
step triple-fault triple_fault
step too-much-memory refused huge idle 'memory = 8000' 'maxmem = 8000'
step no-guests wait_until 30 no_guests
step memory-back wait_until 20 memory_back

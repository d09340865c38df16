# shellcheck shell=bash
# Runs in dom0: what each command prints, with patterns that real Xen's output satisfies as well.
cat > /tmp/idle.cfg << C
name = "idle"
type = "pvh"
kernel = "/guest/actor"
cmdline = "idle"
memory = 64
vcpus = 2
uuid = "01234567-89ab-cdef-0123-456789abcdef"
C

info() {
    local pattern
    xl info > /tmp/info || return 1
    for pattern in 'nr_cpus *: 1' 'max_cpu_id *: 0' 'nr_nodes *: 1' 'cores_per_socket *: 1' 'threads_per_core *: 1' \
        'cpu_mhz *: [0-9]+\.[0-9]{3}' 'hw_caps *: ([0-9a-f]{8}:){7}[0-9a-f]{8}' 'virt_caps *: .*hvm.* hap .*gnttab-v1' \
        'free_cpus *: 0' 'xen_major *: 4' 'xen_minor *: 20' 'xen_extra *: \.[^ ]+' 'xen_version *: 4\.20\.[^ ]+' \
        'xen_caps *: .*hvm-3\.0-x86_32 hvm-3\.0-x86_32p hvm-3\.0-x86_64 ' 'xen_scheduler *: credit2' 'xen_pagesize *: 4096' \
        'platform_params *: virt_start=0x0' 'xen_commandline *: placeholder .*guest_loglvl=all' 'sharing_used_memory *: 0' \
        'outstanding_claims *: 0' 'xend_config_format *: 4'; do
        grep -Eq -- "^$pattern" /tmp/info || { echo "no $pattern in xl info:"; cat /tmp/info; return 1; }
    done
}
# dom0 has 1024 MiB of the machine's 3072; the hypervisor itself needs a little.
info_memory() {
    local total free
    total=$(sed -n 's/^total_memory *: //p' /tmp/info) free=$(sed -n 's/^free_memory *: //p' /tmp/info)
    [ "$total" -ge 3060 ] && [ "$total" -le 3072 ] && [ "$free" -ge 1950 ] && [ "$free" -le $((total - 1023)) ]
}
list_long() { xl list -l > /tmp/list && grep -q '"name": "Domain-0"' /tmp/list && grep -q '"weight": 256' /tmp/list; }
list_long_guest() {
    xl list -l idle > /tmp/list
    grep -q '"kernel": "/guest/actor"' /tmp/list && grep -q '"target_memkb": 65536' /tmp/list && grep -q '"max_vcpus": 2' /tmp/list &&
        grep -q '"uuid": "01234567-89ab-cdef-0123-456789abcdef"' /tmp/list
}
same_name() { fails xl create /tmp/idle.cfg 2> /tmp/errors && grep -q 'already exists' /tmp/errors && shows '^idle 1 ' xl list; }
seconds_of() { xl list "$1" | awk 'NR == 2 { print $NF }'; }
uses_no_time() {
    local before
    before=$(seconds_of idle)
    sleep 2
    same "$(seconds_of idle)" "$before"
}
try_xentop() {
    xentop -b -i 2 -d 1 > /tmp/xentop || return 1
    tr -s ' ' < /tmp/xentop > /tmp/top
    # Two iterations, each with a heading, dom0 and the guest.
    [ "$(grep -c 'NAME STATE CPU(sec) CPU(%) MEM(k)' /tmp/top)" -eq 2 ] && [ "$(grep -c 'Domain-0 -----r ' /tmp/top)" -eq 2 ] &&
        [ "$(grep -Ec '^ *new-name --b--- .* 6[0-9]{4} .* 2 ' /tmp/top)" -eq 2 ] || { cat /tmp/xentop; return 1; }
}
# What each key shows has something to do with it.
try_debug_keys() {
    local key pattern bad=0
    while read -r key pattern; do
        xl dmesg -c > /dev/null
        xl debug-keys "$key" || { echo "key $key"; bad=1; }
        xl dmesg > /tmp/keys
        grep -Eiq -- "$pattern" /tmp/keys || { echo "key $key, no $pattern in:"; cat /tmp/keys; bad=1; }
    done << KEYS
h debug.?keys|list|this
q (domain 1|d1):?
r credit2
e event.?channel
g grant.?table
m pages|physical memory
d rip|d0v0
KEYS
    return $bad
}
dmesg_clear() { xl dmesg -c > /dev/null && xl dmesg > /tmp/rest && [ "$(wc -c < /tmp/rest)" -lt 200 ]; }
unknown_domain() { fails xl domid nobody 2> /dev/null && fails xl domname 77 2> /dev/null && fails xl pause nobody 2> /dev/null && fails xl list nobody 2> /dev/null; }
memory_back() { same "$(free_memory)" "$free"; }

start_toolstack
step info info
step info-memory info_memory
step list shows '^Domain-0 0 102[34] 1 r----- [0-9]+\.[0-9]' xl list
step list-long list_long
step vcpu-list shows '^Domain-0 0 0 0 r-- [0-9.]+ all / all' xl vcpu-list
step uptime shows '^Domain-0 0 0:0[0-9]:[0-9]{2}' xl uptime
step cpupool-list shows '^Pool-0 1 credit2 y 1$' xl cpupool-list
step cpupool-cpus shows '^Pool-0 0$' xl cpupool-list -c
step domid same "$(xl domid Domain-0)" 0
step domname same "$(xl domname 0)" Domain-0
step unknown-domain unknown_domain
free=$(free_memory)
step create-paused xl create -p /tmp/idle.cfg
step paused-state shows '^idle 1 64 1 --p--- 0\.0' xl list
step paused-vcpu shows '^idle 1 0 [-0] (---|--p) 0\.0 all / all' xl vcpu-list idle
step list-long-guest list_long_guest
step same-name same_name
step xenstore-entry same "$(xenstore-read /local/domain/1/name) $(xenstore-read /local/domain/1/memory/target)" "idle 65536"
step unpause xl unpause idle
step guest-runs wait_until 20 domain_is idle '-b----'
step pause xl pause idle
step paused-uses-no-time uses_no_time
step unpause-again xl unpause idle
step rename xl rename idle new-name
step renamed same "$(xl domid new-name) $(xl domname 1)" "1 new-name"
step uptime-guest shows '^new-name 1 0:0[0-9]:[0-9]{2}' xl uptime
step vcpu-pin xl vcpu-pin new-name all 0
step vcpu-pin-soft xl vcpu-pin new-name 1 all 0
step vcpu-pin-nowhere fails xl vcpu-pin new-name 0 5
step mem-max xl mem-max new-name 80
step xentop try_xentop
step dmesg shows 'Command line: placeholder' xl dmesg
step debug-keys try_debug_keys
step dmesg-clear dmesg_clear
step destroy xl destroy new-name
step destroyed wait_until 20 no_guests
step claims shows '^Domain-0 0 102[34] 1 r----- [0-9.]+ 0$' xl claims
step memory-back wait_until 20 memory_back

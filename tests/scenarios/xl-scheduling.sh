# shellcheck shell=bash
# Runs in dom0: CPU-bound guests under weights and caps. They run only while they are measured, since they hold up dom0.
actor() { # NAME WORDS LINE...
    local name=$1 words=$2
    shift 2
    printf '%s\n' "name = \"$name\"" 'type = "pvh"' 'kernel = "/guest/actor"' "cmdline = \"$words\"" 'memory = 64' "$@" > "/tmp/$name.cfg"
}
seconds_of() { xl list "$1" | awk 'NR == 2 { print $NF }'; }
# What two guests have used, each in seconds, while both ran for about $1 seconds.
measure() {
    local light heavy
    light=$(seconds_of light) heavy=$(seconds_of heavy)
    xl unpause light
    xl unpause heavy
    sleep "$1"
    xl pause light
    xl pause heavy
    awk -v l0="$light" -v l1="$(seconds_of light)" -v h0="$heavy" -v h1="$(seconds_of heavy)" 'BEGIN { print l1 - l0, h1 - h0 }'
}
# Whether the heavy one got between $2 and $3 times what the light one got in $1 seconds.
share() {
    local used
    used=$(measure "$1")
    echo "SHARE light heavy: $used"
    awk -v low="$2" -v high="$3" '{ exit !($1 > 0.5 && $2 >= low * $1 && $2 <= high * $1) }' <<< "$used"
}
wrong_values() {
    fails xl sched-credit2 -d light -w 0 2> /dev/null && fails xl sched-credit2 -d light -w 70000 2> /dev/null &&
        fails xl sched-credit2 -d light -c 101 2> /dev/null && shows '^light [0-9]+ 1024 0$' xl sched-credit2 -d light
}
all_vcpus_run() { [ "$(xl vcpu-list wide | awk 'NR > 1 && $6 > 0' | wc -l)" -eq 2 ]; }
destroy_all() { xl destroy light && xl destroy heavy && xl destroy wide; }

actor light spin 'vcpus = 1' 'cpu_weight = 256'
actor heavy spin 'vcpus = 1' 'cpu_weight = 512'
actor wide spin-all 'vcpus = 2' 'cpus = "0"' 'cap = 150'
start_toolstack
step defaults shows '^Domain-0 0 256 0$' xl sched-credit2
step create-light xl create -p /tmp/light.cfg
step create-heavy xl create -p /tmp/heavy.cfg
step weights-shown shows '^heavy 2 512 0$' xl sched-credit2
step share-1-to-2 share 12 1.5 2.7
step set-weight xl sched-credit2 -d light -w 1024
step share-4-to-2 share 12 0.36 0.67
step set-cap xl sched-credit2 -d heavy -c 20
step cap-shown shows '^heavy 2 512 20$' xl sched-credit2 -d heavy
# A fifth of the processor at most, of which the other one gets the rest.
step capped share 10 0.05 0.34
step uncap xl sched-credit2 -d heavy -c 0
step wrong-values wrong_values
step create-wide xl create -q /tmp/wide.cfg
sleep 4
xl pause wide
xl vcpu-list
step all-vcpus-run all_vcpus_run
step pinned shows '^wide 3 [01] 0 ' xl vcpu-list wide
step destroy destroy_all
step no-guests wait_until 30 no_guests

# shellcheck shell=bash
# Runs in dom0: how long `xl create` takes until the guest's first process runs, while more and more other guests are there.
# The others are bare kernels that wait, each with a console and its part of the store.
crowd=${CROWD:-100} points=${POINTS:-0 10 50 100} rounds=3

head -c 2097152 /dev/urandom > /tmp/disk.img
sed -e 's/^memory = .*/memory = 128/' -e 's/^vcpus = .*/vcpus = 1/' -e 's/^extra = .*/extra = "console=hvc0 role=service"/' /etc/xen/demo.cfg > /tmp/measured.cfg
log=/var/log/xen/console/guest-demo.log

now_ms() { local up; read -r up _ < /proc/uptime; echo $((10#${up/./} * 10)); }
started() { [ -e "$log" ] && grep -q GUEST-INIT "$log"; }
# The time of one guest, in ms: until xl has come back, and until its first process has said so.
measure_one() {
    local begin created
    rm -f "$log"
    kill -HUP "$(cat /run/xenconsoled.pid)"
    begin=$(now_ms)
    xl create -q /tmp/measured.cfg || return 1
    created=$(now_ms)
    wait_quickly 120 started || return 1
    took="$took $((created - begin))/$(($(now_ms) - begin))"
    xl destroy demo && wait_until 20 domain_gone demo
}
wait_quickly() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}
measure() {
    local round
    took=
    for round in $(seq "$rounds"); do measure_one || { echo "round $round failed"; return 1; }; done
    echo "CREATE-TIME guests $1 ms created/first-process$took"
}
fill_to() {
    while [ "$here" -lt "$1" ]; do
        here=$((here + 1))
        printf 'name = "crowd%d"\ntype = "pvh"\nkernel = "/guest/actor"\ncmdline = "idle"\nmemory = 40\nvcpus = 1\n' "$here" > /tmp/crowd.cfg
        xl create -q /tmp/crowd.cfg || return 1
    done
}
all_live() {
    local live
    live=$(xl list | grep -c '^crowd.* -b----\|^crowd.* ------ \|^crowd.* r-----')
    [ "$live" -eq "$1" ] || { echo "$live of $1 guests live"; return 1; }
}
curve() {
    local point
    here=0
    for point in $points; do
        [ "$point" -le "$crowd" ] && fill_to "$point" && all_live "$point" && measure "$point" || return 1
    done
}

start_toolstack
step curve curve

# shellcheck shell=bash
# Runs in dom0: how long `xl create` takes until the guest's first process runs, Debian's and ours, while more and more other guests are there.
# The others are bare kernels that wait, each with a console and its part of the store.
points='0 10 50 100' rounds=3
debian=/usr/lib/xen-4.20/bin/xl own=/own/xl

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
    "$1" create -q /tmp/measured.cfg || return 1
    created=$(now_ms)
    wait_quickly 120 started || return 1
    took="$((created - begin))/$(($(now_ms) - begin))"
    "$1" destroy demo && wait_until 20 domain_gone demo
}
wait_quickly() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}
# measure XL GUESTS: a line with the times, of which the slowest stay in `created` and `working`.
measure() {
    local round all=''
    created=0 working=0
    for round in $(seq "$rounds"); do
        measure_one "$1" || { echo "round $round of $1 failed"; return 1; }
        all="$all $took"
        [ "${took%/*}" -le "$created" ] || created=${took%/*}
        [ "${took#*/}" -le "$working" ] || working=${took#*/}
    done
    echo "CREATE-TIME guests $2 by $1 ms created/first-process$all"
}
# Ours has the kernel unpacked from the second guest on.
first_guest() { measure_one "$own" && echo "CREATE-TIME first guest by $own ms created/first-process $took"; }
fill_to() {
    while [ "$here" -lt "$1" ]; do
        here=$((here + 1))
        printf 'name = "crowd%d"\ntype = "pvh"\nkernel = "/guest/actor"\ncmdline = "idle"\nmemory = 40\nvcpus = 1\n' "$here" > /tmp/crowd.cfg
        "$own" create -q /tmp/crowd.cfg || return 1
    done
}
all_live() {
    local live
    live=$(xl list | grep -c '^crowd.* -b----\|^crowd.* ------ \|^crowd.* r-----')
    [ "$live" -eq "$1" ] || { echo "$live of $1 guests live"; return 1; }
}
# Ours takes at most half of Debian's time, and hardly more with many guests than with none. The guest's kernel takes its own time after that.
curve() {
    local point debian_created debian_working own_created='' own_working
    here=0
    for point in $points; do
        fill_to "$point" && all_live "$point" && measure "$debian" "$point" || return 1
        debian_created=$created debian_working=$working
        measure "$own" "$point" || return 1
        echo "CREATE-TIME guests $point ours is $((created * 100 / debian_created)) % of Debian's until created, $((working * 100 / debian_working)) % until the first process"
        [ $((created * 2)) -le "$debian_created" ] || { echo "more than half"; return 1; }
        [ -n "$own_created" ] || own_created=$created own_working=$working
        if [ $((created * 100)) -gt $((own_created * 130)) ] || [ $((working * 100)) -gt $((own_working * 120)) ]; then
            echo "grows"
            return 1
        fi
    done
}

start_toolstack
step first-guest first_guest
step curve curve

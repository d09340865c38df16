# shellcheck shell=bash
# Runs in dom0: how long `xl create` takes until the guest's first process runs, Debian's and ours, while more and more other guests are there.
# The others are bare kernels that wait, each with a console and its part of the store.
rounds=3
# With Debian's tools and ours in dom0, Debian's daemons serve both, and the two are compared. With ours alone the number of guests is what matters.
if [ -e /own/xl ]; then
    points='0 10' debian=/usr/lib/xen-4.20/bin/xl own=/own/xl
else
    points='0 10 50 100' debian='' own=xl
fi

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
# At most half of Debian's time; the guest's kernel takes its own time after that.
is_half() {
    echo "CREATE-TIME guests $1 ours is $((created * 100 / debian_created)) % of Debian's until created, $((working * 100 / debian_working)) % until the first process"
    [ $((created * 2)) -le "$debian_created" ]
}
# Hardly more with many guests than with none.
is_flat() { [ $((created * 100)) -le $((first_created * 125)) ] && [ $((working * 100)) -le $((first_working * 115)) ]; }
curve() {
    local point debian_created debian_working first_created='' first_working
    here=0
    for point in $points; do
        fill_to "$point" && all_live "$point" || return 1
        if [ -n "$debian" ]; then
            measure "$debian" "$point" || return 1
            debian_created=$created debian_working=$working
        fi
        measure "$own" "$point" || return 1
        if [ -n "$debian" ]; then
            is_half "$point" || return 1
        else
            [ -n "$first_created" ] || first_created=$created first_working=$working
            is_flat || { echo "grows with the number of guests"; return 1; }
        fi
    done
}

start_toolstack
step first-guest first_guest
step curve curve

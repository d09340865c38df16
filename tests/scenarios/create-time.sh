# shellcheck shell=bash
# Runs in dom0: how long `xl create` takes until the guest's first process runs, Debian's and ours, while more and more other guests are there.
# The measured guests have a disk and an interface; `linux` boots Debian's kernel, `bare` a kernel of a few hundred kilobytes that says at
# once that it is there. The others are bare kernels that wait, each with a console and its part of the store.
rounds=3
# With Debian's tools and ours in dom0, Debian's daemons serve both, and the two are compared. With ours alone the number of guests is what matters.
if [ -e /own/xl ]; then
    points='0 10' debian=/usr/lib/xen-4.20/bin/xl own=/own/xl
else
    points='0 10 50 100' debian='' own=xl
fi
declare -A first_words=([linux]=GUEST-INIT [bare]=ACTOR)

head -c 2097152 /dev/urandom > /tmp/disk.img
sed -e 's/^memory = .*/memory = 128/' -e 's/^vcpus = .*/vcpus = 1/' -e 's/^extra = .*/extra = "console=hvc0 role=service"/' /etc/xen/demo.cfg > /tmp/linux.cfg
sed -e '/^ramdisk = /d' -e 's/^kernel = .*/kernel = "\/guest\/actor"/' -e 's/^extra = .*/extra = "console idle"/' /tmp/linux.cfg > /tmp/bare.cfg
log=/var/log/xen/console/guest-demo.log

# What waits must not take the guest's processor: the shell reads times, the console and, to pause, an empty pipe without starting anything.
mkfifo /tmp/nothing
exec 9<> /tmp/nothing
pause() { read -r -t 0.02 -u 9 _ || true; }
read_clock() { local up; read -r up _ < /proc/uptime; now=$((10#${up/./} * 10)); }
# Waits for a line with these words on the guest's console and leaves it in `line`.
hear() {
    local rest='' deadline=$((SECONDS + 120))
    until [ -e "$log" ]; do [ "$SECONDS" -lt "$deadline" ] && pause || return 1; done
    exec 8< "$log"
    while [ "$SECONDS" -lt "$deadline" ]; do
        if read -r line <&8; then
            line=$rest$line rest=''
            [[ $line != *"$1"* ]] || return 0
        else
            rest=$rest$line
            pause
        fi
    done
    return 1
}
# measure_one XL KIND: the times in ms until xl has come back (`created`) and until its first process has said so (`working`), and of Linux
# how long it says that it had been running by then (`booting`).
measure_one() {
    local begin line
    rm -f "$log"
    kill -HUP "$(cat /run/xenconsoled.pid)"
    read_clock
    begin=$now
    "$1" create -q "/tmp/$2.cfg" || return 1
    read_clock
    created=$((now - begin))
    hear "${first_words[$2]}" || return 1
    read_clock
    working=$((now - begin))
    booting=0
    [[ $line =~ uptime\ ([0-9]+)\.([0-9][0-9]) ]] && booting=$((10#${BASH_REMATCH[1]}${BASH_REMATCH[2]} * 10))
    "$1" destroy demo && wait_until 20 domain_gone demo
}
# measure XL KIND GUESTS: a line with the times; those of the slowest round stay in the three variables.
measure() {
    local round all='' slowest=(0 0 0)
    for round in $(seq "$rounds"); do
        measure_one "$1" "$2" || { echo "round $round of $1 failed"; return 1; }
        all="$all $created/$working"
        [ "$working" -le "${slowest[1]}" ] || slowest=("$created" "$working" "$booting")
    done
    read -r created working booting <<< "${slowest[*]}"
    echo "CREATE-TIME guests $3 $2 by $1 ms created/first-process$all, of which its own $booting"
}
# Ours has the kernel unpacked from the second guest on.
first_guest() { measure_one "$own" linux && echo "CREATE-TIME first guest by $own ms created/first-process $created/$working"; }
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
# compare KIND GUESTS: ours takes at most half of Debian's time, from the command to the first process, less what the guest says that its
# kernel took by itself: that alone is more than half of the whole with Debian's kernel.
compare() {
    local their_created their_working their_booting
    measure "$debian" "$1" "$2" || return 1
    their_created=$created their_working=$working their_booting=$booting
    measure "$own" "$1" "$2" || return 1
    echo "CREATE-TIME guests $2 $1 ours is $((created * 100 / their_created)) % of Debian's until created," \
        "$((working * 100 / their_working)) % until the first process," \
        "$(((working - booting) * 100 / (their_working - their_booting))) % without the guest's own time"
    [ $((created * 2)) -le "$their_created" ] && [ $(((working - booting) * 2)) -le $((their_working - their_booting)) ]
}
# Hardly more with many guests than with none.
is_flat() { [ $((created * 100)) -le $((first_created * 125)) ] && [ $((working * 100)) -le $((first_working * 115)) ]; }
curve() {
    local point first_created='' first_working
    here=0
    for point in $points; do
        fill_to "$point" && all_live "$point" || return 1
        if [ -n "$debian" ]; then
            compare linux "$point" && compare bare "$point" || return 1
        else
            measure "$own" linux "$point" || return 1
            [ -n "$first_created" ] || first_created=$created first_working=$working
            is_flat || { echo "grows with the number of guests"; return 1; }
            measure "$own" bare "$point" || return 1
        fi
    done
}

start_toolstack
step first-guest first_guest
step curve curve

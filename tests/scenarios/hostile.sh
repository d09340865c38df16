# shellcheck shell=bash
# Runs in dom0: hostile guests, one after another, beside an ordinary one, which has to do its work as if it were alone. Each hostile guest
# may end as it likes; the next one goes on with other numbers until enough calls were made.
wanted=${HOSTILE_CALLS:-1000000}
calls_each=350000
log=/var/log/xen/console/guest-demo.log
total=0 seed=0

same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
has_domain() { xl list | grep -q "^$1 "; }
all_gone() { [ "$(xl list | wc -l)" -eq 2 ]; }
free_pages() { xl debug-keys m && xl dmesg | sed -n 's/.*pages, \([0-9]*\) free.*/\1/p' | tail -n 1; }
dom0_answers() { xl list && xl info > /dev/null && xl vcpu-list && has_domain Domain-0 && has_domain demo; }

# What the hypervisor's log has of guests since the last look, and what must never be in it.
look_at_log() {
    xl dmesg -c | grep -v ' pressed: ' > /tmp/dmesg
    grep -E 'panic|Panic|BUG|ASSERT|assertion|overflow|out of bounds' /tmp/dmesg >> /tmp/dmesg-bad
    wc -c < /tmp/dmesg >> /tmp/dmesg-sizes
}
log_is_calm() { ! grep . /tmp/dmesg-bad; }

# Neighbour: it reads its disk again and again.
rounds() { tr -d '\r' < "$log" | grep -c "^GUEST-ROUND .* $disk_md5\$"; }
bad_rounds() { tr -d '\r' < "$log" | grep '^GUEST-ROUND' | grep -vc " $disk_md5\$"; }
works_since() { [ "$(rounds)" -gt "$1" ]; }
neighbour_works() { local since; since=$(rounds); wait_until 120 works_since "$since"; }
neighbour_was_right() { [ "$(rounds)" -ge 3 ] && [ "$(bad_rounds)" -eq 0 ]; }
neighbour_answers() { ping -c 3 10.9.0.2 | tee /dev/stderr | grep -q ' 0% packet loss'; }

# create NAME WORDS...: a hostile guest. It stays to be looked at when it is over.
create() {
    local name=$1
    shift
    cat > "/tmp/$name.cfg" << C
name = "$name"
type = "pvh"
kernel = "/guest/hostile"
cmdline = "$*"
memory = 64
vcpus = 2
on_poweroff = "preserve"
on_crash = "preserve"
on_reboot = "preserve"
on_watchdog = "preserve"
on_soft_reset = "preserve"
C
    xl create -q "/tmp/$name.cfg"
}
# A crash shows as `c`, a shutdown as `s`; one whose vCPUs all wait for ever is `-b----`.
state() { xl list | sed -n "s/^$1  *[0-9]*  *[0-9]*  *[0-9]*  *\([^ ]*\).*/\1/p"; }
# xl itself destroys one that shut down for a reason it does not know.
is_over() { case "$(state "$1")" in ---s*|----c*|"") ;; *) return 1 ;; esac; }
end() { ! has_domain "$1" || xl destroy "$1" || ! has_domain "$1"; }

# round PHASE LIMIT WORDS...: one hostile guest until it is over; adds up its calls. A guest that hangs is no harm, but is told.
round() {
    local phase=$1 limit=$2 made how
    shift 2
    seed=$((seed + 1))
    create hostile "phase=$phase" "seed=$seed" "$@" || return 1
    wait_until "$limit" is_over hostile
    how=$(state hostile)
    look_at_log
    made=$(sed -n 's/.*HOSTILE-[A-Z]* calls=\([0-9]*\).*/\1/p' /tmp/dmesg | tail -n 1)
    total=$((total + ${made:-0}))
    echo "HOSTILE-ROUND $phase seed=$seed $* state=$how calls=${made:-0} total=$total"
    end hostile
}

mixed() {
    while [ "$total" -le "$wanted" ] && [ "$seed" -lt 12 ]; do
        round mixed 400 "calls=$calls_each" || return 1
    done
}

# The second vCPU's calls may end the guest before the sweep is through: then another guest, with other numbers, does it.
sweep() {
    local attempt
    for attempt in 1 2 3 4; do
        round sweep 600 || return 1
        grep -q 'HOSTILE-SWEEP complete' /tmp/dmesg && return 0
        echo "HOSTILE-SWEEP attempt $attempt ended early:"
        grep -v 'HOSTILE-SWEEP ports' /tmp/dmesg | tail -n 8
    done
    return 1
}

# Every way by which a guest ruins itself, four guests at a time. Some wait for ever: that is not waited for.
lethal() {
    local way=0 ways=99 patience found n
    while [ "$way" -lt "$ways" ]; do
        patience=12
        for n in 0 1 2 3; do
            create "lethal$n" phase=lethal "way=$((way + n))" "seed=$((way + n))" || return 1
        done
        for n in 0 1 2 3; do
            wait_until "$patience" is_over "lethal$n" || patience=3
            echo "HOSTILE-LETHAL $((way + n)) state=$(state "lethal$n")"
        done
        for n in 0 1 2 3; do
            end "lethal$n" || return 1
        done
        look_at_log
        found=$(sed -n 's/.*HOSTILE-WAY [0-9]* of \([0-9]*\):.*/\1/p' /tmp/dmesg | tail -n 1)
        ways=${found:-$ways}
        has_domain demo || return 1
        way=$((way + 4))
    done
    [ "$way" -gt 40 ]
}

prepare() {
    head -c 33554432 /dev/urandom > /tmp/disk.img &&
        sed -e 's/^extra = .*/extra = "console=hvc0 guest.rounds=5"/' -e 's/^vcpus = .*/vcpus = 1/' /etc/xen/demo.cfg > /tmp/demo.cfg
}

start_toolstack
step disk-image prepare
disk_md5=$(head -c 1048576 /tmp/disk.img | md5sum | cut -d' ' -f1)
echo "DOM0-DISK-MD5 $disk_md5"
before=$(free_pages)
echo "FREE-PAGES before $before"
step create-neighbour xl create -q /tmp/demo.cfg
step neighbour-works neighbour_works
step mixed mixed
echo "HOSTILE-TOTAL $total"
step million-calls test "$total" -gt "$wanted"
step sweep sweep
step lethal lethal
step dom0-answers dom0_answers
step log-is-calm log_is_calm
step neighbour-still-works neighbour_works
step neighbour-was-right neighbour_was_right
step neighbour-ping neighbour_answers
xl destroy demo
step next-guest xl create -q -p /tmp/demo.cfg
xl destroy demo
step all-gone wait_until 30 all_gone
sleep 3
after=$(free_pages)
echo "FREE-PAGES after $after"
step all-pages-back same "$after" "$before"

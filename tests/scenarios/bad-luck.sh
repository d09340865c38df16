# shellcheck shell=bash
# Runs in dom0: tools that are killed, meet each other or find things missing, disks that are full, daemons that die, and guests that abuse the
# pages they share with the daemons. After each: a clear end in bounded time, the next command works, and nothing is left.
cfg=/tmp/victim.cfg

# guest NAME KERNEL WORDS [LINE...]: writes /tmp/NAME.cfg.
guest() {
    local name=$1 kernel=$2 words=$3
    shift 3
    printf '%s\n' "name = '$name'" "type = 'pvh'" "kernel = '/guest/$kernel'" "cmdline = '$words'" 'memory = 48' 'vcpus = 1' "$@" > "/tmp/$name.cfg"
}
now_ms() { local up; read -r up _ < /proc/uptime; echo $((10#${up/./} * 10)); }
# within SECONDS COMMAND...: it ends in time, and what it says is in /tmp/said.
within() {
    local limit=$(($1 * 1000)) begin code
    begin=$(now_ms)
    shift
    timeout -s KILL "$((limit / 1000 + 60))" "$@" > /tmp/said 2>&1
    code=$?
    took=$(($(now_ms) - begin))
    [ "$took" -le "$limit" ] || { echo "took $took ms: $*"; return 99; }
    return "$code"
}
# refused PATTERN SECONDS COMMAND...: fails in time and says why.
refused() {
    local pattern=$1 code
    shift
    within "$@"
    code=$?
    [ "$code" -ne 0 ] && [ "$code" -ne 99 ] && grep -qiE -- "$pattern" /tmp/said && return 0
    echo "code $code, no $pattern in:"
    cat /tmp/said
    return 1
}
works() { within "$@" || { echo "failed: $*"; cat /tmp/said; return 1; }; }

# All that domains and tools may leave behind.
free_pages() { xl debug-keys m && xl dmesg -c | sed -n 's/.*pages, \([0-9]*\) free.*/\1/p' | tail -n 1; }
processes() { ps -o args | grep -E '(^|} )xl '; }
# Below /local/domain/0/error, one report of dom0's kernel is no trace: that a device went while it looked at it. Nobody removes those on Xen.
traces() {
    echo "free memory $(free_memory) MiB"
    xl list | awk 'NR > 1 && $2 != 0 { print "domain", $1, $2, $5 }'
    xenstore-ls -f / | grep -E '^/(local/domain|libxl|vm)/[1-9a-f]|^/vm/0[^/]*[1-9a-f]|^/local/domain/0/(backend|device-model|error)' |
        grep -vE '^/local/domain/0/((backend|device-model) =|error.* = (""|".*unable to read other end))'
    ls -d /sys/block/loop*/loop /dev/pts/[0-9]* /sys/class/net/xenbr0/brif/* /sys/bus/xen-backend/devices/* 2> /dev/null
    ls /sys/class/net
    # The files of locks that the next one takes, and that it removes, are no trace.
    find /var/lib/xen /run/xen/ /run/xen-hotplug /run/lock -type f ! -name 'domid-history*' ! -name domain-names.lock ! -path /run/xen-hotplug/block 2> /dev/null
    processes
}
# The same at a glance, without free memory and processes.
glance() {
    printf '%s\n' /sys/block/loop*/loop /dev/pts/* /sys/class/net/* /sys/class/net/xenbr0/brif/* /sys/bus/xen-backend/devices/* /var/lib/xen/*
    xenstore-list /local/domain /libxl /vm /local/domain/0/backend 2> /dev/null
}
# remember BASE: how it is now; left BASE: it is so again; all_left BASE: in every respect.
remember() { traces | sort > "/tmp/traces-$1" && glance > "/tmp/glance-$1"; }
looks_like() { glance > /tmp/glance-now; cmp -s "/tmp/glance-$1" /tmp/glance-now; }
is_like() { traces | sort > /tmp/traces-now; cmp -s "/tmp/traces-$1" /tmp/traces-now; }
left() {
    local n
    for n in $(seq 40); do looks_like "$1" && return 0; sleep 0.2; done
    all_left "$1" || return 1
    diff "/tmp/glance-$1" /tmp/glance-now | grep '^[+-]'
    return 1
}
all_left() { wait_until 5 is_like "$1" || { echo "not as before ($1):"; diff "/tmp/traces-$1" /tmp/traces-now | grep "^[+-]" | head -n 12; return 1; }; }
nothing_left() { left nobody; }
# lucky NAME BASE COMMAND...: a step after which everything is as before.
lucky() {
    local name=$1 base=$2
    shift 2
    step "$name" after_all "$base" "$@"
    echo "AT $(now_ms) ms"
}
after_all() {
    local base=$1 id
    shift
    "$@" && all_left "$base" && return 0
    # What one step leaves must not be another's fault.
    for id in $(listed); do [ "$base" = host ] && [ "$(xl domname "$id")" = host ] || xl destroy "$id"; done
    return 1
}

# What a user does after something went wrong: looks, and destroys what is there.
listed() { xl list | awk 'NR > 1 && $2 != 0 { print $2 }'; }
tidy() {
    local id
    works 5 xl list || return 1
    for id in $(listed); do works 15 xl destroy "$id" || return 1; done
}
# killed_after MS COMMAND...: what the command said is in /tmp/killed.
killed_after() {
    local ms=$1 job
    shift
    "$@" > /tmp/killed 2>&1 &
    job=$!
    sleep "$(printf '0.%03d' "$ms")"
    kill -9 "$job" 2> /dev/null
    wait "$job" 2> /dev/null
}
with_devices=("disk = ['/tmp/a.img,raw,xvda,rw']" "vif = ['bridge=xenbr0']")

# (1) Tools are killed.
create_and_destroy() { works 10 xl create -q "$cfg" && works 10 xl destroy victim && nothing_left; }
kill_create() {
    local ms seen=
    for ms in $create_moments; do
        killed_after "$ms" xl create -q "$cfg"
        seen="$seen $ms:$(xl list | awk 'NR > 1 && $2 != 0 { print $1 "/" $5 }')"
        tidy && nothing_left || { echo "killed after $ms ms"; cat /tmp/killed; return 1; }
    done
    echo "KILLED xl create:$seen"
    create_and_destroy
}
kill_destroy() {
    local ms
    for ms in $destroy_moments; do
        works 10 xl create -q "$cfg" || return 1
        killed_after "$ms" xl destroy victim
        tidy && nothing_left || { echo "killed after $ms ms"; return 1; }
    done
}
# kill_attach MOMENTS KIND WORDS NUMBER DETACH...: the tool is killed, then the device is taken away if it is there, and attached once more.
kill_attach() {
    local moments=$1 kind=$2 words=$3 number=$4 ms seen=
    shift 4
    for ms in $moments; do
        killed_after "$ms" xl "$kind-attach" host "$words"
        if xl "$kind-list" host | awk -v want="$number" 'NR > 1 && $1 == want { found = 1 } END { exit !found }'; then
            seen="$seen $ms:there"
            works 15 xl "$@" || return 1
        else
            seen="$seen $ms:not"
        fi
        works 10 xl "$kind-attach" host "$words" && works 15 xl "$@" && left host ||
            { echo "killed after $ms ms"; return 1; }
    done
    echo "KILLED xl $kind-attach:$seen"
}
monitor_of() { ps -o pid,args | awk -v name="$1" '/ xl monitor-domain / && $NF == name { print $1 }'; }
kill_monitor() {
    guest shortlived pest 'store=polite ms=600' "${with_devices[@]}"
    works 10 xl create -q /tmp/shortlived.cfg && kill -9 "$(monitor_of shortlived)" || return 1
    wait_until 20 domain_is shortlived '---s--' && works 10 xl destroy shortlived && nothing_left
}

# (2) Two at once.
create_twice() {
    local one two ms
    for ms in 0 5 15; do
        xl create -q "$cfg" > /tmp/said-1 2>&1 & one=$!
        sleep "0.0$(printf %02d "$ms")"
        xl create -q "$cfg" > /tmp/said-2 2>&1 & two=$!
        wait "$one"; one=$?
        wait "$two"; two=$?
        [ $(((one == 0) + (two == 0))) -eq 1 ] && cat /tmp/said-[12] | grep -q 'already exists' && [ "$(listed | wc -l)" -eq 1 ] ||
            { echo "ended with $one and $two"; cat /tmp/said-[12]; xl list; return 1; }
        tidy && nothing_left || return 1
    done
}
same_disk_twice() {
    local one two
    guest rival actor idle "${with_devices[0]}"
    xl create -q "$cfg" > /tmp/said-1 2>&1 & one=$!
    xl create -q /tmp/rival.cfg > /tmp/said-2 2>&1 & two=$!
    wait "$one"; one=$?
    wait "$two"; two=$?
    [ $(((one == 0) + (two == 0))) -eq 1 ] && cat /tmp/said-[12] | grep -q 'is used read-write by' && [ "$(listed | wc -l)" -eq 1 ] ||
        { echo "ended with $one and $two"; cat /tmp/said-[12]; xl list; return 1; }
    tidy && nothing_left
}
create_while_destroying() {
    local ms
    for ms in 0 20 40 80; do
        works 10 xl create -q "$cfg" || return 1
        xl destroy victim > /tmp/said-1 2>&1 &
        sleep "0.0$(printf %02d "$ms")"
        within 15 xl create -q "$cfg" || grep -qE 'already exists|is used read-write by' /tmp/said || { echo "after $ms ms:"; cat /tmp/said; return 1; }
        wait "$!" || { cat /tmp/said-1; return 1; }
        tidy && nothing_left || { echo "after $ms ms"; return 1; }
    done
}
destroy_twice() {
    local one two
    works 10 xl create -q "$cfg" || return 1
    xl destroy victim > /tmp/said-1 2>&1 & one=$!
    xl destroy victim > /tmp/said-2 2>&1 & two=$!
    wait "$one"; one=$?
    wait "$two"; two=$?
    [ "$one" -eq 0 ] || [ "$two" -eq 0 ] || { cat /tmp/said-[12]; return 1; }
    nothing_left
}
attach_twice() {
    local one two
    xl block-attach host '/tmp/b.img,raw,xvdb,rw' > /tmp/said-1 2>&1 & one=$!
    xl block-attach host '/tmp/c.img,raw,xvdb,rw' > /tmp/said-2 2>&1 & two=$!
    wait "$one"; one=$?
    wait "$two"; two=$?
    [ $(((one == 0) + (two == 0))) -eq 1 ] && cat /tmp/said-[12] | grep -q 'exists' || { echo "$one $two"; cat /tmp/said-[12]; return 1; }
    works 10 xl block-detach -f host xvdb && left host
}

# (3) Something is missing, or full.
missing() {
    guest bad none idle && refused 'none.*no such file' 5 xl create -q /tmp/bad.cfg &&
        guest bad actor idle "disk = ['/tmp/none.img,raw,xvda,rw']" && refused 'none.img.*no such file' 5 xl create -q /tmp/bad.cfg &&
        guest bad actor idle "vif = ['bridge=none']" && refused 'bridge.*none|none.*bridge' 5 xl create -q /tmp/bad.cfg &&
        guest bad actor idle "vif = ['script=none']" && refused 'none' 5 xl create -q /tmp/bad.cfg &&
        refused 'none.img.*no such file' 5 xl block-attach host '/tmp/none.img,raw,xvdb,rw' &&
        refused 'bridge.*none|none.*bridge' 5 xl network-attach host bridge=none && left host
}
no_loop() {
    mv /dev/loop-control /dev/away
    refused 'loop' 15 xl create -q "$cfg" && refused 'loop' 15 xl block-attach host '/tmp/b.img,raw,xvdb,rw'
    set -- $?
    mv /dev/away /dev/loop-control
    [ "$1" -eq 0 ] && left host
}
fill() { fill_more "$1" 1 && [ "$(df -P "$1" | awk 'NR == 2 { print $4 }')" -eq 0 ]; }
fill_more() { fails dd if=/dev/zero of="$1/filling.$2" bs=4096 2> /dev/null; }
empty() { rm "$1"/filling.*; }
# A guest can be created, and its console is heard; its log is what suffers.
full_log() {
    fill /var/log/xen && works 10 xl create -q "$cfg" && works 10 xl destroy victim || return 1
    empty /var/log/xen && left host && create_in_host
}
create_in_host() { works 10 xl create -q "$cfg" && works 10 xl destroy victim && left host; }
full_lib() {
    fill /var/lib/xen || return 1
    refused 'no space' 15 xl create -q "$cfg" && fails domain_exists victim && refused 'no space' 10 xl block-attach host '/tmp/b.img,raw,xvdb,rw'
    set -- $?
    empty /var/lib/xen
    [ "$1" -eq 0 ] || return 1
    left host && create_in_host
}
log_says() { grep -qE "$1" /tmp/syslog; }
# The store serves as before, says that it can not keep its state, and keeps it again when it can. It makes room by a shorter state first: that
# room is taken, too.
full_state() {
    local n value
    value=$(head -c 1500 /dev/zero | tr '\0' x)
    for n in $(seq 40); do
        fill_more /run/xenstored "$n" && works 2 xenstore-write "/tool/full/$n" "$value" || return 1
        ! log_says 'xenstored.*the state can not be kept' || break
    done
    works 10 xl create -q "$cfg" && works 5 xl list && works 10 xl destroy victim && same "$(xenstore-read "/tool/full/$n")" "$value" || return 1
    log_says 'xenstored.*the state can not be kept' || { tail /tmp/syslog; return 1; }
    empty /run/xenstored && works 2 xenstore-rm /tool/full && wait_until 15 kept_again && restart_store && host_is_there || { cat /tmp/syslog; return 1; }
}
kept_again() { xenstore-write /tool/now 1 && log_says 'xenstored.*kept again'; }
host_is_there() { shows '^host ' xl list && domain_exists host; }

# (4) Daemons die.
restart_store() {
    kill -9 "$(cat /run/xenstored.pid)" && xenstored --pid-file /run/xenstored.pid
}
restart_console() {
    kill -9 "$(cat /run/xenconsoled.pid)" && sleep 0.2 &&
        xenconsoled --log=guest --log-dir=/var/log/xen/console --pid-file=/run/xenconsoled.pid
}
tty_of() { xenstore-read "/local/domain/$(xl domid "$1")/console/tty"; }
has_tty() { [ -n "$(tty_of "$1")" ]; }
heard_back() { echo "$1" > "$(tty_of parrot)" && sleep 0.3 && grep -q "$1" /var/log/xen/console/guest-parrot.log; }
console_restarts() {
    guest parrot pest 'console=echo ms=900000'
    works 10 xl create -q /tmp/parrot.cfg && wait_until 10 has_tty parrot && wait_until 5 heard_back before || return 1
    restart_console && wait_until 10 has_tty parrot && wait_until 5 heard_back after && restart_store && wait_until 5 heard_back still &&
        works 10 xl destroy parrot && left host
}
store_restarts() {
    local n
    xenstore-write /tool/kept yes || return 1
    for n in $(seq 10); do restart_store && same "$(xenstore-read /tool/kept)" yes && host_is_there || { echo "restart $n"; return 1; }; done
    create_in_host
}
# With its state gone, too: domains are there and their nodes are not. Dom0's kernel has lost its watches with it, so that devices come back with the
# next start of the host only; all else goes on.
store_forgets() {
    works 10 xl create -q /tmp/host.cfg && kill -9 "$(cat /run/xenstored.pid)" && rm /run/xenstored/state && xenstored --pid-file /run/xenstored.pid &&
        works 5 xen-init-dom0 && restart_console && shows '^\(null\) ' xl list && tidy && works 10 xl create -q /tmp/host.cfg && wait_until 10 has_tty host &&
        works 10 xl destroy host && wait_until 40 no_tools_left && no_guests && [ -z "$(listed)" ]
}
no_tools_left() { [ -z "$(processes)" ]; }
init_twice() { works 5 xen-init-dom0 && works 5 xen-init-dom0 && same "$(xenstore-read /local/domain/0/name)" Domain-0 && left host; }

# (5) The guest goes in the middle of an attach.
# Below 0 the domain's end begins first.
attach_to_dying() {
    local ms kind words attached destroyed begin
    while read -r kind words; do
        for ms in -8 -6 -4 -2 0 2 5; do
            guest brief actor idle "${with_devices[1]}"
            works 10 xl create -q -p /tmp/brief.cfg || return 1
            begin=$(now_ms)
            if [ "$ms" -lt 0 ]; then
                xl destroy brief > /tmp/said-2 2>&1 & destroyed=$!
                sleep "0.00${ms#-}"
                xl "$kind-attach" brief "$words" > /tmp/said-1 2>&1 & attached=$!
            else
                xl "$kind-attach" brief "$words" > /tmp/said-1 2>&1 & attached=$!
                [ "$ms" -eq 0 ] || sleep "0.00$ms"
                xl destroy brief > /tmp/said-2 2>&1 & destroyed=$!
            fi
            ends_within 15 "$attached" && ends_within 15 "$destroyed" && wait "$destroyed" || { cat /tmp/said-[12]; return 1; }
            wait "$attached"
            echo "DESTROYED in xl $kind-attach: $ms ms, it ended with $? after $(($(now_ms) - begin)) ms: $(head -n 1 /tmp/said-1)"
            left host || { echo "$kind-attach, destroyed after $ms ms:"; cat /tmp/said-1; return 1; }
        done
    done << K
block /tmp/b.img,raw,xvdb,rw
network bridge=xenbr0
K
}
has_ended() { ! kill -0 "$1" 2> /dev/null; }
ends_within() { wait_until "$1" has_ended "$2" || { echo "it goes on"; kill -9 "$2"; return 1; }; }
guest_ends_while_attaching() {
    local ms
    for ms in 20 60 100 140; do
        guest brief pest "store=polite ms=$ms" "${with_devices[1]}"
        works 10 xl create -q /tmp/brief.cfg || return 1
        within 15 xl block-attach brief '/tmp/b.img,raw,xvdb,rw'
        left host || { echo "guest ends after $ms ms:"; cat /tmp/said; return 1; }
    done
}

# (6) Guests abuse the rings.
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(cat "/run/$1.pid")/status"; }
pests() {
    local how n=0 names='' slowest=0
    xl dmesg -c > /dev/null && xl sched-credit2 -d 0 -w 8192 || return 1
    for how in "$@"; do
        n=$((n + 1))
        names="$names pest$n"
        guest "pest$n" pest "$how ms=1500 seed=$n" "on_poweroff = 'preserve'"
        works 15 xl create -q "/tmp/pest$n.cfg" || return 1
    done
    guest polite pest 'store=polite ms=1200' "on_poweroff = 'preserve'"
    works 15 xl create -q /tmp/polite.cfg || return 1
    for n in 1 2 3 4 5 6; do
        works 4 xl list || return 1
        [ "$took" -le "$slowest" ] || slowest=$took
        works 2 xenstore-read /local/domain/0/name && works 2 xenstore-write /tool/pest "$n" || return 1
    done
    works 15 bash -c "xl create -q $cfg && xl destroy victim" && wait_until 60 over polite || return 1
    for n in $names; do wait_until 60 over "$n" || { echo "$n is not over"; return 1; }; done
    xl dmesg -c | grep -o 'PEST .*'> /tmp/pests
    cat /tmp/pests
    echo "PESTS $*: slowest xl list $slowest ms, xenstored $(rss xenstored) KiB, xenconsoled $(rss xenconsoled) KiB"
    grep -q 'store=polite .*made=[0-9]\{2,\} .*errors=0 refused=0 ' /tmp/pests && [ "$(grep -c PEST /tmp/pests)" -eq $(($# + 1)) ] &&
        fails grep -qE 'store=(nodes|watches|transactions) .* errors=0 ' /tmp/pests && [ "$(rss xenstored)" -le 65536 ] && [ "$(rss xenconsoled)" -le 65536 ] || return 1
    for n in $names polite; do works 15 xl destroy "$n" || return 1; done
    nothing_left
}
over() { domain_is "$1" '---s--'; }

# Small file systems, to be filled.
mount -t tmpfs -o size=1m tmp-log /var/log/xen && mkdir /var/log/xen/console
mount -t tmpfs -o size=4m tmp-state /run/xenstored
mount -t tmpfs -o size=256k tmp-lib /var/lib/xen
syslogd -O /tmp/syslog
for name in a b c; do head -c 1048576 /dev/zero > "/tmp/$name.img"; done
guest victim actor idle "${with_devices[@]}"
guest host actor idle
start_toolstack
works 10 xl create -q "$cfg" && echo "TOOK create $took ms" && works 10 xl destroy victim && echo "TOOK destroy $took ms"
sleep 1
remember nobody
cat /tmp/traces-nobody
create_moments='1 2 3 4 5 6 7 8 9 10 12 14 17 20 23 27 30 34 38 42' destroy_moments=$(seq 1 3 22) attach_moments='2 4 5 6 7 8 10 13 17 22'
lucky first nobody create_and_destroy
lucky kill-create nobody kill_create
lucky kill-destroy nobody kill_destroy
lucky kill-monitor nobody kill_monitor
lucky create-twice nobody create_twice
lucky same-disk-twice nobody same_disk_twice
lucky create-while-destroying nobody create_while_destroying
lucky destroy-twice nobody destroy_twice
step host xl create -q /tmp/host.cfg
remember host
works 10 xl block-attach host '/tmp/b.img,raw,xvdb,rw' && echo "TOOK attach $took ms" && works 10 xl block-detach -f host xvdb
lucky kill-block-attach host kill_attach "$attach_moments" block /tmp/b.img,raw,xvdb,rw 51728 block-detach -f host xvdb
lucky kill-network-attach host kill_attach "3 6 12" network bridge=xenbr0 0 network-detach host 0
lucky attach-twice host attach_twice
lucky attach-to-dying host attach_to_dying
lucky guest-ends-while-attaching host guest_ends_while_attaching
lucky missing host missing
lucky no-loop host no_loop
lucky full-log host full_log
lucky full-lib host full_lib
lucky full-state host full_state
lucky init-twice host init_twice
lucky store-restarts host store_restarts
lucky console-restarts host console_restarts
step host-destroyed xl destroy host
lucky pests-ring nobody pests store=garbage store=jump store=huge store=half
lucky pests-quotas nobody pests store=deaf store=nodes store=watches
lucky pests-load nobody pests store=endless store=transactions
lucky pests-console nobody pests console=shout console=jump console=kick
step store-forgets store_forgets
step no-crashes fails eval "dmesg | grep -E 'segfault|general protection|trap '"

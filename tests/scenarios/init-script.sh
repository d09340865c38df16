# shellcheck shell=bash
# Runs in dom0 with busybox and no init system: the script is called as one would.
xen() { sh /files/xen.init "$@"; }
codes() { local code=0; "${@:2}" || code=$?; same "$1" "$code"; }
store=/run/xenstored.pid consoles=/run/xen/xenconsoled.pid
starts() { xen start && shows '^xenstored runs as process' xen status && shows '^xenconsoled runs as process' xen status && codes 0 xen status; }
starts_once() {
    local before
    before="$(cat $store) $(cat $consoles)"
    xen start && same "$before" "$(cat $store) $(cat $consoles)" && same 1 "$(pidof xenstored | wc -w)" && same 1 "$(pidof xenconsoled | wc -w)"
}
create() {
    printf 'name = "here"\ntype = "pvh"\nkernel = "/guest/actor"\ncmdline = "console idle"\nmemory = 40\nvcpus = 1\n' > /tmp/here.cfg
    xl create -q /tmp/here.cfg && xenstore-write /test/word kept
}
# replaced WORD FILE: another process is in the file after the command.
replaced() {
    local before
    before=$(cat "$2")
    xen "$1" && ! same "$before" "$(cat "$2")" && codes 0 xen status
}
answers() { same kept "$(xenstore-read /test/word)" && same here "$(xl domname "$(xl domid here)")"; }
guest_is_there() { domain_is here '-b----' && answers; }
comes_back() {
    kill -9 "$(cat $store)" && wait_until 10 codes 3 xen status > /dev/null && xen start && codes 0 xen status && answers
}
# The store stays, because guests depend on it.
stops() { xen stop && codes 3 xen status && shows '^xenconsoled does not run' xen status && shows '^xenstored runs' xen status; }

mkdir -p /etc/default
echo 'XENCONSOLED_TRACE=guest' > /etc/default/xen
step nothing-runs codes 3 xen status
step starts starts
step starts-once starts_once
step xl-create create
step store-replaced replaced restart-store $store
step store-answers answers
step consoles-restarted replaced restart $consoles
step guest-is-there guest_is_there
step comes-back-after-kill comes_back
step stops stops
step guest-destroyed xl destroy here
step wrong-word codes 3 xen nonsense

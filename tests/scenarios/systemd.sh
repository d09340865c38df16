# shellcheck shell=bash
# Runs in dom0 as the last unit that systemd starts.
main_process() { systemctl show --property=MainPID --value "$1"; }
is_active() { systemctl is-active --quiet "$1"; }
ours=(proc-xen.mount xenstored xen-init-dom0 xenconsoled xen)
all_active() {
    local unit bad=0
    for unit in "${ours[@]}"; do
        is_active "$unit" || { systemctl status --no-pager "$unit"; bad=1; }
    done
    return $bad
}
all_loaded() {
    local module bad=0
    while read -r module; do
        [ -d "/sys/module/${module//-/_}" ] || { echo "$module is not loaded"; bad=1; }
    done < <(grep -v '^#' /usr/local/lib/modules-load.d/xen.conf)
    return $bad
}
# Debian's script would have been made a unit of this name.
in_debians_place() { [ -e /etc/init.d/xen ] && same "$(systemctl show --property=FragmentPath --value xen)" /usr/local/lib/systemd/system/xen.service; }
xl_is_ours() { same "$(command -v xl)" /usr/local/sbin/xl && shows '^Domain-0 0 ' xl list; }
cannot_be_stopped() { fails systemctl stop xenstored && is_active xenstored; }
# Killed without warning, the daemon is another process soon, and serves.
comes_back() {
    local before
    before=$(main_process "$1")
    kill -9 "$before" && wait_until 60 is_another "$1" "$before" && wait_until 60 is_active "$1"
}
is_another() { local now; now=$(main_process "$1"); [ "$now" != 0 ] && [ "$now" != "$2" ]; }
noticed_nothing() {
    ask 60 demo 'GUEST-SAYS hello' say hello &&
        ask 60 demo "GUEST-MD5 xvda $(md5sum < /tmp/disk.img | cut -d' ' -f1)" md5 xvda &&
        ask 60 demo 'GUEST-ADDRESS 0' address 0 10.9.0.2/24 &&
        ask 60 demo '3 packets received' ping 10.9.0.1
}
reopens() {
    local log=/var/log/xen/console/guest-demo.log
    mv "$log" "$log.old" && systemctl reload xenconsoled && wait_until 20 test -e "$log" && ask 60 demo 'GUEST-SAYS again' say again
}
shut_down() { xl shutdown -w demo && domain_gone demo; }
# Nothing went down with the daemons that died, and no program crashed.
nothing_failed() { all_active && ! dmesg | grep segfault; }

export SYSTEMD_COLORS=0 SYSTEMD_URLIFY=0
echo 'XENCONSOLED_TRACE=guest' > /etc/default/xen
systemctl restart xenconsoled
head -c 2097152 /dev/urandom > /tmp/disk.img
sed -i -e 's/^vcpus = .*/vcpus = 1/' -e 's/^extra = .*/extra = "console=hvc0 role=service"/' /etc/xen/demo.cfg
step modules-loaded all_loaded
step units-started all_active
step in-debians-place in_debians_place
step xl-is-ours xl_is_ours
step xl-create xl create -q /etc/xen/demo.cfg
step guest-ready wait_until 300 heard demo GUEST-READY
step store-cannot-be-stopped cannot_be_stopped
step store-comes-back comes_back xenstored
step consoles-come-back comes_back xenconsoled
step guest-noticed-nothing noticed_nothing
step reload-reopens-logs reopens
step guest-shut-down shut_down
step nothing-failed nothing_failed

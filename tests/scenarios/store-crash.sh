# shellcheck shell=bash
# Runs in dom0: guests that read their disks all the time, a storm of transactions on the store whose outcome is known, and the store's daemon
# killed and started again in the middle, several times.
guests=${GUESTS:-20} kills=${KILLS:-6}

make_disks() {
    local n
    for n in $(seq "$guests"); do
        head -c 2097152 /dev/urandom > "/tmp/disk$n.img" || return 1
        head -c 1048576 "/tmp/disk$n.img" | md5sum | cut -d' ' -f1 > "/tmp/md5-$n"
        sed -e "s/^name = .*/name = \"many$n\"/" -e 's/^memory = .*/memory = 128/' -e 's/^vcpus = .*/vcpus = 1/' \
            -e "s/^extra = .*/extra = \"console=hvc0 guest.address=10.9.0.$((n + 1)) guest.rounds=20\"/" \
            -e "s,/tmp/disk.img,/tmp/disk$n.img," -e "s/00:16:3e:00:00:01/00:16:3e:00:01:$(printf %02x "$n")/" /etc/xen/demo.cfg > "/tmp/many$n.cfg"
    done
}
# The disks' first MiB is what the rounds read; the guest's own start writes behind it.
each() { local n; for n in $(seq "$guests"); do "$@" "$n" || { echo "guest $n: $*"; return 1; }; done; }
create_one() { xl create -q "/tmp/many$1.cfg"; }
rounds() { said "many$1" | grep -c "^GUEST-ROUND .* $(cat "/tmp/md5-$1")\$"; }
wrong_rounds() { said "many$1" | grep '^GUEST-ROUND' | grep -vc " $(cat "/tmp/md5-$1")\$"; }
has_rounds() { [ "$(rounds "$2")" -ge "$1" ]; }
works() { wait_until 900 has_rounds 1 "$1"; }
remember() { rounds "$1" > "/tmp/rounds-$1"; }
worked_on() { wait_until 300 has_rounds $(($(cat "/tmp/rounds-$1") + 2)) "$1" && [ "$(wrong_rounds "$1")" -eq 0 ]; }
answers() { ping -c 2 -W 5 "10.9.0.$(($1 + 1))" > /dev/null; }
# What the guests have in the store, without what changes by itself.
guest_nodes() { xenstore-ls -f /local/domain | grep -v '/storm' | grep -Ev '/(memory/target|console/tty|data/)' | sort; }

restart_store() {
    local begin=$SECONDS
    kill -9 "$(cat /run/xenstored.pid)" && sleep 1 && xenstored --pid-file /run/xenstored.pid && xenstore-read /local/domain/0/name > /dev/null &&
        echo "XENSTORED back after $((SECONDS - begin)) s"
}
# The storm ends by itself and compares the store with what was acknowledged to it.
storm_and_kills() {
    local n storm
    each remember
    guest_nodes > /tmp/nodes-before
    storm --clients 4 --seconds $((kills * 15)) > /tmp/storm 2>&1 &
    storm=$!
    for n in $(seq "$kills"); do
        sleep 10
        restart_store || { echo "restart $n failed"; return 1; }
    done
    wait "$storm" || { tail -n 20 /tmp/storm; return 1; }
    tail -n 1 /tmp/storm
}
new_guest() {
    sed -e 's/^name = .*/name = "late"/' -e 's/^memory = .*/memory = 128/' -e '/^disk/d' -e '/^vif/d' -e 's/^extra = .*/extra = "console=hvc0 role=service"/' \
        /etc/xen/demo.cfg > /tmp/late.cfg
    head -c 1048576 /dev/urandom > /tmp/late.img
    xl create -q /tmp/late.cfg && wait_until 200 heard late GUEST-READY && xl block-attach late '/tmp/late.img,raw,xvdb,r' &&
        ask 30 late "GUEST-MD5 xvdb $(md5sum < /tmp/late.img | cut -d' ' -f1)" md5 xvdb && xl destroy late
}
nodes_unchanged() { guest_nodes > /tmp/nodes-after; diff /tmp/nodes-before /tmp/nodes-after; }
destroy_one() { xl destroy "many$1"; }
no_rests() { ! xenstore-ls -f / | grep -E '/(domain|vif|vbd|libxl|vm)/[1-9]'; }

# Twenty busy guests would else leave dom0 a twentieth of the processor, and a restart of the daemon would take half a minute.
dom0_first() { xl sched-credit2 -d Domain-0 -w 8192; }

start_toolstack
step dom0-first dom0_first
step disks make_disks
step all-created each create_one
step all-working each works
step storm storm_and_kills
step guests-worked-on each worked_on
step all-networks each answers
step new-guest-attach new_guest
step nodes-unchanged nodes_unchanged
step all-destroyed each destroy_one
step store-clean no_rests

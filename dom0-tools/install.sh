#!/bin/sh
# Installs the built tools with what starts them: programs, units or the script, manual pages, completions.
#
# usage: install.sh PROGRAMS        what `make tools` left; environment:
#   DESTDIR   goes before every path; with it nothing is enabled
#   PREFIX    default /usr/local, which stands before Debian's own tools in PATH and for systemd
#   INIT      systemd (default), script (/etc/init.d/xen, in Debian's place if that is there) or none
set -eu

programs=$1
root=${DESTDIR:-}
prefix=${PREFIX:-/usr/local}
init=${INIT:-systemd}
here=$(dirname "$0")/init
base=$root$prefix

for name in xl xenstored xenconsoled xenconsole xentop xen-init-dom0; do
    install -D -m 755 "$programs/$name" "$base/sbin/$name"
done
install -D -m 755 "$programs/xenstore" "$base/bin/xenstore"
for name in chmod exists list ls read rm watch write; do
    ln -sf xenstore "$base/bin/xenstore-$name"
done

page() {
    mkdir -p "$base/share/man/man$1"
    gzip -9nc > "$base/share/man/man$1/$2.$1.gz"
}
completion() {
    mkdir -p "$base/share/$2"
    "$programs/$1" --generate completions "$3" > "$base/share/$2/$4"
}
for name in xl xentop; do
    "$programs/$name" --generate man | page 1 "$name"
    completion "$name" bash-completion/completions bash "$name"
    completion "$name" zsh/site-functions zsh "_$name"
done

for command in $("$programs/xl" help | sed -n 's/^ \([a-z][a-z0-9-]*\) .*/\1/p'); do
    "$programs/xl" --generate man "$command" | page 1 "xl-$command"
done

case $init in
    systemd)
        for unit in proc-xen.mount xen.service xenstored.service xen-init-dom0.service xenconsoled.service; do
            install -D -m 644 "$here/$unit" "$base/lib/systemd/system/$unit"
        done
        install -D -m 644 "$here/modules.conf" "$base/lib/modules-load.d/xen.conf"
        ;;
    script) install -D -m 755 "$here/xen.init" "$root/etc/init.d/xen" ;;
    none) ;;
    *)
        echo "install.sh: INIT=$init is neither systemd, script nor none" >&2
        exit 2
        ;;
esac

if [ -z "$root" ] && [ "$init" = systemd ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable xen.service
    echo "The daemons start with the next boot. Debian's own must not run beside them."
fi

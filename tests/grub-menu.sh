#!/usr/bin/env bash
# Puts Debian and the hypervisor on an emulated machine's disk as a user would, `make install` included, has Debian's own
# grub-install and grub-mkconfig set the disk up, and boots the machine from it: the menu they wrote must list the hypervisor
# with Debian's kernel, and this entry must lead to dom0's first process.
#
# usage: grub-menu.sh [ROOT]       by default with what tests/debian.sh unpacked
#
# ROOT is the tree of another Debian system that has the packages grub2-common and grub-pc-bin, a kernel and its initrd; it is
# copied, not changed. Neither root's rights nor a disk are needed: both boots are emulated. Logs: target/logs/grub-menu-*.log.
set -euo pipefail
cd "$(dirname "$0")/.."
# Where mke2fs is, for users who are not root.
PATH=$PATH:/usr/sbin:/sbin

work=$PWD/target/grub-menu
root=$work/root
disk=$work/disk.img
logs=$PWD/target/logs
uuid=0b66d1c4-5a4d-4c1a-9a55-4c2f3d9f1e70
limit=${LIMIT:-900}
sector=512 first_sector=2048

fail() {
    echo "grub-menu.sh: $*" >&2
    exit 1
}

# What tests/debian.sh unpacked was not installed: here is what the packages' scripts would have added.
root_from_packages() {
    local debian=$PWD/target/debian/root kernel
    [ -e target/debian/complete ] || fail "no Debian packages in target/debian: run tests/debian.sh"
    tar -C "$debian" -c --exclude=./usr/lib/modules --exclude=./usr/include --exclude='./usr/share/[!g]*' . | tar -C "$root" -x
    ln -s mawk "$root/usr/bin/awk"
    [ -e "$root/usr/bin/sh" ] || ln -s bash "$root/usr/bin/sh"
    kernel=$(echo "$debian"/boot/vmlinuz-*)
    make_initrd "$debian" "$root/boot/initrd.img-${kernel##*/vmlinuz-}"
}

# Adds a kernel module and first what it depends on to the directory `modules` of a tree, with a list of the order.
add_module() {
    local modules=$1 tree=$2 name=$3 file needed
    ! grep -qsx "$name" "$tree/modules/order" || return 0
    file=$(find "$modules" -name "$name.ko.xz" -o -name "${name//_/-}.ko.xz")
    [ -n "$file" ] || fail "Debian's kernel has no module $name"
    xz -dc "$file" > "$tree/modules/$name.ko"
    for needed in $(tr '\0' '\n' < "$tree/modules/$name.ko" | sed -n 's/^depends=//p' | tr ',' ' '); do
        add_module "$modules" "$tree" "$needed"
    done
    echo "$name" >> "$tree/modules/order"
}

# An initrd that does what Debian's does for a plain disk: it loads drivers, mounts what root= says and goes there.
make_initrd() {
    local debian=$1 file=$2 tree=$work/initrd module
    mkdir -p "$tree"/{bin,dev,proc,sys,root,modules}
    cp "$debian/usr/bin/busybox" "$tree/bin/"
    for module in ahci sd_mod crc32c_generic ext4; do
        add_module "$debian/usr/lib/modules" "$tree" "$module"
    done
    install -m 755 tests/grub/initrd-init "$tree/init"
    (cd "$tree" && find . | bin/busybox cpio -o -H newc 2> /dev/null | gzip -1) > "$file"
}

# The system's own settings, in the places Debian has for them.
configure() {
    [ -e "$root/etc/default/grub" ] || install -D -m 644 "$root/usr/share/grub/default/grub" "$root/etc/default/grub"
    mkdir -p "$root/etc/default/grub.d"
    cat > "$root/etc/default/grub.d/xen.cfg" << C
GRUB_DEFAULT=xen-gnulinux-simple-$uuid
GRUB_TIMEOUT=1
GRUB_TERMINAL=serial
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_CMDLINE_LINUX="console=hvc0"
GRUB_CMDLINE_XEN="dom0_mem=512M console=com1 com1=115200,8n1"
C
    install -m 755 tests/grub/install "$root/grub-install-here"
    rm -f "$root/usr/sbin/init"
    install -m 755 tests/grub/first-process "$root/usr/sbin/init"
}

# One partition, from the first mebibyte to the end.
make_disk() {
    local blocks sectors number
    blocks=$(du -s -B4096 "$root" | cut -f1)
    blocks=$((blocks * 5 / 4 + 16384))
    sectors=$((blocks * 8))
    rm -f "$disk"
    truncate -s $(((first_sector + sectors) * sector)) "$disk"
    mke2fs -q -t ext4 -b 4096 -U "$uuid" -d "$root" -E offset=$((first_sector * sector)) "$disk" "$blocks"
    {
        printf '\x80\0\0\0\x83\0\0\0' # active, Linux; no geometry
        for number in $first_sector $sectors; do
            printf '%08x' "$number" | sed -E 's/(..)(..)(..)(..)/\\x\4\\x\3\\x\2\\x\1/' | xargs -0 printf '%b'
        done
    } | dd of="$disk" bs=1 seek=446 conv=notrunc status=none
    printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
}

# Boots the machine with further QEMU arguments until it powers off; its serial console goes to a log.
boot() {
    local log=$1
    shift
    timeout -k 5 "$limit" qemu-system-x86_64 -M q35 -cpu EPYC,+svm,+npt,-monitor,-rdtscp -m 2048 \
        -drive file="$disk",format=raw -no-reboot -serial file:"$log" -display none -monitor none "$@" 2> "$log.stderr" ||
        fail "the machine did not power off in $limit s, see $log"
}

must_show() {
    grep -aqE "$2" "$1" || fail "no line like '$2' in $1"
}

rm -rf "$work"
mkdir -p "$root" "$logs"
if [ $# -gt 0 ]; then cp -a --reflink=auto "$1/." "$root"; else root_from_packages; fi
make --no-print-directory install DESTDIR="$root"
configure
make_disk

kernel=$(echo "$root"/boot/vmlinuz-*)
name=${kernel##*/}
echo "grub-menu.sh: first boot, for grub-install and grub-mkconfig"
# Without no_timer_check Linux panics where the emulator gets too little time to keep the timer going.
boot "$logs/grub-menu-install.log" -kernel "$kernel" -initrd "$root/boot/initrd.img-${name#vmlinuz-}" \
    -append "console=ttyS0 quiet no_timer_check panic=-1 root=UUID=$uuid ro init=/grub-install-here"
must_show "$logs/grub-menu-install.log" '^GRUB-INSTALLED'
must_show "$logs/grub-menu-install.log" 'multiboot2.*/boot/xen-rs-4.20-amd64.gz placeholder'
must_show "$logs/grub-menu-install.log" "module2.*/boot/${name//+/.} placeholder root=UUID=$uuid ro"
sed -n '/^menuentry .* with Xen hypervisor/,/^}/p' "$logs/grub-menu-install.log"

echo "grub-menu.sh: second boot, from the disk"
boot "$logs/grub-menu-boot.log"
must_show "$logs/grub-menu-boot.log" '^DOM0-FIRST-PROCESS hypervisor xen 4\.20'
grep -a '^DOM0-' "$logs/grub-menu-boot.log"
rm -rf "$work"

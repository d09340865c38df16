# shellcheck shell=bash
# Runs in dom0: the stock toolstack asks the hypervisor about itself.
start_toolstack
step xl-info xl info
step xl-list xl list
step xl-vcpu-list xl vcpu-list
step xl-dmesg xl dmesg
step xenstore-domid-0 test "$(xenstore-read /local/domain/0/name)" = Domain-0

# make image     the hypervisor: target/xen-rs (for GRUB's multiboot2) and target/xen-rs.gz
# make run       boots Debian's dom0 and a guest on it in an emulator; with a terminal ends in a dom0 shell
# make bench     instructions of single operations, beside Debian's Xen on the same emulated machine
# make profile   where the instructions of one of these go, by function: OPERATION=null-hypercall
# make test      every test; ends with `N passed, M failed`
# make install   puts the hypervisor where Debian's GRUB configuration finds it [DESTDIR=]
# make install-tools  the dom0 tools below PREFIX (/usr/local), and what starts the daemons [DESTDIR=] [INIT=systemd|script|none]
# make check     counts: unsafe code, file sizes, image size
# make tools     the dom0 tools, each one static file: target/tools
# make guests    the bare test kernels: target/guests
# make debian    the packages of the test dom0: target/debian
# make deps      installs the packages the above need
# make clean     removes everything made here
#
# HYPERVISOR=FILE boots another hypervisor file in `make run`; REFERENCE=1 boots real Xen, Debian's or that file.
# TOOLS=stock has `make run` use Debian's dom0 tools instead of ours; more words: see tests/runner/src/options.rs.
# CPUS=N, LIMIT=SECONDS and QEMU_ARGS=... change the machine that `make run` boots.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := image
# Where rustup puts cargo, for a machine on which `make deps` has just installed it.
export PATH := $(PATH):$(HOME)/.cargo/bin
.PHONY: image tools guests bare-guests run bench profile test install install-tools check deps debian clean

bare := x86_64-unknown-none
cargo_target := $(or $(CARGO_TARGET_DIR),target)
built := $(cargo_target)/$(bare)/release
HYPERVISOR ?= target/xen-rs
runner := cargo run --quiet --release -p runner --

image:
	@tests/deps.sh build
	words=$$(tests/toolchain.sh); cargo $$words build --release -p xen-rs --target $(bare)
	mkdir -p target
	cp $(built)/xen-rs target/xen-rs
	gzip -9nc target/xen-rs > target/xen-rs.gz

# Static, so that they run on any Linux of this architecture. Without the flags that builds of the hypervisor use.
hosted := x86_64-unknown-linux-gnu
tool_crates := xl xenstored xenconsoled xenstore-utils xentop storm
programs := xl xenstored xenconsoled xenconsole xentop xen-init-dom0 xenstore storm
tools:
	@tests/deps.sh build
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --release $(tool_crates:%=-p %) --target $(hosted)
	mkdir -p target/tools
	for name in $(programs); do strip -o target/tools/new $(cargo_target)/$(hosted)/release/$$name && mv target/tools/new target/tools/$$name; done

# Bare PVH kernels, one for each file in tests/guests/src/bin; scenarios name them with `kernel: guest NAME`.
guests: $(if $(wildcard tests/guests/src/bin/*.rs),bare-guests)
bare-guests:
	@tests/deps.sh build
	words=$$(tests/toolchain.sh); cargo $$words build --release -p guests --target $(bare)
	mkdir -p target/guests
	for source in tests/guests/src/bin/*.rs; do name=$$(basename $$source .rs); cp $(built)/$$name target/guests/$$name; done

deps:
	@tests/deps.sh

debian: deps
	@tests/debian.sh target/debian

TOOLS ?= own
run: debian $(if $(filter target/xen-rs,$(HYPERVISOR)),image) $(if $(filter stock,$(TOOLS)),,tools)
	@$(runner) run --tools $(TOOLS) $(if $(filter target/xen-rs,$(HYPERVISOR)),,--image $(HYPERVISOR)) $(if $(REFERENCE),--reference) $(if $(CPUS),--cpus $(CPUS)) \
	    $(if $(LIMIT),--limit $(LIMIT)) $(if $(QEMU_ARGS),--qemu '$(QEMU_ARGS)')

# XEN=FILE names another reference than Debian's hypervisor.
bench: debian $(if $(filter target/xen-rs,$(HYPERVISOR)),image) guests
	@tests/bench.sh $(HYPERVISOR)

OPERATION ?= null-hypercall
profile: deps $(if $(filter target/xen-rs,$(HYPERVISOR)),image) guests
	@tests/profile.sh $(OPERATION) $(HYPERVISOR)

test: deps
	@tests/all.sh

# GRUB's 20_linux_xen makes an entry for every /boot/xen* that is a multiboot2 file, with every kernel that can be a dom0.
install: image
	install -D -m 644 target/xen-rs.gz $(DESTDIR)/boot/xen-rs-4.20-amd64.gz
	@if [ -z "$(DESTDIR)" ] && command -v update-grub > /dev/null; then update-grub; \
	else echo "run update-grub on the installed system to list it in the boot menu"; fi

install-tools: tools
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) INIT=$(INIT) dom0-tools/install.sh target/tools

check:
	@tests/check.sh

clean:
	rm -rf target

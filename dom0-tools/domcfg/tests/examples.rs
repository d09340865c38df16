//! Example files: ours, in the forms that people write, and Debian's.

use std::path::{Path, PathBuf};

use domcfg::grammar::parse_settings;
use domcfg::model::{DomainType, GuestInfo};
use domcfg::{Context, Parsed, Problems, parse};

const NO_OVERRIDES: [&str; 0] = [];

fn read(name: &str, text: &[u8], overrides: &[&str]) -> Result<Parsed, Problems> {
    parse(name, text, overrides, &Context::with_cpus(4))
}

/// A Linux guest as most people have it.
const PVH: &str = r#"
# A PVH Linux guest
type = "pvh"
name = "web"
# uuid = "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX"
kernel  = '/boot/vmlinuz'
ramdisk = '/boot/initrd.img'
extra   = "root=/dev/xvda1 ro console=hvc0"
memory  = 512   # MiB
maxmem  = 1024
vcpus   = 4
vif  = [ '' ]
disk = [ '/dev/vg/web,raw,xvda,rw',
         'file:/srv/swap.img,xvdb,w', ]
on_crash = 'coredump-restart'
"#;

/// An HVM guest with an emulated screen and a CD drive.
const HVM: &str = r#"
type = "hvm"
name = "desktop"
memory = 2048
vcpus = 2
boot = "dc"
disk = [ 'phy:/dev/vg/desktop,hda,w', '/srv/install.iso,,hdc,cdrom' ]
vif = [ 'type=ioemu, mac=00:16:3e:11:22:33, bridge=xenbr0' ]
vnc = 1 ; vnclisten = "0.0.0.0" ; sdl = 0
serial = "pty"
viridian = 1
usbdevice = "tablet"
"#;

/// A guest with a virtual TPM, and old ways to write its disk and its address.
const TPM: &str = r#"
name="guest1"
type="pvh"
kernel="/usr/lib/xen/boot/pv-grub-x86_64.gz"
memory=1024
disk=["file:/images/guest1.img,xvda,w", 'phy:hda7,hda7,w']
vif=['mac=00:01:02:03:04:05,bridge=br0']
vtpm=["backend=vtpm-guest1,uuid=ac0a5b9e-cbe2-4c07-b43b-1d69e46fb839"]
iomem=["fed42,1"]
"#;

#[test]
fn keys_without_support_are_understood() {
    let parsed = read("guest1.cfg", TPM.as_bytes(), &NO_OVERRIDES).unwrap();
    assert_eq!(
        parsed.config.vtpms[0].backend_domname.as_deref(),
        Some("vtpm-guest1")
    );
    assert_eq!(
        (
            parsed.config.b_info.iomem[0].start,
            parsed.config.b_info.iomem[0].number
        ),
        (0xfed42, 1)
    );
    assert_eq!(parsed.config.disks[1].vdev.as_deref(), Some("hda7"));
    assert_eq!(
        parsed.warnings,
        ["guest1.cfg: keys that are not supported yet, ignored: vtpm (line 8)"]
    );
}

#[test]
fn common_forms_are_read() {
    let web = read("web.cfg", PVH.as_bytes(), &NO_OVERRIDES).unwrap();
    assert!(web.warnings.is_empty(), "{:?}", web.warnings);
    let (create, build) = (&web.config.c_info, &web.config.b_info);
    assert_eq!(
        (create.domain_type, create.name.as_deref()),
        (DomainType::Pvh, Some("web"))
    );
    assert_eq!(
        (build.target_memkb, build.max_memkb, build.max_vcpus),
        (Some(512 << 10), Some(1 << 20), 4)
    );
    assert_eq!((web.config.disks.len(), web.config.nics.len()), (2, 1));
    assert_eq!(
        web.config.disks[1].pdev_path.as_deref(),
        Some("/srv/swap.img")
    );

    let desktop = read("desktop.cfg", HVM.as_bytes(), &NO_OVERRIDES).unwrap();
    let GuestInfo::Hvm(hvm) = &desktop.config.b_info.u else {
        panic!("no HVM guest")
    };
    assert_eq!(
        (hvm.boot.as_deref(), hvm.serial.as_deref()),
        (Some("dc"), Some("pty"))
    );
    assert!(desktop.config.disks[1].is_cdrom());
}

#[test]
fn arguments_win_over_the_file() {
    let parsed = read(
        "web.cfg",
        PVH.as_bytes(),
        &[
            "memory=99",
            "name=\"other\"",
            "disk+=['/x,raw,xvdc']",
            "maxmem=99",
        ],
    )
    .unwrap();
    assert_eq!(parsed.config.b_info.target_memkb, Some(99 << 10));
    assert_eq!(parsed.config.c_info.name.as_deref(), Some("other"));
    assert_eq!(parsed.config.disks.len(), 3);
}

/// Where Debian's packages are unpacked, or what XEN_EXAMPLES says; `None` if they are not there and need not be.
fn debian_examples() -> Option<PathBuf> {
    let asked = std::env::var_os("XEN_EXAMPLES").map(PathBuf::from);
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debian/root/etc/xen");
    match asked {
        Some(directory) => {
            assert!(
                directory.join("xl.conf").is_file(),
                "XEN_EXAMPLES: no xl.conf in {}",
                directory.display()
            );
            Some(directory)
        }
        None if unpacked.join("xl.conf").is_file() => Some(unpacked),
        None => {
            eprintln!(
                "not tried: Debian's examples are not in {} (make debian)",
                unpacked.display()
            );
            None
        }
    }
}

/// xen-utils-common ships one example for each type of guest, and xl.conf, which has the same grammar; xen-doc ships none.
#[test]
fn debian_examples_are_read() {
    let Some(directory) = debian_examples() else {
        return;
    };
    let text = |name: &str| {
        std::fs::read(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    for (name, domain_type) in [
        ("xlexample.pvhlinux", DomainType::Pvh),
        ("xlexample.hvm", DomainType::Hvm),
    ] {
        let parsed =
            read(name, &text(name), &NO_OVERRIDES).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(parsed.config.c_info.domain_type, domain_type, "{name}");
        assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    }
    // The example of a classic PV guest is understood but for its type, which is refused with a hint.
    let pv = text("xlexample.pvlinux");
    let problems = read("xlexample.pvlinux", &pv, &NO_OVERRIDES)
        .unwrap_err()
        .to_string();
    assert!(
        problems.starts_with("xlexample.pvlinux:1:1: expected type=\"pvh\""),
        "{problems}"
    );
    assert_eq!(problems.lines().count(), 1, "{problems}");
    read("xlexample.pvlinux", &pv, &["type=\"pvh\""])
        .unwrap_or_else(|problems| panic!("{problems}"));
    parse_settings("xl.conf", &text("xl.conf"), &NO_OVERRIDES)
        .unwrap_or_else(|problems| panic!("{problems}"));
}

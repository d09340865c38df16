//! Every key of xl.cfg(5): its type, which guests it concerns, and whether the tools act on it.

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Which guests it concerns.
    pub scope: Scope,
    /// What the tools do with it.
    pub support: Support,
}

/// What a value must be. Numbers and strings may both be written with or without quotes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number, 0 for "no" and any other for "yes".
    Flag,
    /// A number within bounds.
    Number(&'static str, i64, i64),
    /// One string.
    Text(&'static str),
    /// A string or a number with a meaning of its own.
    Choice(&'static str),
    /// A list of strings.
    List(&'static str),
    /// A list of strings, or one string.
    TextOrList(&'static str),
    /// A list of lists of strings.
    Lists(&'static str),
}

impl Kind {
    /// The type in words, as in "expected a number of MiB".
    pub fn expectation(self) -> &'static str {
        match self {
            Kind::Flag => "0 or 1",
            Kind::Number(what, ..)
            | Kind::Text(what)
            | Kind::Choice(what)
            | Kind::List(what)
            | Kind::TextOrList(what)
            | Kind::Lists(what) => what,
        }
    }
}

/// Which guests a key concerns; for others it has no effect.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Any,
    /// Those with an emulated machine.
    Hvm,
    /// Those without one.
    Pvh,
    /// Classic paravirtual ones.
    Pv,
    /// Those on Arm.
    Arm,
}

/// What the tools do with a key.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// They act on it.
    Full,
    /// They understand it but cannot act on it yet; these values ask for nothing.
    Later(&'static [&'static str]),
    /// A guest that asks for it is not made.
    Refused,
    /// It has no effect on a PVH guest, with xl 4.20 neither; these values ask for what is so in any case.
    Idle(&'static [&'static str]),
    /// It should be written another way.
    Deprecated(&'static str),
}

use Kind::{Choice, Flag, List, Lists, Number, Text, TextOrList};
use Scope::{Any, Arm, Hvm, Pv, Pvh};
use Support::{Deprecated, Full, Idle, Later, Refused};

const fn key(name: &'static str, kind: Kind, scope: Scope, support: Support) -> Key {
    Key {
        name,
        kind,
        scope,
        support,
    }
}

const NO: &[&str] = &["0"];
const YES: &[&str] = &["1"];
const ALWAYS: &[&str] = &[];
const STRING: Kind = Text("a string");
const FILE: Kind = Text("a file name");
/// 16 TiB, the largest guest Xen can run.
const MIB: Kind = Number("a number of MiB", 1, 16 << 20);
const EXTRA_MIB: Kind = Number("a number of MiB", 0, 16 << 20);
const SIGNED: Kind = Number("a number", i32::MIN as i64, i32::MAX as i64);
const COUNT: Kind = Number("a number", 0, i32::MAX as i64);
/// HVM_MAX_VCPUS
const VCPUS: Kind = Number("a number of vCPUs", 1, 128);
const CPUS: Kind =
    TextOrList("a list of CPUs such as \"0-3,^2\", or one such list for each vCPU in brackets");
const SECONDS: Kind = Number("a number of seconds", i32::MIN as i64, i32::MAX as i64);
const ACTION: Kind = Text(
    "destroy, restart, rename-restart, preserve, coredump-destroy, coredump-restart or soft-reset",
);

/// All keys, in the manual's order.
pub const KEYS: &[Key] = &[
    // What the domain is.
    key("type", Text("\"pvh\" or \"hvm\""), Any, Full),
    key("builder", Text("\"hvm\""), Any, Deprecated("type")),
    key("name", Text("a name"), Any, Full),
    key("uuid", Text("a UUID"), Any, Full),
    key("pool", Text("the name of a CPU pool"), Any, Full),
    key("hap", Flag, Any, Full),
    key("oos", Flag, Any, Full),
    key("seclabel", Text("a security label"), Any, Later(ALWAYS)),
    key(
        "init_seclabel",
        Text("a security label"),
        Any,
        Later(ALWAYS),
    ),
    key("driver_domain", Flag, Any, Full),
    key(
        "passthrough",
        Text("default, disabled, enabled, sync_pt or share_pt"),
        Any,
        Refused,
    ),
    key("xend_suspend_evtchn_compat", Flag, Any, Full),
    // CPUs.
    key("vcpus", VCPUS, Any, Full),
    key("maxvcpus", VCPUS, Any, Full),
    key("cpus", CPUS, Any, Full),
    key("cpus_soft", CPUS, Any, Full),
    key("cpu_weight", Number("a weight", 1, 65535), Any, Full),
    key(
        "cap",
        Number("a number of hundredths of a CPU", 0, 65535),
        Any,
        Full,
    ),
    key("period", COUNT, Any, Later(ALWAYS)),
    key("extratime", Number("0 or 1", 0, 1), Any, Later(ALWAYS)),
    key("slice", COUNT, Any, Idle(ALWAYS)),
    key("latency", COUNT, Any, Idle(ALWAYS)),
    key(
        "cpuid",
        TextOrList("\"host,\" and features, or a list of leaves"),
        Any,
        Full,
    ),
    key("nestedhvm", Flag, Any, Full),
    key("vpmu", Flag, Any, Full),
    key(
        "vmtrace_buf_kb",
        Number("a number of KiB", 0, i32::MAX as i64),
        Any,
        Full,
    ),
    key(
        "altp2m",
        Choice("disabled, mixed, external or limited"),
        Any,
        Full,
    ),
    key("msr_relaxed", Flag, Any, Full),
    // Memory.
    key("memory", MIB, Any, Full),
    key("maxmem", MIB, Any, Full),
    key("shadow_memory", EXTRA_MIB, Any, Full),
    key("videoram", EXTRA_MIB, Any, Full),
    key(
        "vnuma",
        Lists("a list of virtual nodes, each a list such as [ \"pnode=0\", \"size=512\" ]"),
        Any,
        Refused,
    ),
    key(
        "llc_colors",
        List("a list of cache colours such as [ \"0-3\", \"7\" ]"),
        Any,
        Refused,
    ),
    // Booting.
    key("kernel", FILE, Any, Full),
    key("ramdisk", FILE, Any, Full),
    key("cmdline", STRING, Any, Full),
    key("root", STRING, Any, Full),
    key("extra", STRING, Any, Full),
    key("firmware", Text("a firmware"), Any, Full),
    key("bootloader", Text("a program"), Any, Refused),
    key(
        "bootloader_args",
        TextOrList("a list of arguments"),
        Any,
        Idle(ALWAYS),
    ),
    key("bootloader_restrict", Flag, Any, Idle(ALWAYS)),
    key("bootloader_user", Text("a user's name"), Any, Idle(ALWAYS)),
    key("device_tree", FILE, Arm, Full),
    key("pvshim", Flag, Pvh, Refused),
    key("pvshim_path", FILE, Pvh, Idle(ALWAYS)),
    key("pvshim_cmdline", STRING, Pvh, Idle(ALWAYS)),
    key("pvshim_extra", STRING, Pvh, Idle(ALWAYS)),
    key("e820_host", Flag, Pv, Full),
    // Events.
    key("on_poweroff", ACTION, Any, Full),
    key("on_reboot", ACTION, Any, Full),
    key("on_watchdog", ACTION, Any, Full),
    key("on_crash", ACTION, Any, Full),
    key("on_soft_reset", ACTION, Any, Full),
    // Time.
    key(
        "tsc_mode",
        Choice("default, always_emulate, native or native_paravirt"),
        Any,
        Full,
    ),
    key("localtime", Flag, Any, Full),
    key("rtc_timeoffset", SECONDS, Any, Full),
    key("timer_mode", Choice(TIMER_MODES), Any, Full),
    // Limits and behaviour.
    key(
        "max_event_channels",
        Number("a number of event channels", 0, u32::MAX as i64),
        Any,
        Full,
    ),
    key(
        "max_grant_frames",
        Number("a number of frames", 0, i32::MAX as i64),
        Any,
        Full,
    ),
    key(
        "max_maptrack_frames",
        Number("a number of frames", 0, i32::MAX as i64),
        Any,
        Full,
    ),
    key(
        "max_grant_version",
        Number("a version of grant tables", 0, 2),
        Any,
        Full,
    ),
    key("nomigrate", Flag, Any, Full),
    key("acpi", Flag, Any, Idle(YES)),
    // Devices.
    key("disk", List("a list of disks in brackets"), Any, Full),
    key(
        "vif",
        List("a list of network interfaces in brackets"),
        Any,
        Full,
    ),
    key("vif2", List("a list"), Any, Idle(ALWAYS)),
    key(
        "vfb",
        List("a list of frame buffers in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "vkb",
        List("a list of keyboards in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "channel",
        List("a list of channels in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "p9",
        List("a list of 9pfs devices in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "pvcalls",
        List("a list of pvcalls devices in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "vtpm",
        List("a list of virtual TPMs in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "vdispl",
        List("a list of virtual displays in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "vsnd",
        Lists("a list of sound cards, each a list in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "virtio",
        List("a list of virtio devices in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "usbctrl",
        List("a list of USB controllers in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "usbdev",
        List("a list of USB devices in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "pci",
        List("a list of PCI devices in brackets"),
        Any,
        Refused,
    ),
    key("pci_permissive", Flag, Any, Idle(NO)),
    key("pci_msitranslate", Flag, Any, Idle(NO)),
    key("pci_seize", Flag, Any, Idle(NO)),
    key("pci_power_mgmt", Flag, Any, Idle(NO)),
    key(
        "rdm",
        Text("\"strategy=host\" and \"policy=strict\" or \"policy=relaxed\""),
        Hvm,
        Full,
    ),
    key("rdm_mem_boundary", EXTRA_MIB, Hvm, Full),
    key(
        "ioports",
        List("a list of I/O ports such as [ \"3f8-3ff\" ]"),
        Any,
        Full,
    ),
    key(
        "irqs",
        List("a list of interrupts such as [ 4, 5 ]"),
        Any,
        Full,
    ),
    key(
        "iomem",
        List("a list of frame ranges such as [ \"fee00,1\" ]"),
        Any,
        Full,
    ),
    key(
        "dtdev",
        List("a list of device-tree paths in brackets"),
        Any,
        Refused,
    ),
    // The device model.
    key(
        "device_model",
        Text("a program"),
        Any,
        Deprecated("device_model_override"),
    ),
    key(
        "device_model_version",
        Text("\"qemu-xen\" or \"qemu-xen-traditional\""),
        Any,
        Later(ALWAYS),
    ),
    key("device_model_override", FILE, Any, Later(ALWAYS)),
    key("device_model_stubdomain_override", Flag, Any, Later(NO)),
    key(
        "device_model_stubdomain_seclabel",
        Text("a security label"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "device_model_user",
        Text("a user's name"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "device_model_args",
        List("a list of arguments in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "device_model_args_pv",
        List("a list of arguments in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key(
        "device_model_args_hvm",
        List("a list of arguments in brackets"),
        Any,
        Later(ALWAYS),
    ),
    key("dm_restrict", Flag, Any, Later(NO)),
    key("stubdomain_kernel", FILE, Any, Later(ALWAYS)),
    key("stubdomain_ramdisk", FILE, Any, Later(ALWAYS)),
    key("stubdomain_cmdline", STRING, Any, Later(ALWAYS)),
    key("stubdomain_memory", EXTRA_MIB, Any, Later(ALWAYS)),
    // The emulated machine.
    key("bios", Text("rombios, seabios or ovmf"), Hvm, Full),
    key("bios_path_override", FILE, Hvm, Full),
    key("firmware_override", FILE, Hvm, Full),
    key("acpi_firmware", FILE, Hvm, Full),
    key("smbios_firmware", FILE, Hvm, Full),
    key(
        "smbios",
        List("a list of SMBIOS strings such as [ \"oem=text\" ]"),
        Hvm,
        Full,
    ),
    key("ms_vm_genid", Text("\"generate\" or \"none\""), Hvm, Full),
    key("boot", Text("a boot order such as \"cdn\""), Hvm, Full),
    key("hdtype", Text("\"ide\" or \"ahci\""), Hvm, Full),
    key("pae", Flag, Hvm, Full),
    key("acpi_s3", Flag, Hvm, Full),
    key("acpi_s4", Flag, Hvm, Full),
    key("acpi_laptop_slate", Flag, Hvm, Full),
    key("apic", Flag, Hvm, Full),
    key("nx", Flag, Hvm, Full),
    key("hpet", Flag, Hvm, Full),
    key("vpt_align", Flag, Hvm, Full),
    key("hvm_pirq", Flag, Hvm, Full),
    key(
        "viridian",
        TextOrList("0, 1 or a list of enlightenments"),
        Hvm,
        Full,
    ),
    key("mmio_hole", Number("a number of MiB", 256, 3840), Hvm, Full),
    key("altp2mhvm", Flag, Hvm, Deprecated("altp2m")),
    key(
        "mca_caps",
        List("a list of MCA capabilities such as [ \"lmce\" ]"),
        Hvm,
        Full,
    ),
    key("xen_platform_pci", Flag, Hvm, Full),
    key(
        "vendor_device",
        Text("\"none\" or \"xenserver\""),
        Hvm,
        Full,
    ),
    key(
        "serial",
        TextOrList("a serial port such as \"pty\", or a list of them"),
        Hvm,
        Full,
    ),
    key("vga", Text("stdvga, cirrus, qxl or none"), Hvm, Full),
    key("stdvga", Flag, Hvm, Deprecated("vga")),
    key("gfx_passthru", Choice("0, 1, default or igd"), Hvm, Full),
    key("nographic", Flag, Hvm, Full),
    key("vnc", Flag, Hvm, Full),
    key("vnclisten", Text("an address"), Hvm, Full),
    key("vncdisplay", COUNT, Hvm, Full),
    key("vncunused", Flag, Hvm, Full),
    key("vncpasswd", Text("a password"), Hvm, Full),
    key("vncviewer", Flag, Hvm, Idle(ALWAYS)),
    key("sdl", Flag, Hvm, Full),
    key("opengl", Flag, Hvm, Full),
    key("display", Text("an X display"), Hvm, Full),
    key("xauthority", FILE, Hvm, Full),
    key("keymap", Text("a keyboard layout"), Hvm, Full),
    key("spice", Flag, Hvm, Full),
    key("spiceport", Number("a port", 0, 65535), Hvm, Full),
    key("spicetls_port", Number("a port", 0, 65535), Hvm, Full),
    key("spicehost", Text("an address"), Hvm, Full),
    key("spicedisable_ticketing", Flag, Hvm, Full),
    key("spicepasswd", Text("a password"), Hvm, Full),
    key("spiceagent_mouse", Flag, Hvm, Full),
    key("spicevdagent", Flag, Hvm, Full),
    key("spice_clipboard_sharing", Flag, Hvm, Full),
    key("spiceusbredirection", SIGNED, Hvm, Full),
    key("spice_image_compression", Text("a compression"), Hvm, Full),
    key("spice_streaming_video", Text("a filter"), Hvm, Full),
    key("usb", Flag, Hvm, Full),
    key("usbversion", Number("a USB version", 0, 3), Hvm, Full),
    key(
        "usbdevice",
        TextOrList("an emulated USB device, or a list of them"),
        Hvm,
        Full,
    ),
    key("vkb_device", Flag, Hvm, Full),
    key("soundhw", Text("a sound card"), Hvm, Full),
    // Arm.
    key("vuart", Text("\"sbsa_uart\""), Arm, Full),
    key("gic_version", Text("v2, v3 or default"), Arm, Full),
    key("tee", Text("none, optee or ffa"), Arm, Full),
    key(
        "sve",
        Text("disabled, hw, or a vector length of 128 to 2048 bits"),
        Arm,
        Full,
    ),
    key("nr_spis", COUNT, Arm, Full),
];

const TIMER_MODES: &str = "delay_for_missed_ticks, no_delay_for_missed_ticks, no_missed_ticks_pending or one_missed_tick_pending";

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(
                !KEYS[..index].iter().any(|other| other.name == key.name),
                "{}",
                key.name
            );
        }
    }
}

//! What becomes of each key of xl.cfg(5) for a PVH guest, with a value to show it.

use Fate::{Acts, Idle, Old, Refused, Shown, Warned};

/// What becomes of a key.
#[derive(Copy, Clone, Debug)]
pub enum Fate {
    /// The domain is another one.
    Acts,
    /// As `Acts`; shown by this file of the repository, where it has these words.
    Shown(&'static str, &'static str),
    /// The domain is not made, with this message.
    Refused(&'static str),
    /// It is named as not supported yet, and the domain is made without it.
    Warned,
    /// It is named as without effect.
    Idle,
    /// It is reported with these words, because another key has taken its place.
    Old(&'static str),
}

/// A key with a value.
#[derive(Copy, Clone, Debug)]
pub struct Row {
    pub key: &'static str,
    pub value: &'static str,
    pub fate: Fate,
}

const fn row(key: &'static str, value: &'static str, fate: Fate) -> Row {
    Row { key, value, fate }
}

const GUEST_SETTINGS: &str = "tests/scenarios/guest-settings.scenario";
const ENDINGS: &str = "dom0-tools/domain/src/lifecycle/tests/endings.rs";
const PASSTHROUGH: &str = "passthrough not yet supported for x86 PVH guests";

pub const ROWS: &[Row] = &[
    // What the domain is.
    row(
        "type",
        "\"pvh\"",
        Shown(
            "dom0-tools/domcfg/tests/broken.rs",
            "classic PV domains are not supported",
        ),
    ),
    row("builder", "\"hvm\"", Old("\"builder\" contradicts type")),
    row("name", "\"other\"", Acts),
    row("uuid", "\"89abcdef-0123-4567-89ab-cdef01234567\"", Acts),
    row("pool", "\"second\"", Acts),
    row("hap", "0", Acts),
    row("oos", "0", Acts),
    row("seclabel", "\"system_u:system_r:domU_t\"", Warned),
    row("init_seclabel", "\"system_u:system_r:domU_t\"", Warned),
    row("driver_domain", "1", Acts),
    row("passthrough", "\"enabled\"", Refused(PASSTHROUGH)),
    row("xend_suspend_evtchn_compat", "1", Acts),
    // CPUs.
    row("vcpus", "2", Acts),
    row("maxvcpus", "3", Acts),
    row("cpus", "\"1\"", Acts),
    row("cpus_soft", "\"1\"", Acts),
    row("cpu_weight", "512", Acts),
    row("cap", "50", Acts),
    row("period", "10000", Warned),
    row("extratime", "1", Warned),
    row("slice", "1", Idle),
    row("latency", "1", Idle),
    row("cpuid", "\"host,sse3=0\"", Acts),
    row("nestedhvm", "1", Acts),
    row("vpmu", "1", Acts),
    row("vmtrace_buf_kb", "64", Acts),
    row("altp2m", "\"external\"", Acts),
    row("msr_relaxed", "1", Acts),
    // Memory.
    row("memory", "48", Acts),
    row("maxmem", "96", Acts),
    row("shadow_memory", "16", Acts),
    row("videoram", "8", Acts),
    row(
        "vnuma",
        "[ [ \"pnode=0\", \"size=64\", \"vcpus=0\" ] ]",
        Refused("vnuma= is not supported"),
    ),
    row(
        "llc_colors",
        "[ \"0-3\" ]",
        Refused("LLC coloring not enabled in the hypervisor"),
    ),
    // Booting.
    row("kernel", "\"DIRECTORY/other-kernel\"", Acts),
    row("ramdisk", "\"DIRECTORY/kernel\"", Acts),
    row("cmdline", "\"quiet\"", Acts),
    row("root", "\"/dev/xvda\"", Acts),
    row("extra", "\"quiet\"", Acts),
    row(
        "firmware",
        "\"pvgrub64\"",
        Shown("dom0-tools/domcfg/tests/keys.rs", "boot/pvgrub64.bin"),
    ),
    row(
        "bootloader",
        "\"pygrub\"",
        Refused("bootloader= is not supported: give kernel= and ramdisk="),
    ),
    row("bootloader_args", "[ \"-q\" ]", Idle),
    row("bootloader_restrict", "1", Idle),
    row("bootloader_user", "\"nobody\"", Idle),
    row("device_tree", "\"/dtb\"", Idle),
    row("pvshim", "1", Refused("pvshim= is not supported")),
    row("pvshim_path", "\"/shim\"", Idle),
    row("pvshim_cmdline", "\"x\"", Idle),
    row("pvshim_extra", "\"x\"", Idle),
    row("e820_host", "1", Idle),
    // Events.
    row(
        "on_poweroff",
        "\"preserve\"",
        Shown(GUEST_SETTINGS, "step: poweroff-preserve"),
    ),
    row(
        "on_reboot",
        "\"restart\"",
        Shown(GUEST_SETTINGS, "step: reboot-restart"),
    ),
    row(
        "on_watchdog",
        "\"preserve\"",
        Shown(ENDINGS, "config.on_watchdog = "),
    ),
    row(
        "on_crash",
        "\"preserve\"",
        Shown(GUEST_SETTINGS, "step: crash-preserve"),
    ),
    row(
        "on_soft_reset",
        "\"preserve\"",
        Shown(ENDINGS, "config.on_soft_reset = "),
    ),
    // Time.
    row("tsc_mode", "\"native\"", Acts),
    row("localtime", "1", Shown(GUEST_SETTINGS, "step: localtime")),
    row("rtc_timeoffset", "60", Acts),
    row("timer_mode", "\"no_missed_ticks_pending\"", Acts),
    // Limits and behaviour.
    row("max_event_channels", "100", Acts),
    row("max_grant_frames", "16", Acts),
    row("max_maptrack_frames", "16", Acts),
    row("max_grant_version", "1", Acts),
    row("nomigrate", "1", Acts),
    row("acpi", "0", Idle),
    // Devices.
    row("disk", "[ \"/disk.img,raw,xvda,w\" ]", Acts),
    row("vif", "[ \"mac=00:16:3e:00:00:0a,bridge=xenbr0\" ]", Acts),
    row("vif2", "[ \"bridge=xenbr0\" ]", Idle),
    row("vfb", "[ \"vnc=1\" ]", Warned),
    row("vkb", "[ \"backend-type=linux\" ]", Warned),
    row("channel", "[ \"connection=pty,name=x\" ]", Warned),
    row(
        "p9",
        "[ \"tag=share,path=/srv,security_model=none\" ]",
        Warned,
    ),
    row("pvcalls", "[ \"backend=0\" ]", Warned),
    row("vtpm", "[ \"backend=tpm\" ]", Warned),
    row("vdispl", "[ \"connectors=id0:640x480\" ]", Warned),
    row("vsnd", "[ [ \"card, backend=0\" ] ]", Warned),
    row(
        "virtio",
        "[ \"type=virtio,device22,transport=mmio\" ]",
        Warned,
    ),
    row("usbctrl", "[ \"type=pv\" ]", Warned),
    row("usbdev", "[ \"hostbus=1,hostaddr=2\" ]", Warned),
    row("pci", "[ \"03:00.0\" ]", Refused(PASSTHROUGH)),
    row("pci_permissive", "1", Idle),
    row("pci_msitranslate", "1", Idle),
    row("pci_seize", "1", Idle),
    row("pci_power_mgmt", "1", Idle),
    row("rdm", "\"strategy=host\"", Idle),
    row("rdm_mem_boundary", "64", Idle),
    row("ioports", "[ \"3f8-3ff\" ]", Acts),
    row("irqs", "[ 4, 5 ]", Acts),
    row("iomem", "[ \"fed42,1@100\" ]", Acts),
    row("dtdev", "[ \"/soc/serial\" ]", Refused(PASSTHROUGH)),
    // The device model.
    row(
        "device_model",
        "\"qemu\"",
        Old("\"device_model\" is deprecated, write \"device_model_override\""),
    ),
    row("device_model_version", "\"qemu-xen\"", Warned),
    row("device_model_override", "\"/qemu\"", Warned),
    row("device_model_stubdomain_override", "1", Warned),
    row("device_model_stubdomain_seclabel", "\"x\"", Warned),
    row("device_model_user", "\"nobody\"", Warned),
    row("device_model_args", "[ \"-x\" ]", Warned),
    row("device_model_args_pv", "[ \"-x\" ]", Warned),
    row("device_model_args_hvm", "[ \"-x\" ]", Warned),
    row("dm_restrict", "1", Warned),
    row("stubdomain_kernel", "\"/kernel\"", Warned),
    row("stubdomain_ramdisk", "\"/ramdisk\"", Warned),
    row("stubdomain_cmdline", "\"x\"", Warned),
    row("stubdomain_memory", "64", Warned),
    // The emulated machine.
    row("bios", "\"seabios\"", Idle),
    row("bios_path_override", "\"/bios\"", Idle),
    row("firmware_override", "\"/firmware\"", Idle),
    row("acpi_firmware", "\"/tables\"", Idle),
    row("smbios_firmware", "\"/tables\"", Idle),
    row("smbios", "[ \"oem=text\" ]", Idle),
    row("ms_vm_genid", "\"generate\"", Idle),
    row("boot", "\"cdn\"", Idle),
    row("hdtype", "\"ahci\"", Idle),
    row("pae", "0", Idle),
    row("acpi_s3", "0", Idle),
    row("acpi_s4", "0", Idle),
    row("acpi_laptop_slate", "1", Idle),
    row("apic", "0", Idle),
    row("nx", "0", Idle),
    row("hpet", "0", Idle),
    row("vpt_align", "0", Idle),
    row("hvm_pirq", "1", Idle),
    row("viridian", "1", Idle),
    row("mmio_hole", "512", Idle),
    row("altp2mhvm", "1", Idle),
    row("mca_caps", "[ \"lmce\" ]", Idle),
    row("xen_platform_pci", "0", Idle),
    row("vendor_device", "\"xenserver\"", Idle),
    row("serial", "\"pty\"", Idle),
    row("vga", "\"stdvga\"", Idle),
    row("stdvga", "1", Idle),
    row("gfx_passthru", "1", Idle),
    row("nographic", "1", Idle),
    row("vnc", "1", Idle),
    row("vnclisten", "\"127.0.0.1\"", Idle),
    row("vncdisplay", "1", Idle),
    row("vncunused", "1", Idle),
    row("vncpasswd", "\"x\"", Idle),
    row("vncviewer", "1", Idle),
    row("sdl", "1", Idle),
    row("opengl", "1", Idle),
    row("display", "\":0\"", Idle),
    row("xauthority", "\"/x\"", Idle),
    row("keymap", "\"de\"", Idle),
    row("spice", "1", Idle),
    row("spiceport", "6000", Idle),
    row("spicetls_port", "6001", Idle),
    row("spicehost", "\"127.0.0.1\"", Idle),
    row("spicedisable_ticketing", "1", Idle),
    row("spicepasswd", "\"x\"", Idle),
    row("spiceagent_mouse", "1", Idle),
    row("spicevdagent", "1", Idle),
    row("spice_clipboard_sharing", "1", Idle),
    row("spiceusbredirection", "4", Idle),
    row("spice_image_compression", "\"off\"", Idle),
    row("spice_streaming_video", "\"all\"", Idle),
    row("usb", "1", Idle),
    row("usbversion", "2", Idle),
    row("usbdevice", "\"tablet\"", Idle),
    row("vkb_device", "0", Idle),
    row("soundhw", "\"hda\"", Idle),
    // Arm.
    row("vuart", "\"sbsa_uart\"", Idle),
    row("gic_version", "\"v3\"", Idle),
    row("tee", "\"optee\"", Idle),
    row("sve", "\"hw\"", Idle),
    row("nr_spis", "64", Idle),
];

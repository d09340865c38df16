//! The commands, in the order in which `xl help` lists them.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands;
use crate::context::Context;

/// A whole command line after the options before the command.
#[derive(Parser, Debug)]
#[command(
    name = "xl",
    disable_help_subcommand = true,
    infer_long_args = true,
    args_override_self = true
)]
#[command(about = "Manages domains of a Xen-compatible hypervisor")]
pub struct Line {
    /// The command.
    #[command(subcommand)]
    pub verb: Verb,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

macro_rules! verbs {
    ($($(#[$meta:meta])* $variant:ident($arguments:ty);)*) => {
        /// A command and its arguments.
        #[derive(Subcommand, Debug)]
        #[command(infer_long_args = true, args_override_self = true)]
        pub enum Verb {
            $($(#[$meta])* $variant($arguments),)*
        }

        impl Verb {
            /// Does what the command is for.
            pub fn run(&self, context: &Context) -> anyhow::Result<()> {
                match self {
                    $(Self::$variant(arguments) => arguments.run(context),)*
                }
            }
        }
    };
}

verbs! {
    /// Create a domain as a configuration file says
    Create(commands::create::Arguments);
    /// Replace the configuration that a domain is restarted with
    ConfigUpdate(commands::config_update::Arguments);
    /// List domains and what they are doing
    List(commands::list::Arguments);
    /// End a domain at once
    Destroy(commands::destroy::Arguments);
    /// Ask a domain to shut down
    Shutdown(commands::shutdown::Shutdown);
    /// Ask a domain to restart
    Reboot(commands::shutdown::Reboot);
    /// Stop a domain from running
    Pause(commands::pause::Pause);
    /// Let a paused domain run
    Unpause(commands::pause::Unpause);
    /// Connect to a domain's console
    Console(commands::console::Arguments);
    /// Set the most memory a domain may have
    MemMax(commands::memory::Max);
    /// Set the memory a domain should use
    MemSet(commands::memory::Set);
    /// Press a button of a domain (use trigger)
    ButtonPress(commands::trigger::Button);
    /// List virtual processors
    VcpuList(commands::vcpu_list::Arguments);
    /// Choose the processors that a virtual processor may use
    VcpuPin(commands::vcpu_pin::Arguments);
    /// Set how many virtual processors a domain uses
    VcpuSet(commands::vcpu_set::Arguments);
    /// List guests with their UUIDs
    VmList(commands::vm_list::Arguments);
    /// Describe the host
    Info(commands::info::Arguments);
    /// List memory that domains share
    Sharing(commands::sharing::Arguments);
    /// Read or set parameters of the credit scheduler
    SchedCredit(commands::sched_credit::Arguments);
    /// Read or set parameters of the credit2 scheduler
    #[command(name = "sched-credit2")]
    SchedCredit2(commands::sched_credit2::Arguments);
    /// Print the number of the domain with a name
    Domid(commands::names::Domid);
    /// Print the name of the domain with a number
    Domname(commands::names::Domname);
    /// Give a domain another name
    Rename(commands::rename::Arguments);
    /// Send a trigger to a domain
    Trigger(commands::trigger::Arguments);
    /// Send a system request key to a domain
    Sysrq(commands::sysrq::Arguments);
    /// Press debug keys of the hypervisor
    DebugKeys(commands::debug_keys::Arguments);
    /// Print the hypervisor's log
    Dmesg(commands::dmesg::Arguments);
    /// Watch host and domains
    Top(commands::top::Arguments);
    /// Give a domain another network interface
    NetworkAttach(commands::network::Attach);
    /// List network interfaces of domains
    NetworkList(commands::network::List);
    /// Take a network interface from a domain
    NetworkDetach(commands::network::Detach);
    /// Give a domain another disk
    BlockAttach(commands::block::Attach);
    /// List disks of domains
    BlockList(commands::block::List);
    /// Take a disk from a domain
    BlockDetach(commands::block::Detach);
    /// Print how long domains have been up
    Uptime(commands::uptime::Arguments);
    /// List memory that is promised to domains
    Claims(commands::claims::Arguments);
    /// Create a CPU pool
    CpupoolCreate(commands::cpupool_create::Arguments);
    /// List CPU pools
    CpupoolList(commands::cpupool_list::Arguments);
    /// Remove a CPU pool
    CpupoolDestroy(commands::cpupool::Destroy);
    /// Give a CPU pool another name
    CpupoolRename(commands::cpupool::Rename);
    /// Add a processor to a CPU pool
    CpupoolCpuAdd(commands::cpupool::CpuAdd);
    /// Take a processor from a CPU pool
    CpupoolCpuRemove(commands::cpupool::CpuRemove);
    /// Move a domain into a CPU pool
    CpupoolMigrate(commands::cpupool::Migrate);
    /// Make a CPU pool of each NUMA node
    CpupoolNumaSplit(commands::cpupool_numa_split::Arguments);
    /// Watch over a domain (started by create)
    #[command(name = commands::monitor::NAME, hide = true)]
    Monitor(commands::monitor::Arguments);
}

/// A command of xl 4.20 that this xl does not have.
#[derive(Debug)]
pub struct Unsupported {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
}

impl Unsupported {
    /// What is said instead of running it.
    pub fn refusal(&self) -> String {
        format!(
            "'xl {}' is not supported by this version of xl ({}).",
            self.name, self.about
        )
    }
}

macro_rules! unsupported {
    ($($name:literal, $about:literal;)*) => {
        /// What xl 4.20 has beyond [`Verb`].
        pub const UNSUPPORTED: &[Unsupported] = &[$(Unsupported { name: $name, about: $about },)*];
    };
}

unsupported! {
    "pci-attach", "Give a PCI device to a domain";
    "pci-detach", "Take a PCI device from a domain";
    "pci-list", "List PCI devices of a domain";
    "pci-assignable-add", "Prepare a PCI device for a domain";
    "pci-assignable-remove", "Give a PCI device back to dom0";
    "pci-assignable-list", "List PCI devices prepared for domains";
    "vncviewer", "Show a domain's screen";
    "save", "Save a domain to a file";
    "migrate", "Move a domain to another host";
    "restore", "Create a domain from a file";
    "migrate-receive", "Receive a domain from another host";
    "suspend", "Suspend a domain to memory";
    "resume", "Resume a domain from memory";
    "dump-core", "Write a domain's memory to a file";
    "cd-insert", "Put a medium into a virtual drive";
    "cd-eject", "Take the medium out of a virtual drive";
    "sched-rtds", "Read or set parameters of the rtds scheduler";
    "set-parameters", "Set parameters of the hypervisor";
    "channel-list", "List virtual channels of domains";
    "vtpm-attach", "Give a virtual TPM to a domain";
    "vtpm-list", "List virtual TPMs of a domain";
    "vtpm-detach", "Take a virtual TPM from a domain";
    "vkb-attach", "Give a virtual keyboard to a domain";
    "vkb-list", "List virtual keyboards of a domain";
    "vkb-detach", "Take a virtual keyboard from a domain";
    "vdispl-attach", "Give a virtual display to a domain";
    "vdispl-list", "List virtual displays of a domain";
    "vdispl-detach", "Take a virtual display from a domain";
    "vsnd-attach", "Give a virtual sound device to a domain";
    "vsnd-list", "List virtual sound devices of a domain";
    "vsnd-detach", "Take a virtual sound device from a domain";
    "getenforce", "Print the mode of the Flask security module";
    "setenforce", "Set the mode of the Flask security module";
    "loadpolicy", "Load a policy of the Flask security module";
    "remus", "Keep a copy of a domain on another host";
    "devd", "Serve devices in a driver domain";
    "psr-hwinfo", "Describe the processor's cache allocation";
    "psr-cmt-attach", "Monitor a domain's use of the cache";
    "psr-cmt-detach", "Stop to monitor a domain's use of the cache";
    "psr-cmt-show", "Print a domain's use of the cache";
    "psr-cat-set", "Set a domain's part of the cache";
    "psr-cat-show", "Print domains' parts of the cache";
    "psr-mba-set", "Set a domain's part of the memory bandwidth";
    "psr-mba-show", "Print domains' parts of the memory bandwidth";
    "usbctrl-attach", "Give a USB controller to a domain";
    "usbctrl-detach", "Take a USB controller from a domain";
    "usbdev-attach", "Give a USB device to a domain";
    "usbdev-detach", "Take a USB device from a domain";
    "usb-list", "List USB devices of a domain";
    "qemu-monitor-command", "Send a command to a domain's device model";
}

/// What [`lookup`] finds.
pub enum Found {
    /// A command, by its full name.
    Supported(&'static str),
    /// One that is not supported.
    Unsupported(&'static Unsupported),
}

/// The command called `word`, or the only one that begins so.
pub fn lookup(word: &str) -> Option<Found> {
    let hidden = std::iter::once(commands::monitor::NAME);
    let mut all: Vec<Found> = names()
        .into_iter()
        .chain(hidden)
        .map(Found::Supported)
        .collect();
    all.extend(UNSUPPORTED.iter().map(Found::Unsupported));
    if let Some(exact) = all.iter().position(|found| found.name() == word) {
        return Some(all.swap_remove(exact));
    }
    all.retain(|found| found.name() != commands::monitor::NAME && found.name().starts_with(word));
    if all.len() == 1 { all.pop() } else { None }
}

impl Found {
    fn name(&self) -> &'static str {
        match self {
            Self::Supported(name) => name,
            Self::Unsupported(command) => command.name,
        }
    }
}

/// The names of the commands that are not hidden, in order.
pub fn names() -> Vec<&'static str> {
    static NAMES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let line = Line::command();
        let shown = line
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        shown.map(|command| command.get_name().to_owned()).collect()
    });
    NAMES.iter().map(String::as_str).collect()
}

/// Whether a command can say what it would do.
pub fn can_dry_run(name: &str) -> bool {
    const CAN: [&str; 6] = [
        "create",
        "config-update",
        "network-attach",
        "block-attach",
        "vcpu-pin",
        "cpupool-create",
    ];
    CAN.contains(&name)
}

/// Whether a command only reads.
pub fn only_reads(name: &str) -> bool {
    const READS: [&str; 16] = [
        "list",
        "console",
        "vcpu-list",
        "vm-list",
        "info",
        "sharing",
        "domid",
        "domname",
        "dmesg",
        "top",
        "network-list",
        "block-list",
        "uptime",
        "claims",
        "cpupool-list",
        "help",
    ];
    READS.contains(&name)
}

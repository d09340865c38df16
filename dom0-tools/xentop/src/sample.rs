//! What the host and its domains used until one moment.

use std::time::Instant;

use xenctl::DomId;

/// All that is known at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was taken.
    pub taken: Instant,
    /// The host.
    pub host: Host,
    /// Its domains, by number.
    pub domains: Vec<Domain>,
}

/// The host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Version of the hypervisor, as `4.20.3`.
    pub version: String,
    /// Processors.
    pub cpus: u32,
    /// Their frequency in kHz.
    pub cpu_khz: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of it that belong to nobody.
    pub free_memory: u64,
}

/// A domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Number.
    pub id: DomId,
    /// Name, without characters that a terminal would obey.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Nanoseconds of processor time.
    pub cpu_ns: u64,
    /// Bytes of memory it has.
    pub memory: u64,
    /// Bytes it may have; `None`: no limit.
    pub max_memory: Option<u64>,
    /// How many vCPUs it has.
    pub vcpu_count: u32,
    /// The vCPUs, if they were asked for.
    pub vcpus: Vec<Vcpu>,
    /// Network interfaces.
    pub networks: Vec<Network>,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Security label.
    pub ssid: u32,
}

/// What a domain is doing; several may be so at once.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Being destroyed.
    pub dying: bool,
    /// Shut down for another reason than a crash.
    pub shutdown: bool,
    /// All vCPUs wait.
    pub blocked: bool,
    /// It crashed.
    pub crashed: bool,
    /// Paused by the tools.
    pub paused: bool,
    /// A vCPU runs.
    pub running: bool,
}

impl State {
    /// Each state with its letter, the most remarkable first.
    pub fn letters(self) -> [(bool, char); 6] {
        [
            (self.dying, 'd'),
            (self.shutdown, 's'),
            (self.blocked, 'b'),
            (self.crashed, 'c'),
            (self.paused, 'p'),
            (self.running, 'r'),
        ]
    }

    /// The letters of what is so, and `-` for what is not.
    pub fn text(self) -> String {
        let letters = self.letters().into_iter();
        letters
            .map(|(is_so, letter)| if is_so { letter } else { '-' })
            .collect()
    }
}

/// A vCPU.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Vcpu {
    /// Up.
    pub online: bool,
    /// Nanoseconds of processor time.
    pub cpu_ns: u64,
}

/// What went one way through a network interface.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Errors.
    pub errors: u64,
    /// Packets dropped.
    pub drops: u64,
}

/// A domain's network interface, as its back end counts: what it received is what the domain sent.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its number in the domain.
    pub id: u32,
    /// Received by the back end.
    pub received: Traffic,
    /// Sent by the back end.
    pub sent: Traffic,
}

/// Which driver is behind a disk.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum DiskKind {
    /// Another.
    #[default]
    Unidentified,
    /// The kernel's.
    BlkBack,
    /// The old user-space driver.
    BlkTap,
    /// The newer user-space driver, whose counters are elsewhere and not read.
    Tapdisk3,
}

impl DiskKind {
    /// Its name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unidentified => "Unidentified",
            Self::BlkBack => "BlkBack",
            Self::BlkTap => "BlkTap",
            Self::Tapdisk3 => "Tapdisk3",
        }
    }
}

/// Counters of a disk.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// How often the back end had no memory for a request.
    pub out_of_requests: u64,
    /// Read requests.
    pub reads: u64,
    /// Write requests.
    pub writes: u64,
    /// Sectors read.
    pub sectors_read: u64,
    /// Sectors written.
    pub sectors_written: u64,
}

/// A domain's disk.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Its driver.
    pub kind: DiskKind,
    /// The number of the device: major in bits 31:8, minor in 7:0.
    pub device: u32,
    /// Its counters, where they can be read.
    pub used: Option<DiskUse>,
}

impl Sample {
    /// A domain of it.
    pub fn domain(&self, id: DomId) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.id == id)
    }
}

impl Domain {
    /// Bytes its network back ends sent.
    pub fn sent(&self) -> u64 {
        sum(self.networks.iter().map(|network| network.sent.bytes))
    }

    /// Bytes its network back ends received.
    pub fn received(&self) -> u64 {
        sum(self.networks.iter().map(|network| network.received.bytes))
    }

    /// What its disks did together; `None` when it has some and none can be read.
    pub fn disk_use(&self) -> Option<DiskUse> {
        if self.disks.is_empty() {
            return Some(DiskUse::default());
        }
        let known = self.disks.iter().filter_map(|disk| disk.used);
        known.reduce(|a, b| DiskUse {
            out_of_requests: a.out_of_requests.saturating_add(b.out_of_requests),
            reads: a.reads.saturating_add(b.reads),
            writes: a.writes.saturating_add(b.writes),
            sectors_read: a.sectors_read.saturating_add(b.sectors_read),
            sectors_written: a.sectors_written.saturating_add(b.sectors_written),
        })
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

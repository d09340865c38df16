//! The columns of the table.

use std::cmp::Ordering;

use crate::sample::{DiskUse, Domain, Sample};

/// A column. The first is the order of a new table.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// Name.
    #[default]
    Name,
    /// Letters of what it does.
    State,
    /// Seconds of processor time.
    Cpu,
    /// Percent of one processor since the sample before.
    CpuPercent,
    /// KiB of memory.
    Memory,
    /// Percent of the host's memory.
    MemoryPercent,
    /// KiB it may have.
    MaxMemory,
    /// Percent of the host's memory it may have.
    MaxPercent,
    /// vCPUs.
    Vcpus,
    /// Network interfaces.
    Networks,
    /// KiB sent by the back ends, or KiB per second.
    Sent,
    /// KiB received by the back ends, or KiB per second.
    Received,
    /// Disks.
    Disks,
    /// Requests without memory.
    OutOfRequests,
    /// Read requests, or per second.
    Reads,
    /// Write requests, or per second.
    Writes,
    /// Sectors read, or per second.
    SectorsRead,
    /// Sectors written, or per second.
    SectorsWritten,
    /// Security label.
    Label,
}

use Column::*;

/// A domain in a sample, beside the sample before.
#[derive(Copy, Clone)]
pub struct Row<'a> {
    /// The domain.
    pub domain: &'a Domain,
    /// The domain in the sample before.
    pub before: Option<&'a Domain>,
    /// Seconds between both.
    pub seconds: f64,
    /// Bytes of the host's memory.
    pub host_memory: u64,
    /// Whether devices are told per second.
    pub rates: bool,
}

impl Column {
    /// All, from left to right.
    pub const ALL: [Self; 19] = [
        Name,
        State,
        Cpu,
        CpuPercent,
        Memory,
        MemoryPercent,
        MaxMemory,
        MaxPercent,
        Vcpus,
        Networks,
        Sent,
        Received,
        Disks,
        OutOfRequests,
        Reads,
        Writes,
        SectorsRead,
        SectorsWritten,
        Label,
    ];

    /// The column `steps` further on, around the end.
    pub fn after(self, steps: usize) -> Self {
        let here = Self::ALL.iter().position(|&column| column == self);
        Self::ALL[(here.unwrap_or(0) + steps) % Self::ALL.len()]
    }

    /// The column before, around the start.
    pub fn before(self) -> Self {
        self.after(Self::ALL.len() - 1)
    }

    /// Its title.
    pub const fn title(self, rates: bool) -> &'static str {
        match self {
            Name => "NAME",
            State => "STATE",
            Cpu => "CPU(sec)",
            CpuPercent => "CPU(%)",
            Memory => "MEM(k)",
            MemoryPercent => "MEM(%)",
            MaxMemory => "MAXMEM(k)",
            MaxPercent => "MAXMEM(%)",
            Vcpus => "VCPUS",
            Networks => "NETS",
            Sent if rates => "TX(k/s)",
            Sent => "NETTX(k)",
            Received if rates => "RX(k/s)",
            Received => "NETRX(k)",
            Disks => "VBDS",
            OutOfRequests => "VBD_OO",
            Reads if rates => "RD/s",
            Reads => "VBD_RD",
            Writes if rates => "WR/s",
            Writes => "VBD_WR",
            SectorsRead if rates => "RSECT/s",
            SectorsRead => "VBD_RSECT",
            SectorsWritten if rates => "WSECT/s",
            SectorsWritten => "VBD_WSECT",
            Label => "SSID",
        }
    }

    /// Its least width.
    pub const fn width(self) -> usize {
        match self {
            Name | Cpu | Memory | MaxMemory | SectorsRead | SectorsWritten => 10,
            State | CpuPercent | MemoryPercent => 6,
            MaxPercent => 9,
            Vcpus => 5,
            Networks | Disks | Label => 4,
            Sent | Received | OutOfRequests | Reads | Writes => 8,
        }
    }

    /// The width it needs to show `row`.
    pub fn width_for(self, row: &Row<'_>, full_name: bool) -> usize {
        let digits = |number: u64| number.saturating_add(1).ilog10() as usize + 1;
        let needed = match self {
            Name if full_name => row.domain.name.chars().count(),
            Sent | Received => digits(self.number(row) >> 10),
            Reads | Writes | SectorsRead | SectorsWritten => digits(self.number(row)),
            _ => 0,
        };
        needed.max(self.width())
    }

    /// What it shows of a domain, without filling.
    pub fn text(self, row: &Row<'_>) -> String {
        let domain = row.domain;
        let percent = |bytes: u64| format!("{:.1}", bytes as f64 / row.host_memory as f64 * 100.0);
        match self {
            Name => domain.name.clone(),
            State => domain.state.text(),
            Cpu => (domain.cpu_ns / 1_000_000_000).to_string(),
            CpuPercent => format!("{:.1}", cpu_percent(row)),
            Memory => (domain.memory >> 10).to_string(),
            MemoryPercent => percent(domain.memory),
            MaxMemory => match domain.max_memory {
                Some(bytes) => (bytes >> 10).to_string(),
                None => "no limit".into(),
            },
            MaxPercent => domain.max_memory.map_or("n/a".into(), percent),
            Vcpus => domain.vcpu_count.to_string(),
            Networks => domain.networks.len().to_string(),
            Disks => domain.disks.len().to_string(),
            Sent | Received => (self.number(row) >> 10).to_string(),
            OutOfRequests | Reads | Writes | SectorsRead | SectorsWritten => {
                match domain.disk_use() {
                    Some(_) => self.number(row).to_string(),
                    None => "-".into(),
                }
            }
            Label => domain.ssid.to_string(),
        }
    }

    /// Which of two domains is further up: names and labels rise, numbers fall, remarkable states come first.
    pub fn compare(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        match self {
            Name => caseless(a.domain).cmp(&caseless(b.domain)),
            State => remarkable(b.domain).cmp(&remarkable(a.domain)),
            CpuPercent => cpu_percent(b).total_cmp(&cpu_percent(a)),
            Label => a.domain.ssid.cmp(&b.domain.ssid),
            _ => self.number(b).cmp(&self.number(a)),
        }
    }

    /// The number it counts: since the start, or per second for devices in a table of rates.
    pub fn number(self, row: &Row<'_>) -> u64 {
        let is_rate = row.rates && self.is_counter();
        let now = self.total(row.domain);
        let Some(before) = row.before.filter(|_| is_rate) else {
            return if is_rate { 0 } else { now };
        };
        if row.seconds <= 0.0 {
            return 0;
        }
        let more = now.saturating_sub(self.total(before));
        (more as f64 / row.seconds).round() as u64
    }

    const fn is_counter(self) -> bool {
        matches!(
            self,
            Sent | Received | Reads | Writes | SectorsRead | SectorsWritten
        )
    }

    fn total(self, domain: &Domain) -> u64 {
        let of_disks = |what: fn(DiskUse) -> u64| domain.disk_use().map_or(0, what);
        match self {
            Cpu => domain.cpu_ns,
            Memory | MemoryPercent => domain.memory,
            MaxMemory | MaxPercent => domain.max_memory.unwrap_or(u64::MAX),
            Vcpus => domain.vcpu_count.into(),
            Networks => domain.networks.len() as u64,
            Sent => domain.sent(),
            Received => domain.received(),
            Disks => domain.disks.len() as u64,
            OutOfRequests => of_disks(|used| used.out_of_requests),
            Reads => of_disks(|used| used.reads),
            Writes => of_disks(|used| used.writes),
            SectorsRead => of_disks(|used| used.sectors_read),
            SectorsWritten => of_disks(|used| used.sectors_written),
            Name | State | CpuPercent | Label => 0,
        }
    }
}

impl<'a> Row<'a> {
    /// Of a domain of `sample`.
    pub fn new(
        domain: &'a Domain,
        sample: &Sample,
        before: Option<&'a Sample>,
        rates: bool,
    ) -> Self {
        let elapsed = before.map(|before| sample.taken.saturating_duration_since(before.taken));
        Self {
            domain,
            before: before.and_then(|before| before.domain(domain.id)),
            seconds: elapsed.unwrap_or_default().as_secs_f64(),
            host_memory: sample.host.memory,
            rates,
        }
    }

    /// Percent of one processor since the sample before; `None` without one.
    pub fn cpu_percent(&self) -> Option<f64> {
        let before = self.before.filter(|_| self.seconds > 0.0)?;
        let more = self.domain.cpu_ns.saturating_sub(before.cpu_ns);
        Some(more as f64 / 1e7 / self.seconds)
    }
}

/// Percent of one processor; 0 without a sample before.
fn cpu_percent(row: &Row<'_>) -> f64 {
    row.cpu_percent().unwrap_or(0.0)
}

fn remarkable(domain: &Domain) -> [bool; 6] {
    domain.state.letters().map(|(is_so, _)| is_so)
}

fn caseless(domain: &Domain) -> String {
    domain.name.to_ascii_lowercase()
}

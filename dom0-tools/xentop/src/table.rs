//! The table as lines of text, for a terminal or a pipe.

use crate::column::{Column, Row};
use crate::sample::{Disk, Domain, Network, Sample};

/// vCPUs in a line.
const VCPUS_IN_LINE: usize = 5;

/// What is shown and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The column that gives the order.
    pub sort: Column,
    /// A line for each network interface.
    pub networks: bool,
    /// A line for each disk.
    pub vbds: bool,
    /// The times of the vCPUs.
    pub vcpus: bool,
    /// The header before each domain.
    pub repeat_header: bool,
    /// Whole names.
    pub full_name: bool,
    /// Dom0 above all others.
    pub dom0_first: bool,
    /// Devices per second.
    pub rates: bool,
}

/// A line of the table: cells that are joined by a blank, or text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Titles of the columns, filled to their widths.
    Header(Vec<String>),
    /// A domain: its place in the order, and its cells, filled to their widths.
    Domain(usize, Vec<String>),
    /// More about the domain above.
    Detail(String),
}

impl Line {
    /// As text.
    pub fn text(&self) -> String {
        match self {
            Self::Header(cells) | Self::Domain(_, cells) => cells.join(" "),
            Self::Detail(text) => text.clone(),
        }
    }
}

impl View {
    /// The domains of a sample in order.
    pub fn order<'a>(&self, sample: &'a Sample, before: Option<&'a Sample>) -> Vec<Row<'a>> {
        let row = |domain| Row::new(domain, sample, before, self.rates);
        let mut rows: Vec<Row<'a>> = sample.domains.iter().map(row).collect();
        let is_dom0 = |row: &Row<'_>| row.domain.name == "Domain-0";
        rows.sort_by(|a, b| {
            let first = is_dom0(b).cmp(&is_dom0(a));
            let first = first.then(a.domain.id.cmp(&b.domain.id));
            let order = self.sort.compare(a, b);
            match self.dom0_first && is_dom0(a) != is_dom0(b) {
                true => first,
                false => order.then(a.domain.id.cmp(&b.domain.id)),
            }
        });
        rows
    }

    /// The table from the domain at place `from` on.
    pub fn lines(&self, rows: &[Row<'_>], from: usize) -> Vec<Line> {
        let shown = rows.get(from..).unwrap_or_default();
        let widths = Column::ALL.map(|column| self.width(column, shown));
        let mut lines = Vec::new();
        for (place, row) in (from..).zip(shown) {
            if place == from || self.repeat_header {
                lines.push(self.header(&widths));
            }
            lines.push(self.domain(place, row, &widths));
            self.details(row.domain, &mut lines);
        }
        lines
    }

    fn width(&self, column: Column, rows: &[Row<'_>]) -> usize {
        let needed = rows.iter().map(|row| column.width_for(row, self.full_name));
        needed.max().unwrap_or(column.width())
    }

    fn header(&self, widths: &[usize]) -> Line {
        let columns = Column::ALL.iter().zip(widths);
        let cell = |(column, width): (&Column, &usize)| {
            let title = column.title(self.rates);
            format!("{title:>width$}")
        };
        Line::Header(columns.map(cell).collect())
    }

    fn domain(&self, place: usize, row: &Row<'_>, widths: &[usize]) -> Line {
        let columns = Column::ALL.iter().zip(widths);
        let cell = |(&column, width): (&Column, &usize)| match column {
            Column::Name if !self.full_name => {
                format!("{:>width$.width$}", row.domain.name)
            }
            _ => format!("{:>width$}", column.text(row)),
        };
        Line::Domain(place, columns.map(cell).collect())
    }

    fn details(&self, domain: &Domain, lines: &mut Vec<Line>) {
        if self.vcpus {
            lines.extend(vcpu_lines(domain));
        }
        if self.networks {
            let networks = domain.networks.iter().enumerate();
            lines.extend(networks.map(|(index, network)| network_line(index, network)));
        }
        if self.vbds {
            lines.extend(domain.disks.iter().map(disk_line));
        }
    }
}

/// The first line starts with a title; lines end before every fifth vCPU, if that is up.
fn vcpu_lines(domain: &Domain) -> impl Iterator<Item = Line> {
    let mut lines = vec!["VCPUs(sec): ".to_owned()];
    for (number, vcpu) in domain.vcpus.iter().enumerate() {
        if !vcpu.online {
            continue;
        }
        if number != 0 && number.is_multiple_of(VCPUS_IN_LINE) {
            lines.push(" ".repeat(8));
        }
        let seconds = vcpu.cpu_ns / 1_000_000_000;
        if let Some(line) = lines.last_mut() {
            line.push_str(&format!(" {number:>2}: {seconds:>10}s"));
        }
    }
    lines.into_iter().map(Line::Detail)
}

fn network_line(index: usize, network: &Network) -> Line {
    let [rx, tx] = [network.received, network.sent].map(|way| {
        format!(
            "{:>8}bytes {:>8}pkts {:>8}err {:>8}drop",
            way.bytes, way.packets, way.errors, way.drops
        )
    });
    Line::Detail(format!("Net{index} RX: {rx}  TX: {tx}"))
}

fn disk_line(disk: &Disk) -> Line {
    let (major, minor) = (disk.device >> 8, disk.device & 0xff);
    let numbers = match disk.used {
        Some(used) => [
            used.out_of_requests,
            used.reads,
            used.writes,
            used.sectors_read,
            used.sectors_written,
        ]
        .map(|number| number.to_string()),
        None => [const { String::new() }; 5].map(|_| "-".into()),
    };
    let [oo, rd, wr, rsect, wsect] = numbers;
    Line::Detail(format!(
        "VBD {} {:>4} [{major:>2x}:{minor:>2x}]  OO: {oo:>8}   RD: {rd:>8}   WR: {wr:>8}   RSECT: {rsect:>10}   WSECT: {wsect:>10}",
        disk.kind.name(),
        disk.device,
    ))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use xenctl::DomId;

    use super::*;
    use crate::sample::{DiskKind, DiskUse, Host, State, Traffic, Vcpu};

    fn domain(id: u16, name: &str, cpu_ns: u64) -> Domain {
        Domain {
            id: DomId(id),
            name: name.into(),
            cpu_ns,
            memory: 256 << 20,
            max_memory: Some(257 << 20),
            vcpu_count: 2,
            state: State {
                blocked: true,
                ..State::default()
            },
            ..Domain::default()
        }
    }

    fn sample(taken: Instant, domains: Vec<Domain>) -> Sample {
        Sample {
            taken,
            host: Host {
                memory: 1 << 30,
                ..Host::default()
            },
            domains,
        }
    }

    fn text(view: &View, sample: &Sample, before: Option<&Sample>) -> Vec<String> {
        let rows = view.order(sample, before);
        view.lines(&rows, 0).iter().map(Line::text).collect()
    }

    #[test]
    fn cells_are_filled_to_the_widths_of_their_columns() {
        let mut dom0 = domain(0, "Domain-0", 29_400_000_000);
        dom0.max_memory = None;
        dom0.state = State {
            running: true,
            ..State::default()
        };
        let sample = sample(Instant::now(), vec![dom0, domain(1, "a-long-name", 0)]);
        let lines = text(&View::default(), &sample, None);
        assert_eq!(
            lines,
            [
                "      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID",
                "a-long-nam --b---          0    0.0     262144   25.0     263168      25.1     2    0        0        0    0        0        0        0          0          0    0",
                "  Domain-0 -----r         29    0.0     262144   25.0   no limit       n/a     2    0        0        0    0        0        0        0          0          0    0",
            ]
        );
    }

    #[test]
    fn processor_time_is_a_share_of_the_time_between_samples() {
        let start = Instant::now();
        let before = sample(
            start,
            vec![domain(1, "a", 1_000_000_000), domain(2, "b", 0)],
        );
        let later = start + Duration::from_secs(2);
        let now = sample(
            later,
            vec![domain(1, "a", 1_500_000_000), domain(3, "c", 9)],
        );
        let lines = text(&View::default(), &now, Some(&before));
        assert!(lines[1].contains("  25.0     262144"), "{}", lines[1]);
        assert!(lines[2].contains("   0.0     262144"), "{}", lines[2]);
    }

    #[test]
    fn names_rise_without_regard_to_case_and_numbers_fall() {
        let sample = sample(
            Instant::now(),
            vec![
                domain(0, "Domain-0", 5),
                domain(1, "b", 9),
                domain(2, "A", 1),
            ],
        );
        let order = |view: &View| -> Vec<u16> {
            view.order(&sample, None)
                .iter()
                .map(|row| row.domain.id.0)
                .collect()
        };
        let mut view = View::default();
        assert_eq!(order(&view), [2, 1, 0]);
        view.sort = Column::Cpu;
        assert_eq!(order(&view), [1, 0, 2]);
        view.dom0_first = true;
        assert_eq!(order(&view), [0, 1, 2]);
        view.sort = Column::Memory;
        assert_eq!(order(&view), [0, 1, 2], "equal ones by number");
    }

    #[test]
    fn columns_grow_for_large_numbers_and_whole_names() {
        let mut big = domain(1, "a-very-long-name", 0);
        big.networks = vec![Network {
            sent: Traffic {
                bytes: 1_234_567_890_123 << 10,
                ..Traffic::default()
            },
            ..Network::default()
        }];
        let sample = sample(Instant::now(), vec![big, domain(2, "b", 0)]);
        let view = View {
            full_name: true,
            ..View::default()
        };
        let lines = text(&view, &sample, None);
        assert!(
            lines[1].starts_with("a-very-long-name --b---"),
            "{}",
            lines[1]
        );
        assert!(lines[1].contains(" 1234567890123 "));
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    }

    #[test]
    fn details_have_lines_of_their_own() {
        let mut guest = domain(1, "a", 0);
        guest.vcpus = vec![
            Vcpu {
                online: true,
                cpu_ns: 3_000_000_000,
            };
            6
        ];
        guest.vcpus[1].online = false;
        guest.networks = vec![Network::default()];
        let used = DiskUse {
            reads: 7,
            ..DiskUse::default()
        };
        let disk = |device, used| Disk {
            kind: DiskKind::BlkBack,
            device,
            used,
        };
        guest.disks = vec![disk(51712, Some(used)), disk(51728, None)];
        let view = View {
            vcpus: true,
            networks: true,
            vbds: true,
            ..View::default()
        };
        let lines = text(&view, &sample(Instant::now(), vec![guest]), None);
        assert_eq!(
            lines[2..],
            [
                "VCPUs(sec):   0:          3s  2:          3s  3:          3s  4:          3s",
                "          5:          3s",
                "Net0 RX:        0bytes        0pkts        0err        0drop  TX:        0bytes        0pkts        0err        0drop",
                "VBD BlkBack 51712 [ca: 0]  OO:        0   RD:        7   WR:        0   RSECT:          0   WSECT:          0",
                "VBD BlkBack 51728 [ca:10]  OO:        -   RD:        -   WR:        -   RSECT:          -   WSECT:          -",
            ]
        );
        assert!(lines[1].contains("        7 "), "{}", lines[1]);
    }

    #[test]
    fn disks_that_cannot_be_read_are_not_zero() {
        let mut guest = domain(1, "a", 0);
        guest.disks = vec![Disk::default()];
        let lines = text(&View::default(), &sample(Instant::now(), vec![guest]), None);
        assert!(
            lines[1].contains("    1        -        -        -          -          -    0"),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn rates_are_what_came_since_the_sample_before() {
        let with_bytes = |bytes| {
            let mut guest = domain(1, "a", 0);
            guest.networks = vec![Network {
                received: Traffic {
                    bytes,
                    ..Traffic::default()
                },
                ..Network::default()
            }];
            vec![guest]
        };
        let start = Instant::now();
        let before = sample(start, with_bytes(10 << 10));
        let now = sample(start + Duration::from_secs(2), with_bytes(50 << 10));
        let view = View {
            rates: true,
            ..View::default()
        };
        let lines = text(&view, &now, Some(&before));
        assert!(lines[0].contains(" TX(k/s)  RX(k/s) "), "{}", lines[0]);
        assert!(
            lines[1].contains("    1        0       20    0"),
            "{}",
            lines[1]
        );
        let back = sample(start + Duration::from_secs(4), with_bytes(0));
        assert!(text(&view, &back, Some(&now))[1].contains("    1        0        0    0"));
    }

    #[test]
    fn a_table_that_begins_further_down_has_its_header_first() {
        let sample = sample(Instant::now(), vec![domain(1, "a", 0), domain(2, "b", 0)]);
        let view = View {
            repeat_header: true,
            ..View::default()
        };
        let rows = view.order(&sample, None);
        let lines = view.lines(&rows, 1);
        assert!(matches!(lines[..], [Line::Header(_), Line::Domain(1, _)]));
        assert_eq!(view.lines(&rows, 0).len(), 4);
        assert!(view.lines(&rows, 9).is_empty());
    }
}

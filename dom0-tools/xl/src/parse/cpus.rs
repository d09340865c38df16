//! Lists of processors in arguments: `0-3,^2,node:1,all`.

use xenctl::{CpuSet, Hypervisor};

use crate::failure::{Failure, OrFail};

/// More than any machine has.
const LARGEST: u64 = 65_535;

/// The processors that `text` lists, on this host.
pub fn list(xen: &dyn Hypervisor, text: &str) -> anyhow::Result<CpuSet> {
    let mut set = CpuSet::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        apply(xen, part, &mut set)?;
    }
    Ok(set)
}

fn apply(xen: &dyn Hypervisor, part: &str, set: &mut CpuSet) -> anyhow::Result<()> {
    let (member, part) = match part.strip_prefix('^') {
        Some(rest) => (false, rest),
        None => (true, part),
    };
    let node = part
        .strip_prefix("node:")
        .or_else(|| part.strip_prefix("nodes:"));
    let range = node.unwrap_or(part);
    if range == "all" {
        anyhow::ensure!(member, Failure::said("Can't combine \"^\" and \"all\"."));
        *set = CpuSet::first(xen.physinfo()?.max_cpu_id.saturating_add(1));
        return Ok(());
    }
    let (first, last) =
        ends(range).ok_or_else(|| Failure::said(format!("Invalid pcpu range: {range}.")))?;
    let chosen = match node {
        Some(_) => of_nodes(xen, first, last)?,
        None => (first..=last).collect(),
    };
    for cpu in chosen {
        if member {
            set.insert(cpu);
        } else {
            set.remove(cpu);
        }
    }
    Ok(())
}

/// `N` or `N-M`.
pub fn ends(range: &str) -> Option<(u32, u32)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| {
        let value: u64 = text.parse().ok()?;
        u32::try_from(value.min(LARGEST)).ok()
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

fn of_nodes(xen: &dyn Hypervisor, first: u32, last: u32) -> anyhow::Result<Vec<u32>> {
    let topology = xen.cpu_topology().or_fail("libxl_node_to_cpumap failed.")?;
    let cpus = (0_u32..).zip(topology);
    let wanted = cpus.filter(|(_, place)| (first..=last).contains(&place.node));
    Ok(wanted.map(|(cpu, _)| cpu).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_two_ends() {
        assert_eq!(ends("3"), Some((3, 3)));
        assert_eq!(ends("1-4"), Some((1, 4)));
        for bad in ["", "0-", "-1", "4-1", "x", "1-2-3", "1 "] {
            assert_eq!(ends(bad), None, "{bad}");
        }
        assert_eq!(ends("0-99999999999"), Some((0, 65_535)));
    }
}

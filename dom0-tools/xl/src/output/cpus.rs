//! Sets of processors (or of nodes) as text.

use xenctl::CpuSet;

/// The first `count` processors of a set: `0-3,7`, `all` or `none`.
pub fn ranges(set: &CpuSet, count: u32) -> String {
    let runs = runs(set.iter().take_while(|&cpu| cpu < count));
    match runs.as_slice() {
        [] => "none".into(),
        [(0, last)] if last + 1 == count => "all".into(),
        runs => {
            let texts: Vec<String> = runs.iter().map(|&run| range(run)).collect();
            texts.join(",")
        }
    }
}

fn runs(members: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for cpu in members {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    runs
}

fn range((first, last): (u32, u32)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_read_as_ranges() {
        let of = |cpus: &[u32]| cpus.iter().copied().collect::<CpuSet>();
        assert_eq!(ranges(&of(&[]), 4), "none");
        assert_eq!(ranges(&of(&[0, 1, 2, 3]), 4), "all");
        assert_eq!(ranges(&of(&[0, 1, 2, 3]), 5), "0-3");
        assert_eq!(ranges(&of(&[1, 2, 3]), 4), "1-3");
        assert_eq!(ranges(&of(&[0, 2, 3, 9]), 16), "0,2-3,9");
        assert_eq!(ranges(&of(&[0, 9]), 4), "0");
    }
}

//! Lists of CPUs: `0-3,^2,node:1,all`. One syntax serves `cpus=`, `cpus_soft=`, `xl vcpu-pin` and `xl cpupool-create`.

use serde_json::Value;
use thiserror::Error;

use crate::json::{Json, JsonError};

/// A set of CPU, vCPU or node numbers below [`MAX_CPUS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet {
    /// 64 numbers a word, the lowest in bit 0 of the first; the last word is not zero.
    words: Vec<u64>,
}

/// No machine has more CPUs than this; it bounds what a list such as `0-4294967295` can cost.
pub const MAX_CPUS: u32 = 4096;

impl CpuSet {
    /// No CPU.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first `count` CPUs, at most [`MAX_CPUS`].
    pub fn first(count: u32) -> Self {
        let mut set = Self::new();
        set.insert_range(0, count);
        set
    }

    /// Adds a CPU; numbers of [`MAX_CPUS`] and above are left out.
    pub fn insert(&mut self, cpu: u32) {
        self.insert_range(cpu, cpu.saturating_add(1));
    }

    /// Adds the CPUs from `start` up to, but not including, `end`.
    pub fn insert_range(&mut self, start: u32, end: u32) {
        let end = end.min(MAX_CPUS);
        if start < end {
            let words = end.div_ceil(64) as usize;
            self.words.resize(self.words.len().max(words), 0);
            self.masks(start, end)
                .for_each(|(word, mask)| *word |= mask);
        }
    }

    /// Takes a CPU out.
    pub fn remove(&mut self, cpu: u32) {
        self.remove_range(cpu, cpu.saturating_add(1));
    }

    /// Takes the CPUs from `start` up to, but not including, `end` out.
    pub fn remove_range(&mut self, start: u32, end: u32) {
        self.masks(start, end.min(MAX_CPUS))
            .for_each(|(word, mask)| *word &= !mask);
        self.trim();
    }

    /// Adds every CPU of another set.
    pub fn insert_all(&mut self, other: &CpuSet) {
        self.words
            .resize(self.words.len().max(other.words.len()), 0);
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(word, more)| *word |= more);
    }

    /// Takes every CPU of another set out.
    pub fn remove_all(&mut self, other: &CpuSet) {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(word, less)| *word &= !less);
        self.trim();
    }

    /// Drops empty words at the end.
    fn trim(&mut self) {
        let used = self
            .words
            .iter()
            .rposition(|word| *word != 0)
            .map_or(0, |last| last + 1);
        self.words.truncate(used);
    }

    /// The words that have a part in a range, each with the bits that are in it.
    fn masks(&mut self, start: u32, end: u32) -> impl Iterator<Item = (&mut u64, u64)> {
        let bits_below = |limit: u32, base: u32| match limit.saturating_sub(base) {
            count @ 0..=63 => (1u64 << count) - 1,
            _ => u64::MAX,
        };
        (0..)
            .step_by(64)
            .zip(&mut self.words)
            .map(move |(base, word)| (word, bits_below(end, base) & !bits_below(start, base)))
    }

    /// Whether the CPU is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        self.words
            .get((cpu / 64) as usize)
            .is_some_and(|word| word >> (cpu % 64) & 1 != 0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).step_by(64).zip(&self.words).flat_map(|(base, word)| {
            let word = *word;
            (0..64)
                .filter(move |bit| word >> bit & 1 != 0)
                .map(move |bit| base + bit)
        })
    }

    /// A bitmap of `length` bytes, CPU 0 in bit 0 of the first byte; CPUs beyond it are left out.
    pub fn to_bitmap(&self, length: usize) -> Vec<u8> {
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes());
        bytes.chain(std::iter::repeat(0)).take(length).collect()
    }

    /// The set of the bits that are 1 in a bitmap.
    pub fn from_bitmap(bytes: &[u8]) -> Self {
        let is_set = |cpu: &u32| {
            bytes
                .get((cpu / 8) as usize)
                .is_some_and(|byte| byte >> (cpu % 8) & 1 != 0)
        };
        (0..MAX_CPUS).filter(is_set).collect()
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut set = CpuSet::new();
        cpus.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

impl Json for CpuSet {
    fn to_json(&self) -> Value {
        self.iter().map(Value::from).collect()
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let cpus = Vec::<u32>::from_json(value)?;
        match cpus.iter().find(|cpu| **cpu >= MAX_CPUS) {
            Some(cpu) => Err(JsonError::new(
                format!("numbers below {MAX_CPUS}"),
                &Value::from(*cpu),
            )),
            None => Ok(cpus.into_iter().collect()),
        }
    }

    fn is_initial(&self) -> bool {
        self.is_empty()
    }
}

/// The CPUs and NUMA nodes of the host, as far as a configuration depends on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Highest CPU number plus one.
    pub cpus: u32,
    /// CPUs of each NUMA node.
    pub nodes: Vec<CpuSet>,
}

impl Host {
    /// A host with a single node.
    pub fn with_cpus(cpus: u32) -> Self {
        Host {
            cpus,
            nodes: vec![CpuSet::first(cpus)],
        }
    }

    /// How many CPUs a libxl bitmap for this host has room for: whole bytes.
    fn bitmap_size(&self) -> u32 {
        self.cpus.min(MAX_CPUS).next_multiple_of(8)
    }
}

/// What is wrong with a CPU list, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}")]
pub struct CpuListError {
    /// Byte of the text at which the wrong item starts.
    pub offset: usize,
    /// What is wrong there.
    pub kind: CpuListErrorKind,
}

/// The ways in which an item of a CPU list can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CpuListErrorKind {
    /// Neither number nor range nor word.
    #[error("expected a CPU, a range such as 0-3, \"node:\" and a node, or \"all\", found \"{0}\"")]
    Item(String),
    /// The range ends before it starts.
    #[error("expected a range that ends at or after its start, found \"{0}\"")]
    Backwards(String),
    /// `^all`
    #[error("cannot exclude \"all\"")]
    ExcludesAll,
    /// The host has no such node.
    #[error("expected a node below {nodes}, found {node}")]
    Node {
        /// The node asked for.
        node: u32,
        /// How many the host has.
        nodes: usize,
    },
}

/// Reads a CPU list. As in xl, items apply from left to right, empty items are skipped, and CPUs beyond the host's (rounded up to a
/// multiple of 8) are left out.
///
/// # Errors
/// An item that is none, or a node that the host does not have.
pub fn parse_cpu_list(text: &str, host: &Host) -> Result<CpuSet, CpuListError> {
    let mut set = CpuSet::new();
    let mut offset = 0;
    for item in text.split(',') {
        if !item.trim().is_empty() {
            apply_item(item.trim_start(), host, &mut set)
                .map_err(|kind| CpuListError { offset, kind })?;
        }
        offset += item.len() + 1;
    }
    Ok(set)
}

fn apply_item(item: &str, host: &Host, set: &mut CpuSet) -> Result<(), CpuListErrorKind> {
    let (excludes, rest) = item
        .strip_prefix('^')
        .map_or((false, item), |rest| (true, rest));
    let nodes = rest
        .strip_prefix("node:")
        .or_else(|| rest.strip_prefix("nodes:"));
    let (first, last) = match nodes.unwrap_or(rest) {
        "all" if excludes => return Err(CpuListErrorKind::ExcludesAll),
        "all" => (0, u32::MAX),
        range => parse_range(range).map_err(|wrong| match wrong {
            RangeError::NoRange => CpuListErrorKind::Item(item.to_owned()),
            RangeError::Backwards => CpuListErrorKind::Backwards(item.to_owned()),
        })?,
    };
    if nodes.is_some() && last != u32::MAX {
        return apply_nodes(first, last, host, excludes, set);
    }
    apply(
        set,
        first,
        host.bitmap_size().min(last.saturating_add(1)),
        excludes,
    );
    Ok(())
}

fn apply_nodes(
    first: u32,
    last: u32,
    host: &Host,
    excludes: bool,
    set: &mut CpuSet,
) -> Result<(), CpuListErrorKind> {
    for node in first..=last {
        let Some(cpus) = usize::try_from(node)
            .ok()
            .and_then(|node| host.nodes.get(node))
        else {
            return Err(CpuListErrorKind::Node {
                node,
                nodes: host.nodes.len(),
            });
        };
        if excludes {
            set.remove_all(cpus);
        } else {
            set.insert_all(cpus);
        }
    }
    Ok(())
}

fn apply(set: &mut CpuSet, start: u32, end: u32, excludes: bool) {
    if excludes {
        set.remove_range(start, end);
    } else {
        set.insert_range(start, end);
    }
}

/// What is wrong with a range.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeError {
    /// No number, or no two numbers.
    NoRange,
    /// The last is before the first.
    Backwards,
}

/// `N` or `N-M` in decimal; blanks may stand before a number.
pub(crate) fn parse_range(text: &str) -> Result<(u32, u32), RangeError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let digits = text.trim_start();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            digits.parse().map_err(|_| RangeError::NoRange)
        } else {
            Err(RangeError::NoRange)
        }
    };
    let (first, last) = (number(first)?, number(last)?);
    if first <= last {
        Ok((first, last))
    } else {
        Err(RangeError::Backwards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            cpus: 16,
            nodes: vec![(0..8).collect(), (8..16).collect()],
        }
    }

    fn list(text: &str) -> Vec<u32> {
        parse_cpu_list(text, &host()).unwrap().iter().collect()
    }

    #[test]
    fn items_apply_from_left_to_right() {
        assert_eq!(list("0-3,^2,10"), [0, 1, 3, 10]);
        assert_eq!(list("^0,0"), [0]);
        assert_eq!(list("node:1,^8-14"), [15]);
        assert_eq!(list("nodes:0-1,^nodes:0"), (8..16).collect::<Vec<_>>());
        assert_eq!(list("all"), (0..16).collect::<Vec<_>>());
        assert_eq!(list("nodes:all,^15"), (0..15).collect::<Vec<_>>());
        assert_eq!(list(",3,,"), [3]);
        assert_eq!(list("0, 2-3, ^3, 1- 1"), [0, 1, 2]);
    }

    #[test]
    fn cpus_beyond_the_hosts_bytes_are_left_out() {
        let host = Host::with_cpus(2);
        assert_eq!(parse_cpu_list("all", &host).unwrap().len(), 8);
        assert_eq!(parse_cpu_list("1-4294967295", &host).unwrap().len(), 7);
        assert!(parse_cpu_list("63", &host).unwrap().is_empty());
    }

    #[test]
    fn wrong_items_are_named_with_their_place() {
        let wrong = |text: &str| {
            parse_cpu_list(text, &host())
                .map_err(|error| (error.offset, error.to_string()))
                .unwrap_err()
        };
        let (offset, message) = wrong("0,1-x");
        assert_eq!(
            (offset, message.as_str()),
            (
                2,
                "expected a CPU, a range such as 0-3, \"node:\" and a node, or \"all\", found \"1-x\""
            )
        );
        assert_eq!(
            wrong("3-1").1,
            "expected a range that ends at or after its start, found \"3-1\""
        );
        assert_eq!(wrong("^all"), (0, "cannot exclude \"all\"".to_owned()));
        assert_eq!(wrong("0,node:2").1, "expected a node below 2, found 2");
        for text in ["-1", "1-", "+1", "1 ", "99999999999", "node:", "^", "0 - 3"] {
            assert!(parse_cpu_list(text, &host()).is_err(), "{text}");
        }
    }

    #[test]
    fn sets_and_bitmaps_say_the_same() {
        let set: CpuSet = [0, 9, 31, MAX_CPUS].into_iter().collect();
        assert_eq!(set.len(), 3);
        let bitmap = set.to_bitmap(4);
        assert_eq!(bitmap, [1, 2, 0, 0x80]);
        assert_eq!(CpuSet::from_bitmap(&bitmap), set);
        assert_eq!(set.to_bitmap(1), [1]);
    }

    #[test]
    fn ranges_cross_words() {
        let mut set = CpuSet::new();
        set.insert_range(60, 200);
        assert_eq!(
            (set.len(), set.iter().next(), set.iter().last()),
            (140, Some(60), Some(199))
        );
        assert!(set.contains(64) && !set.contains(200) && !set.contains(59));
        set.remove_range(61, 5000);
        assert_eq!(set.iter().collect::<Vec<_>>(), [60]);
        set.insert_range(MAX_CPUS, u32::MAX);
        set.remove(60);
        assert_eq!(set, CpuSet::new());
        assert_eq!(CpuSet::first(u32::MAX).len(), MAX_CPUS as usize);
    }
}

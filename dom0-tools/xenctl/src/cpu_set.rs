//! Sets of processors or memory nodes.

/// A set of processors (or nodes), as the hypervisor's bitmaps: bit N of byte N/8 is processor N. Bits past the end are clear.
#[derive(Clone, Debug, Default)]
pub struct CpuSet(pub Vec<u8>);

impl CpuSet {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The first `count` ones.
    pub fn first(count: u32) -> Self {
        (0..count).collect()
    }

    /// Whether it is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        self.0
            .get(cpu as usize / 8)
            .is_some_and(|byte| byte >> (cpu % 8) & 1 != 0)
    }

    /// Adds one.
    pub fn insert(&mut self, cpu: u32) {
        let byte = cpu as usize / 8;
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        if let Some(byte) = self.0.get_mut(byte) {
            *byte |= 1 << (cpu % 8);
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, cpu: u32) {
        if let Some(byte) = self.0.get_mut(cpu as usize / 8) {
            *byte &= !(1 << (cpu % 8));
        }
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..u32::try_from(self.0.len().saturating_mul(8)).unwrap_or(u32::MAX))
            .filter(|&cpu| self.contains(cpu))
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Those in both.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    /// Those in either.
    pub fn union(&self, other: &Self) -> Self {
        let (long, short) = if self.0.len() < other.0.len() {
            (other, self)
        } else {
            (self, other)
        };
        let mut all = long.clone();
        for (byte, more) in all.0.iter_mut().zip(&short.0) {
            *byte |= more;
        }
        all
    }

    /// Whether all members of this one are in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersection(other) == *self
    }

    fn without_trailing_zeros(&self) -> &[u8] {
        let end = self
            .0
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        &self.0[..end]
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut set = Self::new();
        for cpu in cpus {
            set.insert(cpu);
        }
        set
    }
}

/// Sets with the same members are equal, however long their bitmaps are.
impl PartialEq for CpuSet {
    fn eq(&self, other: &Self) -> bool {
        self.without_trailing_zeros() == other.without_trailing_zeros()
    }
}

impl Eq for CpuSet {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_with_the_same_members_are_equal_whatever_their_length() {
        let mut long: CpuSet = [1, 40].into_iter().collect();
        long.remove(40);
        assert_eq!(long, CpuSet(vec![2]));
        assert_ne!(long, CpuSet(vec![3]));
        assert_eq!(CpuSet(vec![0, 0]), CpuSet::new());
    }

    #[test]
    fn members_are_listed_in_order() {
        let set: CpuSet = [9, 0, 3].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 9]);
        assert_eq!(set.count(), 3);
        assert!(!set.contains(1000));
    }

    #[test]
    fn sets_of_different_length_combine() {
        let low = CpuSet::first(4);
        let high: CpuSet = [3, 12].into_iter().collect();
        assert_eq!(low.intersection(&high), CpuSet(vec![8]));
        assert_eq!(
            low.union(&high).iter().collect::<Vec<_>>(),
            [0, 1, 2, 3, 12]
        );
        assert!(CpuSet::first(2).is_subset(&low));
        assert!(!high.is_subset(&low));
    }
}

//! The names of a node's children in the order in which they were made.
//!
//! A balanced tree whose parts are shared between copies: a transaction that adds a child to a node with ten thousand others copies about
//! fourteen of them. Each part knows how many bytes the names in it have, which makes any place of a long list quick to find.
//! The balance is that of Adams, "Implementing sets efficiently in a functional language" (1992), with weights 3 and 2.

use std::sync::Arc;

/// Names in order. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Children(Option<Arc<Branch>>);

struct Branch {
    position: u64,
    name: Arc<str>,
    left: Children,
    right: Children,
    count: usize,
    bytes: usize,
}

impl Branch {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Children {
    /// How many.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |branch| branch.count)
    }

    /// Bytes of all names, each with a nul.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |branch| branch.bytes)
    }

    /// Adds a name at the end and returns its position, by which it can be removed.
    pub fn push(&mut self, name: &str) -> u64 {
        let position = self.last().map_or(0, |last| last + 1);
        *self = self.with_last(position, name.into());
        position
    }

    /// Removes a name. `position` is where it should be; a transaction whose list is outdated may have it elsewhere or not at all.
    pub fn remove(&mut self, position: u64, name: &str) {
        if self.name_at(position) == Some(name) {
            *self = self.without(position);
        } else if let Some(elsewhere) = self
            .branches()
            .filter(|branch| &*branch.name == name)
            .last()
        {
            *self = self.without(elsewhere.position);
        }
    }

    fn name_at(&self, position: u64) -> Option<&str> {
        let mut branch = self.0.as_ref()?;
        while branch.position != position {
            let left = position < branch.position;
            let side = if left { &branch.left } else { &branch.right };
            branch = side.0.as_ref()?;
        }
        Some(&branch.name)
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.branches().map(|branch| &*branch.name)
    }

    fn branches(&self) -> Iter<'_> {
        let mut iter = Iter { path: Vec::new() };
        iter.descend(self);
        iter
    }

    /// The names beginning with the one that holds byte `offset` of the list, and how many bytes of it come before.
    pub fn at_byte(&self, offset: usize) -> (usize, impl Iterator<Item = &str>) {
        let (mut tree, mut offset) = (self, offset);
        let mut iter = Iter { path: Vec::new() };
        while let Some(branch) = &tree.0 {
            let before = branch.left.bytes();
            let own = branch.name.len() + 1;
            if offset < before {
                iter.path.push(branch);
                tree = &branch.left;
            } else if offset < before + own {
                iter.path.push(branch);
                return (offset - before, iter.map(Branch::name));
            } else {
                offset -= before + own;
                tree = &branch.right;
            }
        }
        (0, iter.map(Branch::name))
    }

    fn last(&self) -> Option<u64> {
        let mut branch = self.0.as_ref()?;
        while let Some(right) = &branch.right.0 {
            branch = right;
        }
        Some(branch.position)
    }

    fn with_last(&self, position: u64, name: Arc<str>) -> Self {
        match &self.0 {
            None => Self::branch(Self(None), position, name, Self(None)),
            Some(branch) => {
                let right = branch.right.with_last(position, name);
                Self::balanced(
                    branch.left.clone(),
                    branch.position,
                    branch.name.clone(),
                    right,
                )
            }
        }
    }

    fn without(&self, position: u64) -> Self {
        let Some(branch) = &self.0 else {
            return Self(None);
        };
        let (left, right) = (&branch.left, &branch.right);
        let keep = |left, right| Self::balanced(left, branch.position, branch.name.clone(), right);
        match position.cmp(&branch.position) {
            std::cmp::Ordering::Less => keep(left.without(position), right.clone()),
            std::cmp::Ordering::Greater => keep(left.clone(), right.without(position)),
            std::cmp::Ordering::Equal => match right.split_first() {
                None => left.clone(),
                Some((position, name, rest)) => Self::balanced(left.clone(), position, name, rest),
            },
        }
    }

    fn split_first(&self) -> Option<(u64, Arc<str>, Self)> {
        let branch = self.0.as_ref()?;
        match branch.left.split_first() {
            None => Some((branch.position, branch.name.clone(), branch.right.clone())),
            Some((position, name, rest)) => {
                let right = branch.right.clone();
                let rest = Self::balanced(rest, branch.position, branch.name.clone(), right);
                Some((position, name, rest))
            }
        }
    }

    fn branch(left: Self, position: u64, name: Arc<str>, right: Self) -> Self {
        let count = left.count() + 1 + right.count();
        let bytes = left.bytes() + name.len() + 1 + right.bytes();
        Self(Some(Arc::new(Branch {
            position,
            name,
            left,
            right,
            count,
            bytes,
        })))
    }

    /// A branch of two trees whose weights differ by what one change can do.
    fn balanced(left: Self, position: u64, name: Arc<str>, right: Self) -> Self {
        let (l, r) = (left.weight(), right.weight());
        match (&left.0, &right.0) {
            (_, Some(heavy)) if r > 3 * l => {
                if heavy.left.weight() < 2 * heavy.right.weight() {
                    rotate_left(left, position, name, heavy)
                } else {
                    let lifted = rotate_right_tree(&heavy.left, heavy);
                    rotate_left(left, position, name, &lifted)
                }
            }
            (Some(heavy), _) if l > 3 * r => {
                if heavy.right.weight() < 2 * heavy.left.weight() {
                    rotate_right(heavy, position, name, right)
                } else {
                    let lifted = rotate_left_tree(heavy, &heavy.right);
                    rotate_right(&lifted, position, name, right)
                }
            }
            _ => Self::branch(left, position, name, right),
        }
    }

    /// Never 0, so that a tree of one is in balance with none.
    fn weight(&self) -> usize {
        self.count() + 1
    }
}

/// `left` and all of `heavy`, with the root of `heavy` on top.
fn rotate_left(left: Children, position: u64, name: Arc<str>, heavy: &Branch) -> Children {
    let below = Children::branch(left, position, name, heavy.left.clone());
    Children::branch(
        below,
        heavy.position,
        heavy.name.clone(),
        heavy.right.clone(),
    )
}

/// All of `heavy` and `right`, with the root of `heavy` on top.
fn rotate_right(heavy: &Branch, position: u64, name: Arc<str>, right: Children) -> Children {
    let below = Children::branch(heavy.right.clone(), position, name, right);
    Children::branch(
        heavy.left.clone(),
        heavy.position,
        heavy.name.clone(),
        below,
    )
}

/// `tree`, whose left part is `inner`, with the root of `inner` on top.
fn rotate_right_tree(inner: &Children, tree: &Arc<Branch>) -> Arc<Branch> {
    let Some(inner) = &inner.0 else {
        return tree.clone();
    };
    let lifted = rotate_right(inner, tree.position, tree.name.clone(), tree.right.clone());
    lifted.0.unwrap_or_else(|| tree.clone())
}

/// `tree`, whose right part is `inner`, with the root of `inner` on top.
fn rotate_left_tree(tree: &Arc<Branch>, inner: &Children) -> Arc<Branch> {
    let Some(inner) = &inner.0 else {
        return tree.clone();
    };
    let lifted = rotate_left(tree.left.clone(), tree.position, tree.name.clone(), inner);
    lifted.0.unwrap_or_else(|| tree.clone())
}

/// Branches in order.
struct Iter<'a> {
    /// The next is the last one; those before it come when all below it is done.
    path: Vec<&'a Branch>,
}

impl<'a> Iter<'a> {
    fn descend(&mut self, mut tree: &'a Children) {
        while let Some(branch) = &tree.0 {
            self.path.push(branch);
            tree = &branch.left;
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Branch;

    fn next(&mut self) -> Option<&'a Branch> {
        let branch = self.path.pop()?;
        self.descend(&branch.right);
        Some(branch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(tree: &Children) -> usize {
        let below = |branch: &Arc<Branch>| 1 + depth(&branch.left).max(depth(&branch.right));
        tree.0.as_ref().map_or(0, below)
    }

    fn joined(tree: &Children) -> String {
        tree.iter().map(|name| format!("{name}\0")).collect()
    }

    #[test]
    fn names_stay_in_order_and_the_tree_flat_whatever_is_removed() {
        let mut tree = Children::default();
        let mut model: Vec<(u64, String)> = Vec::new();
        let mut random = 1_u32;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grow = if step < 10_000 { 3 } else { 1 };
            if model.is_empty() || random >> 30 < grow {
                let name = format!("n{step}");
                model.push((tree.push(&name), name));
            } else {
                let gone = model.remove((random >> 8) as usize % model.len());
                tree.remove(gone.0, &gone.1);
            }
            if step % 500 == 0 {
                let names: String = model.iter().map(|(_, name)| format!("{name}\0")).collect();
                assert_eq!(joined(&tree), names);
                assert_eq!((tree.count(), tree.bytes()), (model.len(), names.len()));
                let limit = 2 * (model.len() + 1).ilog2() as usize + 3;
                assert!(depth(&tree) <= limit, "{} of {}", depth(&tree), model.len());
            }
        }
    }

    #[test]
    fn a_copy_does_not_change_with_the_original() {
        let mut tree = Children::default();
        let positions: Vec<u64> = ["a", "b", "c"].map(|name| tree.push(name)).to_vec();
        let copy = tree.clone();
        tree.remove(positions[1], "b");
        tree.push("d");
        assert_eq!(joined(&copy), "a\0b\0c\0");
        assert_eq!(joined(&tree), "a\0c\0d\0");
        tree.remove(positions[0], "d");
        tree.remove(99, "x");
        assert_eq!(joined(&tree), "a\0c\0");
    }

    #[test]
    fn any_byte_of_the_list_is_found() {
        let mut tree = Children::default();
        for i in 0..100 {
            tree.push(&"x".repeat(i % 7 + 1));
        }
        let all = joined(&tree);
        for offset in 0..=all.len() {
            let (skip, names) = tree.at_byte(offset);
            let rest: String = names.map(|name| format!("{name}\0")).collect();
            assert_eq!(rest[skip..], all[offset..]);
        }
    }
}

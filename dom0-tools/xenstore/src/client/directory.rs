//! The children of a node that has too many for one message.

use crate::wire::strings;
use crate::{Error, Result};

/// How often the children may change before the listing is given up.
const CHANGES: usize = 1000;

/// A listing that is being put together. Every part begins with the node's generation: when it changes, what there is so far is void.
#[derive(Default)]
pub(super) struct Listing {
    generation: Vec<u8>,
    bytes: Vec<u8>,
    changes: usize,
}

impl Listing {
    /// Where the next part begins.
    pub const fn offset(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a part in. `true`: it was the last one.
    pub fn add(&mut self, path: &str, part: &[u8]) -> Result<bool> {
        let Some(end) = part.iter().position(|&byte| byte == 0) else {
            return Err(Error::Protocol(format!(
                "a part of {path} without generation"
            )));
        };
        let (generation, names) = (&part[..end], &part[end + 1..]);
        if !self.bytes.is_empty() && generation != self.generation {
            return self.restart(path);
        }
        self.generation = generation.to_vec();
        self.bytes.extend_from_slice(names);
        if names.is_empty() || self.bytes == b"\0" || self.bytes.ends_with(b"\0\0") {
            return Ok(true);
        }
        Ok(false)
    }

    fn restart(&mut self, path: &str) -> Result<bool> {
        self.bytes.clear();
        self.changes += 1;
        if self.changes > CHANGES {
            let what = format!("the children of {path} change faster than they can be listed");
            return Err(Error::Protocol(what));
        }
        Ok(false)
    }

    /// The names.
    pub fn names(self) -> Result<Vec<String>> {
        names(&self.bytes)
    }
}

/// Names out of an answer.
pub(super) fn names(payload: &[u8]) -> Result<Vec<String>> {
    strings(payload)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8(name.to_vec()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::Protocol("a name that is no text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_together_until_the_empty_name() {
        let mut listing = Listing::default();
        assert!(!listing.add("/x", b"7\0a\0b").expect("a part"));
        assert_eq!(listing.offset(), 3);
        assert!(listing.add("/x", b"7\0\0c\0\0").expect("the last"));
        assert_eq!(listing.names().expect("names"), ["a", "b", "c"]);
    }

    #[test]
    fn a_change_starts_the_listing_anew() {
        let mut listing = Listing::default();
        assert!(!listing.add("/x", b"7\0a\0").expect("a part"));
        assert!(!listing.add("/x", b"8\0b\0\0").expect("a change"));
        assert_eq!(listing.offset(), 0);
        assert!(listing.add("/x", b"8\0b\0\0").expect("all"));
        assert_eq!(listing.names().expect("names"), ["b"]);
    }

    #[test]
    fn a_node_without_children_is_an_empty_listing() {
        let mut listing = Listing::default();
        assert!(listing.add("/x", b"7\0\0").expect("all"));
        assert_eq!(listing.names().expect("names"), Vec::<String>::new());
    }

    #[test]
    fn endless_changes_are_given_up() {
        let mut listing = Listing::default();
        let mut result = Ok(false);
        for i in 0..3000 {
            result = listing.add("/x", format!("{i}\0a\0").as_bytes());
            if result.is_err() {
                break;
            }
        }
        assert!(result.is_err());
    }
}

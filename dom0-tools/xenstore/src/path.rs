//! Paths: absolute ones like `/local/domain/3/name`, and names of special watches like `@releaseDomain`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::wire::ABS_PATH_MAX;

/// A path that was checked: of letters, digits and `-/_@`, with no empty part, at most 3072 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// `/`
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The home of a domain.
    pub fn home(domain: u16) -> Self {
        Self(format!("/local/domain/{domain}").into())
    }

    /// An absolute path, or the name of a special watch. `None` if it is neither.
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let special = bytes.first() == Some(&b'@');
        let sound = (special || bytes.first() == Some(&b'/'))
            && bytes.len() <= ABS_PATH_MAX
            && bytes.iter().all(|&byte| allowed(byte))
            && !text.contains("//")
            && (text == "/" || !text.ends_with('/'));
        sound.then(|| Self(text.into()))
    }

    /// What a peer whose home is `home` calls `text`. `None` if that is no path.
    pub fn resolve(text: &[u8], home: &Self) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if text.starts_with(['/', '@']) {
            return Self::new(text);
        }
        Self::new(&format!("{home}/{text}"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.as_str() == "/"
    }

    /// Whether it is the name of a special watch.
    pub fn is_special(&self) -> bool {
        self.0.starts_with('@')
    }

    /// The path above; `/` above a special watch. `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        parent(&self.0).map(|text| Self(text.into()))
    }

    /// The last part.
    pub fn name(&self) -> &str {
        match self.0.rsplit_once('/') {
            Some((_, name)) => name,
            None => &self.0,
        }
    }

    /// The path of a child. `name` is the name of a node that exists, or the last part of a path.
    pub fn child(&self, name: &str) -> Self {
        let above = if self.is_root() { "" } else { self.as_str() };
        Self(format!("{above}/{name}").into())
    }

    /// This path and all above it, the longest first.
    pub fn upwards(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |path| parent(path))
    }

    /// How many bytes it has after `/local/domain/<domid>/`, or at all if that is not how it begins.
    pub fn relative_len(&self) -> usize {
        self.inside_a_home().map_or(self.0.len(), str::len)
    }

    fn inside_a_home(&self) -> Option<&str> {
        let (domain, rest) = self.0.strip_prefix("/local/domain/")?.split_once('/')?;
        let number = matches!(domain.len(), 1..=5) && domain.bytes().all(|b| b.is_ascii_digit());
        number.then_some(rest)
    }
}

fn parent(path: &str) -> Option<&str> {
    if path == "/" {
        return None;
    }
    match path.rfind('/') {
        None | Some(0) => Some("/"),
        Some(slash) => Some(&path[..slash]),
    }
}

const fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'@')
}

impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).expect(text)
    }

    #[test]
    fn only_whole_paths_of_allowed_bytes_are_paths() {
        for good in ["/", "/a", "/a/b-c_D@9", "@releaseDomain", "@x/5"] {
            assert_eq!(path(good).as_str(), good);
        }
        for bad in [
            "", "a", "/a/", "//", "/a//b", "/a b", "/a.b", "/é", "@/", "/a\0",
        ] {
            assert_eq!(Path::new(bad), None, "{bad:?}");
        }
        assert!(Path::new(&format!("/{}", "x".repeat(3071))).is_some());
        assert!(Path::new(&format!("/{}", "x".repeat(3072))).is_none());
    }

    #[test]
    fn relative_paths_are_below_the_home() {
        let home = Path::home(3);
        let resolve = |text: &[u8]| Path::resolve(text, &home);
        assert_eq!(resolve(b"x/y"), Some(path("/local/domain/3/x/y")));
        assert_eq!(resolve(b"/x/y"), Some(path("/x/y")));
        assert_eq!(resolve(b"@x"), Some(path("@x")));
        assert_eq!(resolve(b""), None);
        assert_eq!(resolve(b"\xff"), None);
    }

    #[test]
    fn everything_but_the_root_has_something_above() {
        let up = |text: &str| path(text).upwards().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(up("/a/b"), ["/a/b", "/a", "/"]);
        assert_eq!(up("/"), ["/"]);
        assert_eq!(up("@x/5"), ["@x/5", "@x", "/"]);
        assert_eq!(path("/a").parent(), Some(Path::root()));
        assert_eq!(path("/a/b").name(), "b");
        assert_eq!(Path::root().child("a").child("b"), path("/a/b"));
    }

    #[test]
    fn the_home_does_not_count_in_the_relative_length() {
        assert_eq!(path("/local/domain/12/ab").relative_len(), 2);
        assert_eq!(path("/local/domain/12").relative_len(), 16);
        assert_eq!(path("/local/domain/x/ab").relative_len(), 18);
    }
}

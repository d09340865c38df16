//! The commands that change nodes: write, rm, chmod.

use std::os::unix::ffi::OsStrExt;

use xenstore::{Access, Errno, Error, Permission, PermissionKind, Tx};

use crate::command_line::CommandLine;
use crate::errors::{Failure, reason};
use crate::escape::unescape;

/// Sets values: each path is followed by its value.
pub fn write(store: &dyn Access, tx: Tx, line: &CommandLine) -> Result<(), Failure> {
    let paths: Vec<String> = line.paths().step_by(2).collect();
    let values = line.words.iter().skip(1).step_by(2);
    for (path, value) in paths.iter().zip(values) {
        let value = match line.is_raw {
            true => value.as_bytes().to_vec(),
            false => unescape(value.as_bytes()),
        };
        store
            .write(tx, path, &value)
            .map_err(|_| Failure::said(format_args!("could not write path {path}")))?;
    }
    Ok(())
}

/// Removes nodes and all below them.
pub fn remove(store: &dyn Access, tx: Tx, line: &CommandLine) -> Result<(), Failure> {
    for path in line.paths() {
        remove_one(store, tx, &path)?;
        if line.is_tidy {
            tidy(store, tx, &path)?;
        }
    }
    Ok(())
}

fn remove_one(store: &dyn Access, tx: Tx, path: &str) -> Result<(), Failure> {
    store
        .remove(tx, path)
        .map_err(|_| Failure::said(format_args!("could not remove path {path}")))
}

/// Removes the parents that have neither a value nor a child any more.
fn tidy(store: &dyn Access, tx: Tx, path: &str) -> Result<(), Failure> {
    let mut path = path;
    while let Some((parent, _)) = path.rsplit_once('/') {
        let is_empty = !parent.is_empty()
            && store.read(tx, parent).is_ok_and(|value| value.is_empty())
            && store.list(tx, parent).is_ok_and(|names| names.is_empty());
        if !is_empty {
            break;
        }
        remove_one(store, tx, parent)?;
        path = parent;
    }
    Ok(())
}

/// Sets the permissions of a node, and of its parents and children if asked for.
pub fn chmod(store: &dyn Access, tx: Tx, line: &CommandLine) -> Result<(), Failure> {
    let mut words = line.paths();
    let path = words.next().unwrap_or_default();
    let permissions: Vec<Permission> = words
        .map(|word| permission(&word))
        .collect::<Result<_, _>>()?;
    set(store, tx, &path, &permissions)?;
    if line.is_upto {
        let mut path = path.as_str();
        while let Some((parent, _)) = path
            .rsplit_once('/')
            .filter(|(parent, _)| !parent.is_empty())
        {
            set(store, tx, parent, &permissions)?;
            path = parent;
        }
    }
    if line.is_recursive {
        set_below(store, tx, &path, &permissions)?;
    }
    Ok(())
}

fn set_below(
    store: &dyn Access,
    tx: Tx,
    path: &str,
    permissions: &[Permission],
) -> Result<(), Failure> {
    // The store bounds the depth of its tree: a path has at most 3072 bytes.
    for name in store.list(tx, path).unwrap_or_default() {
        let child = format!("{}/{name}", path.trim_end_matches('/'));
        set(store, tx, &child, permissions)?;
        set_below(store, tx, &child, permissions)?;
    }
    Ok(())
}

fn set(store: &dyn Access, tx: Tx, path: &str, permissions: &[Permission]) -> Result<(), Failure> {
    let result = match permissions {
        // A node has an owner: the original's library refuses without asking the store.
        [] => Err(Error::refused("set permissions of", path, Errno::EINVAL)),
        _ => store.set_permissions(tx, path, permissions),
    };
    result.map_err(|error| {
        let reason = reason(&error);
        Failure::said(format_args!(
            "Error occurred setting permissions on '{path}': {reason}"
        ))
    })
}

/// A letter and a domain's number, which is 0 if it is none.
fn permission(word: &str) -> Result<Permission, Failure> {
    let letter = word.chars().next().unwrap_or('\0');
    let access = match letter {
        'n' => PermissionKind::None,
        'r' => PermissionKind::Read,
        'w' => PermissionKind::Write,
        'b' => PermissionKind::Both,
        _ => {
            return Err(Failure::said(format_args!(
                "Invalid permission specification: '{letter}'"
            )));
        }
    };
    let digits = &word[1..];
    let end = digits.find(|c: char| !c.is_ascii_digit());
    let domain = digits[..end.unwrap_or(digits.len())].parse();
    Ok(Permission {
        domain: domain.unwrap_or(0),
        access,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_a_letter_and_a_domain() {
        let read = |domain| Permission {
            domain,
            access: PermissionKind::Read,
        };
        assert_eq!(permission("r12"), Ok(read(12)));
        assert_eq!(permission("r"), Ok(read(0)));
        assert_eq!(permission("rx"), Ok(read(0)));
        let refused = Failure::said("Invalid permission specification: 'q'");
        assert_eq!(permission("q1"), Err(refused));
        assert!(permission("").is_err());
    }
}

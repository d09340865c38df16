//! What a path leads to.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::super::host::{DeviceNumber, FileId, Storage};

/// Follows symbolic links.
pub fn examine(path: &Path) -> io::Result<Storage> {
    let data = fs::metadata(path)?;
    let kind = data.file_type();
    if kind.is_block_device() {
        let (number, path) = (number_of(data.rdev()), fs::canonicalize(path)?);
        return Ok(Storage::Block { number, path });
    }
    if !kind.is_file() {
        return Ok(Storage::Other);
    }
    Ok(Storage::File {
        id: id_of(&data),
        size: data.len(),
        is_writable: data.permissions().mode() & 0o222 != 0,
    })
}

/// Which file it is.
pub fn id_of(data: &fs::Metadata) -> FileId {
    FileId {
        device: data.dev(),
        inode: data.ino(),
    }
}

/// The number of a device node.
pub fn number_of(rdev: u64) -> DeviceNumber {
    DeviceNumber {
        major: rustix::fs::major(rdev),
        minor: rustix::fs::minor(rdev),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_the_rest() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("disk");
        fs::write(&file, [0; 1000]).expect("a file");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let storage = examine(&file).expect("a file");
        assert!(matches!(
            storage,
            Storage::File {
                size: 1000,
                is_writable: true,
                ..
            }
        ));
        assert_eq!(examine(&link).expect("a link"), storage);
        assert_eq!(
            examine(directory.path()).expect("a directory"),
            Storage::Other
        );
        assert!(examine(&directory.path().join("none")).is_err());
    }
}

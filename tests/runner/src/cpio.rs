//! Writes "newc" cpio archives, the form Linux unpacks as its first file system.
//!
//! The format is that of Linux's Documentation/driver-api/early-userspace/buffer-format.rst: per file a header of 8-digit
//! hexadecimal fields, the name, the bytes, each padded to four bytes. Archives may follow one another in one initrd.

const MODE_DIRECTORY: u32 = 0o040755;
const MODE_FILE: u32 = 0o100644;
const MODE_PROGRAM: u32 = 0o100755;
const MODE_LINK: u32 = 0o120777;
const TRAILER: &str = "TRAILER!!!";

/// An archive being written. Names have no leading slash.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: std::collections::BTreeSet<String>,
}

impl Archive {
    /// Adds a directory and those above it; one that is there already stays as it is.
    pub fn directory(&mut self, name: &str) {
        if name.is_empty() || self.directories.contains(name) {
            return;
        }
        self.parents_of(name);
        self.directories.insert(name.into());
        self.entry(name, MODE_DIRECTORY, &[]);
    }

    /// Adds a file and the directories above it.
    pub fn file(&mut self, name: &str, is_program: bool, bytes: &[u8]) {
        self.parents_of(name);
        self.entry(
            name,
            if is_program { MODE_PROGRAM } else { MODE_FILE },
            bytes,
        );
    }

    /// Adds a symbolic link and the directories above it.
    pub fn link(&mut self, name: &str, target: &str) {
        self.parents_of(name);
        self.entry(name, MODE_LINK, target.as_bytes());
    }

    /// Ends the archive and returns its bytes, a multiple of four long so that another archive may follow.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, &[]);
        self.bytes
    }

    fn parents_of(&mut self, name: &str) {
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.directory(parent);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(bytes.len()).expect("an initramfs holds no file of 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("file names are short");
        let links = if mode == MODE_DIRECTORY { 2 } else { 1 };
        // inode, mode, uid, gid, links, mtime, size, device major and minor, rdev major and minor, name size, check sum
        let fields = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_come_before_their_files_and_once() {
        let mut archive = Archive::default();
        archive.file("a/b/one", false, b"1");
        archive.file("a/b/two", true, b"22");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        let at = |name: &str| text.find(name).unwrap();
        assert!(at("a\0") < at("a/b\0") && at("a/b\0") < at("a/b/one\0"));
        assert_eq!(text.matches("a/b\0").count(), 1);
    }

    #[test]
    fn an_archive_ends_with_its_trailer_on_a_multiple_of_four() {
        let mut archive = Archive::default();
        archive.link("sbin", "usr/sbin");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        assert!(String::from_utf8_lossy(&bytes).contains("TRAILER!!!\0"));
        assert!(bytes.starts_with(b"070701"));
    }
}

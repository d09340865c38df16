//! Loop devices: block devices before files.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::io::Errno;
use xenctl::loop_device::{LoopControl, LoopDevice as Handle, LoopOptions};

use super::super::host::{DeviceNumber, FileId, LoopDevice, OpenLoop};
use super::storage::id_of;

/// Linux's number of loop devices.
const LOOP_MAJOR: u32 = 7;
/// How often somebody else may take the free device that was found.
const ATTEMPTS: usize = 100;
/// What a guest's disk has had as sectors always, whatever is below the file.
const SECTOR: u32 = 512;

/// Sets up a loop device that ends with its last user. It reads and writes past the page cache where the file system allows that.
pub fn open(path: &Path, is_read_only: bool) -> io::Result<OpenLoop> {
    let file = File::options().read(true).write(!is_read_only).open(path)?;
    let control = LoopControl::open()?;
    let mut options = LoopOptions {
        is_read_only,
        is_autoclear: true,
        is_direct: true,
        sector_size: SECTOR,
    };
    for _ in 0..ATTEMPTS {
        let number = control.free_number()?;
        let device = Handle::open(number, is_read_only)?;
        match device.configure(&file, options) {
            Ok(()) => {
                return Ok(OpenLoop {
                    node: node(number),
                    number: DeviceNumber {
                        major: LOOP_MAJOR,
                        minor: number,
                    },
                    hold: Box::new(device),
                });
            }
            Err(error) if is(&error, &[Errno::BUSY]) => {}
            // A kernel that does not decide itself whether direct I/O is possible.
            Err(error) if is(&error, &[Errno::INVAL]) && options.is_direct => {
                options.is_direct = false
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "others took every free loop device",
    ))
}

fn is(error: &io::Error, wanted: &[Errno]) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| wanted.contains(&errno))
}

fn node(number: u32) -> String {
    format!("/dev/loop{number}")
}

/// All that have a file.
pub fn list() -> io::Result<Vec<LoopDevice>> {
    let mut devices = Vec::new();
    for entry in fs::read_dir("/sys/block")? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("loop")?.parse().ok());
        let Some(number) = number.filter(|_| backing_file(&name).is_some()) else {
            continue;
        };
        // It may be gone by now.
        let Ok(status) = Handle::open(number, true).and_then(|device| device.status()) else {
            continue;
        };
        devices.push(LoopDevice {
            number: DeviceNumber {
                major: LOOP_MAJOR,
                minor: number,
            },
            file: FileId {
                device: status.device,
                inode: status.inode,
            },
        });
    }
    Ok(devices)
}

/// A loop device, if it is the one before this file.
pub fn of_file(node: &str, file: &Path) -> io::Result<Option<Handle>> {
    let number = node
        .strip_prefix("/dev/loop")
        .and_then(|number| number.parse().ok());
    let Some(number) = number else {
        return Ok(None);
    };
    let opened = Handle::open(number, true).and_then(|device| Ok((device.status()?, device)));
    let (status, device) = match opened {
        Err(error) if is_gone(&error) => return Ok(None),
        opened => opened?,
    };
    let id = FileId {
        device: status.device,
        inode: status.inode,
    };
    let is_it = match fs::metadata(file) {
        Ok(data) => id_of(&data) == id,
        Err(_) => was_path(number, file),
    };
    Ok(is_it.then_some(device))
}

/// Ends a loop device, or lets it end with its last user, if it is the one before this file. Whether it was.
pub fn release(node: &str, file: &Path) -> io::Result<bool> {
    let Some(device) = of_file(node, file)? else {
        return Ok(false);
    };
    match device.clear() {
        Err(error) if is_gone(&error) => Ok(false),
        cleared => cleared.map(|()| true),
    }
}

fn is_gone(error: &io::Error) -> bool {
    is(error, &[Errno::NXIO, Errno::NOENT, Errno::NODEV])
}

/// Whether a file that is gone was the device's.
fn was_path(number: u32, file: &Path) -> bool {
    let name = format!("loop{number}");
    backing_file(name.as_ref()).is_some_and(|text| {
        let path = text.trim_end_matches('\n');
        Path::new(path.strip_suffix(" (deleted)").unwrap_or(path)) == file
    })
}

fn backing_file(name: &std::ffi::OsStr) -> Option<String> {
    fs::read_to_string(Path::new("/sys/block").join(name).join("loop/backing_file")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These need a kernel with loop devices, and the right to use them. Without, they say so and check nothing.
    fn loops_are_possible() -> bool {
        let possible = LoopControl::open();
        if let Err(error) = &possible {
            eprintln!("not tried here, for there are no loop devices: {error}");
        }
        possible.is_ok()
    }

    fn image(directory: &Path) -> std::path::PathBuf {
        let path = directory.join("disk.img");
        fs::write(&path, vec![7; 64 << 10]).expect("a file");
        path
    }

    fn has(path: &Path) -> bool {
        let id = id_of(&fs::metadata(path).expect("a file"));
        list()
            .expect("loop devices")
            .iter()
            .any(|device| device.file == id)
    }

    #[test]
    fn a_loop_device_ends_with_its_last_user() {
        if !loops_are_possible() {
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = image(directory.path());
        let opened = open(&path, false).expect("a loop device");
        assert!(has(&path));
        let mut other = File::open(&opened.node).expect("the device");
        drop(opened.hold);
        let mut byte = [0];
        io::Read::read_exact(&mut other, &mut byte).expect("a byte");
        assert_eq!(byte, [7]);
        assert!(has(&path));
        drop(other);
        assert!(!has(&path));
    }

    #[test]
    fn a_read_only_one_can_not_be_written() {
        if !loops_are_possible() {
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = image(directory.path());
        let opened = open(&path, true).expect("a loop device");
        let number = opened
            .node
            .trim_start_matches("/dev/loop")
            .parse()
            .expect("a number");
        let status = Handle::open(number, true)
            .and_then(|device| device.status())
            .expect("a status");
        assert!(status.options.is_read_only && status.options.is_autoclear);
        let written = File::options()
            .write(true)
            .open(&opened.node)
            .and_then(|mut file| {
                io::Write::write_all(&mut file, b"x")?;
                file.sync_all()
            });
        assert!(written.is_err());
    }

    #[test]
    fn only_the_device_of_the_right_file_is_released() {
        if !loops_are_possible() {
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = image(directory.path());
        let opened = open(&path, false).expect("a loop device");
        let other = directory.path().join("other.img");
        fs::write(&other, [0; 512]).expect("a file");
        assert!(!release(&opened.node, &other).expect("an answer"));
        fs::remove_file(&path).expect("the file is there");
        assert!(release(&opened.node, &path).expect("an answer"));
        drop(opened.hold);
        assert!(!release(&opened.node, &path).expect("an answer"));
        assert!(!release("/dev/sda", &path).expect("an answer"));
    }
}

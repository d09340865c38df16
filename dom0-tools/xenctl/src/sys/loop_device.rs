//! `/dev/loop-control` and `/dev/loopN`: block devices before files (`linux/loop.h`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, major, minor, open};
use rustix::ioctl::Opcode;
use xen_abi::errno::Errno;

use super::ioctl;

const GET_FREE: Opcode = 0x4c82;
const CLR_FD: Opcode = 0x4c01;
const GET_STATUS64: Opcode = 0x4c05;
const CONFIGURE: Opcode = 0x4c0a;

const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;
const DIRECT_IO: u32 = 16;

/// Linux's number of `/dev/loop-control`: a miscellaneous device.
const CONTROL_NUMBER: (u32, u32) = (10, 237);
/// Linux's number of loop devices.
const LOOP_MAJOR: u32 = 7;

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption_type: u32,
    encryption_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    encryption_name: [u8; 64],
    encryption_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    file: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);

impl Info {
    const EMPTY: Self = Self {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encryption_type: 0,
        encryption_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        encryption_name: [0; 64],
        encryption_key: [0; 32],
        init: [0; 2],
    };
}

/// The driver of loop devices.
#[derive(Debug)]
pub struct LoopControl(OwnedFd);

impl LoopControl {
    /// Opens it.
    ///
    /// # Errors
    /// There is none (the module `loop` is not loaded), or this process may not use it.
    pub fn open() -> io::Result<Self> {
        const PATH: &str = "/dev/loop-control";
        let file = open(PATH, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let data = fstat(&file)?;
        let is_it = FileType::from_raw_mode(data.st_mode) == FileType::CharacterDevice
            && (major(data.st_rdev), minor(data.st_rdev)) == CONTROL_NUMBER;
        is_it.then_some(Self(file)).ok_or_else(|| not_a_loop(PATH))
    }

    /// A device that is free now; others may take it at any time.
    ///
    /// # Errors
    /// The kernel can make no more.
    pub fn free_number(&self) -> io::Result<u32> {
        // SAFETY: The file is the driver of loop devices, for which the number is that of an ioctl without an argument.
        let number = unsafe { ioctl::call(&self.0, GET_FREE, &mut ()) }.map_err(error)?;
        u32::try_from(number).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

/// How a loop device is set up.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LoopOptions {
    /// Nobody may write.
    pub is_read_only: bool,
    /// It ends with its last user.
    pub is_autoclear: bool,
    /// Past the page cache, where that is possible.
    pub is_direct: bool,
    /// Bytes of its sectors; 0: the kernel's choice.
    pub sector_size: u32,
}

/// What is behind a loop device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LoopStatus {
    /// The device that the file's file system is on.
    pub device: u64,
    /// The file's number there.
    pub inode: u64,
    /// How it was set up, but for its sectors.
    pub options: LoopOptions,
}

/// A loop device that is open, and so in use.
#[derive(Debug)]
pub struct LoopDevice(OwnedFd);

impl LoopDevice {
    /// Opens `/dev/loop<number>`.
    ///
    /// # Errors
    /// There is no such device, or this process may not use it.
    pub fn open(number: u32, is_read_only: bool) -> io::Result<Self> {
        let path = format!("/dev/loop{number}");
        let access = if is_read_only {
            OFlags::RDONLY
        } else {
            OFlags::RDWR
        };
        let file = open(&path, access | OFlags::CLOEXEC, Mode::empty())?;
        let data = fstat(&file)?;
        let is_it = FileType::from_raw_mode(data.st_mode) == FileType::BlockDevice
            && major(data.st_rdev) == LOOP_MAJOR;
        is_it.then_some(Self(file)).ok_or_else(|| not_a_loop(&path))
    }

    /// Puts it before a file, which the kernel keeps open from then on.
    ///
    /// # Errors
    /// `EBUSY`: it has a file already.
    pub fn configure(&self, file: impl AsFd, options: LoopOptions) -> io::Result<()> {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let mut info = Info::EMPTY;
        info.flags = flag(options.is_read_only, READ_ONLY)
            | flag(options.is_autoclear, AUTOCLEAR)
            | flag(options.is_direct, DIRECT_IO);
        let file = file.as_fd();
        let mut config = Config {
            file: u32::try_from(file.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?,
            block_size: options.sector_size,
            info,
            reserved: [0; 8],
        };
        // SAFETY: The file is a loop device, for which the number is that of `struct loop_config`: plain numbers, and a file that is
        // borrowed during the call.
        unsafe { ioctl::call(&self.0, CONFIGURE, &mut config) }
            .map(drop)
            .map_err(error)
    }

    /// What is behind it.
    ///
    /// # Errors
    /// `ENXIO`: nothing.
    pub fn status(&self) -> io::Result<LoopStatus> {
        let mut info = Info::EMPTY;
        // SAFETY: The file is a loop device, for which the number is that of `struct loop_info64`: plain numbers.
        unsafe { ioctl::call(&self.0, GET_STATUS64, &mut info) }.map_err(error)?;
        Ok(LoopStatus {
            device: info.device,
            inode: info.inode,
            options: LoopOptions {
                is_read_only: info.flags & READ_ONLY != 0,
                is_autoclear: info.flags & AUTOCLEAR != 0,
                is_direct: info.flags & DIRECT_IO != 0,
                sector_size: 0,
            },
        })
    }

    /// Takes the file away: now, or when the last user goes.
    ///
    /// # Errors
    /// `ENXIO`: there is none.
    pub fn clear(&self) -> io::Result<()> {
        // SAFETY: The file is a loop device, for which the number is that of an ioctl without an argument.
        unsafe { ioctl::call(&self.0, CLR_FD, &mut ()) }
            .map(drop)
            .map_err(error)
    }
}

fn not_a_loop(path: &str) -> io::Error {
    let reason = format!("{path} does not belong to Linux's driver of loop devices");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}

//! A pseudo-terminal: the daemon has the master, whoever attaches opens the other end by its name.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// A pseudo-terminal in raw mode.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    /// Held open: without anybody at the other end, Linux reports a hang-up at the master without end.
    slave: OwnedFd,
    name: String,
}

impl Pty {
    /// A new one.
    pub fn open() -> Result<Self, Errno> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let slave_flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&*name, slave_flags, Mode::empty())?;
        let mut settings = tcgetattr(&slave)?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self {
            master,
            slave,
            name: name.to_string_lossy().into_owned(),
        })
    }

    /// Where it is, for instance `/dev/pts/3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether something was written that nobody has read.
    pub fn has_unread(&self) -> bool {
        rustix::io::ioctl_fionread(&self.slave).is_ok_and(|count| count > 0)
    }

    /// What was typed. `None`: nothing, for now.
    pub fn read(&self, bytes: &mut [u8]) -> Result<Option<usize>, Errno> {
        for_now(rustix::io::read(&self.master, bytes))
    }

    /// Shows as much of `bytes` as the terminal takes. `None`: nothing, for now.
    pub fn write(&self, bytes: &[u8]) -> Result<Option<usize>, Errno> {
        for_now(rustix::io::write(&self.master, bytes))
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn for_now(result: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn bytes_pass_both_ways_unchanged() {
        let pty = Pty::open().unwrap();
        let client = OpenOptions::new().read(true).write(true).open(pty.name());
        let mut client = client.unwrap();
        assert_eq!(pty.write(b"a\r\n\x03").unwrap(), Some(4));
        let mut shown = [0; 4];
        client.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"a\r\n\x03", "no translation, no echo, no signals");
        assert_eq!(pty.read(&mut [0; 4]).unwrap(), None);
        client.write_all(b"\x03\r").unwrap();
        let mut typed = [0; 8];
        assert_eq!(pty.read(&mut typed).unwrap(), Some(2));
        assert_eq!(&typed[..2], b"\x03\r");
    }

    #[test]
    fn a_client_may_come_and_go() {
        let pty = Pty::open().unwrap();
        for _ in 0..2 {
            drop(OpenOptions::new().read(true).open(pty.name()).unwrap());
            assert_eq!(pty.read(&mut [0; 4]).unwrap(), None);
        }
    }

    #[test]
    fn a_terminal_nobody_reads_takes_only_so_much() {
        let pty = Pty::open().unwrap();
        let mut taken = 0;
        while let Some(count) = pty.write(&[b'x'; 4096]).unwrap() {
            taken += count;
            assert!(taken < 1 << 20);
        }
    }
}

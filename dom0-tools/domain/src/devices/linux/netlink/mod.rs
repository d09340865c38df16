//! Network links, by rtnetlink (`man 7 rtnetlink`).

mod message;
mod request;
mod socket;

use std::io;
use std::path::Path;

pub use socket::Netlink;

/// Keeps dom0 from having IPv6 addresses on a link, and so from answering or asking anything there. A kernel without IPv6 does not anyway.
pub fn disable_ipv6(link: &str) -> io::Result<()> {
    let path = Path::new("/proc/sys/net/ipv6/conf")
        .join(link)
        .join("disable_ipv6");
    match std::fs::write(path, "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

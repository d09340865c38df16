//! A conversation with the kernel: one request at a time, each answered before the next.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

use super::super::super::host::{Link, LinkChange};
use super::message::{Reply, malformed, replies};
use super::request;

/// More than the kernel puts into one datagram.
const DATAGRAM: usize = 64 << 10;
/// The kernel answers at once; this is for a kernel that does not.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest name of a link, `IFNAMSIZ` less the final zero.
const NAME_LIMIT: usize = 15;

/// A socket to the kernel's network links.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// How the answers to a request end.
#[derive(Copy, Clone, PartialEq, Eq)]
enum End {
    /// With the first object.
    First,
    /// With a message that says so.
    Told,
}

impl Netlink {
    /// A new conversation.
    pub fn open() -> io::Result<Self> {
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        // Protocol 0 of this family is `NETLINK_ROUTE`.
        let socket = socket_with(AddressFamily::NETLINK, kind, flags, None)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT))?;
        let sequence = 0;
        Ok(Self { socket, sequence })
    }

    /// The link of this name.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        if name.is_empty() || name.len() > NAME_LIMIT {
            return Ok(None);
        }
        let sequence = self.next();
        let answers = self.ask(
            &request::get_link(sequence, name),
            request::NEW_LINK,
            End::First,
        );
        match answers {
            Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(None),
            answers => match answers?.first() {
                Some(answer) => request::link(answer)
                    .map(Some)
                    .ok_or_else(|| malformed("a link")),
                None => Ok(None),
            },
        }
    }

    /// All links.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let sequence = self.next();
        let answers = self.ask(&request::get_links(sequence), request::NEW_LINK, End::Told)?;
        let link = |answer: &Vec<u8>| request::link(answer).ok_or_else(|| malformed("a link"));
        answers.iter().map(link).collect()
    }

    /// Changes a link.
    pub fn change(&mut self, index: u32, change: &LinkChange) -> io::Result<()> {
        let sequence = self.next();
        let order = request::set_link(sequence, index, change);
        self.ask(&order, request::NEW_LINK, End::Told).map(drop)
    }

    /// Takes all addresses from a link.
    pub fn flush_addresses(&mut self, index: u32) -> io::Result<()> {
        let sequence = self.next();
        let addresses = self.ask(
            &request::get_addresses(sequence),
            request::NEW_ADDRESS,
            End::Told,
        )?;
        for address in addresses {
            if request::link_of_address(&address) != Some(index) {
                continue;
            }
            let sequence = self.next();
            let order = request::delete_address(sequence, &address)
                .ok_or_else(|| malformed("an address"))?;
            match self.ask(&order, request::NEW_ADDRESS, End::Told) {
                // It went with another one it belonged to.
                Err(error) if error.raw_os_error() == Some(Errno::ADDRNOTAVAIL.raw_os_error()) => {}
                result => drop(result?),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a request and gives the bodies of all answers of a kind.
    fn ask(&self, request: &[u8], kind: u16, end: End) -> io::Result<Vec<Vec<u8>>> {
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.socket, request, SendFlags::empty(), &kernel)?;
        let mut answers = Vec::new();
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let length = match recv(&self.socket, datagram.as_mut_slice(), RecvFlags::TRUNC) {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                result => result?.1,
            };
            let received = datagram
                .get(..length)
                .ok_or_else(|| malformed("a datagram"))?;
            for reply in replies(received, self.sequence) {
                match reply? {
                    Reply::Done => return Ok(answers),
                    Reply::Refused(error) => return Err(error),
                    Reply::Object { kind: found, body } if found == kind => {
                        answers.push(body.to_vec());
                        if end == End::First {
                            return Ok(answers);
                        }
                    }
                    Reply::Object { .. } => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_hosts_links_can_be_asked_for() {
        let mut netlink = Netlink::open().expect("a socket");
        let links = netlink.links().expect("links");
        let lo = links.iter().find(|link| link.name == "lo").expect("lo");
        assert!(lo.mtu > 0 && !lo.is_bridge);
        assert_eq!(
            netlink
                .link("lo")
                .expect("an answer")
                .map(|link| link.index),
            Some(lo.index)
        );
        assert_eq!(netlink.link("none.there").expect("an answer"), None);
        assert_eq!(
            netlink.link("a-name-that-is-too-long").expect("an answer"),
            None
        );
    }
}

//! Bytes of netlink messages: headers, and attributes padded to four bytes.
//!
//! What comes in is taken apart without trust in any length.

use std::io;

/// Bytes of a message's header: length, kind, flags, sequence number, port.
const HEADER: usize = 16;
/// Bytes of an attribute's header: length and kind.
const ATTRIBUTE_HEADER: usize = 4;
/// The bits of an attribute's kind that are not its number: nested, in network order.
const ATTRIBUTE_FLAGS: u16 = 0xc000;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;

/// A message to the kernel.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// A request of this kind, with what follows the header.
    pub fn new(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        Self { bytes }
    }

    /// Adds an attribute. Values are short: names, numbers, addresses.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// The message.
    pub fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.first_chunk_mut() {
            *field = length.to_ne_bytes();
        }
        self.bytes
    }
}

/// A message from the kernel.
#[derive(Debug)]
pub enum Reply<'a> {
    /// The end of a list, or an order carried out.
    Done,
    /// An order refused.
    Refused(io::Error),
    /// An object of this kind.
    Object {
        /// `RTM_NEW…`
        kind: u16,
        /// What follows the header.
        body: &'a [u8],
    },
}

/// The messages of a datagram that answer the request with this number.
pub fn replies(datagram: &[u8], sequence: u32) -> impl Iterator<Item = io::Result<Reply<'_>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let Some((kind, number, body, after)) = split(rest) else {
                rest = &[];
                return Some(Err(malformed("a message")));
            };
            rest = after;
            if number == sequence {
                return Some(reply(kind, body));
            }
        }
        None
    })
}

/// Kind, sequence number, body and what comes after.
fn split(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let (kind, number) = (u16_at(bytes, 4)?, u32_at(bytes, 8)?);
    let body = bytes.get(HEADER..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, number, body, after))
}

fn reply(kind: u16, body: &[u8]) -> io::Result<Reply<'_>> {
    match kind {
        DONE => Ok(Reply::Done),
        ERROR => {
            let code = u32_at(body, 0)
                .ok_or_else(|| malformed("an error"))?
                .cast_signed();
            Ok(match code.checked_neg() {
                Some(0) => Reply::Done,
                Some(errno) => Reply::Refused(io::Error::from_raw_os_error(errno)),
                None => return Err(malformed("an error")),
            })
        }
        kind => Ok(Reply::Object { kind, body }),
    }
}

/// Kinds and values of attributes; stops at the first that can not be one.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & !ATTRIBUTE_FLAGS;
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// An answer that is none.
pub fn malformed(what: &str) -> io::Error {
    let reason = format!("the kernel's answer has {what} that is cut off");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The number at an offset.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes
        .get(offset..)?
        .first_chunk()
        .copied()
        .map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_has_the_bytes_of_the_manual() {
        let request = Builder::new(18, 0x300, 7, &[1, 2, 3, 4])
            .attribute(3, b"xenbr0\0")
            .finish();
        let expected: [&[u8]; 8] = [
            &32u32.to_ne_bytes(),
            &18u16.to_ne_bytes(),
            &0x301u16.to_ne_bytes(),
            &7u32.to_ne_bytes(),
            &[0; 4],
            &[1, 2, 3, 4],
            &[11, 0, 3, 0],
            b"xenbr0\0\0",
        ];
        assert_eq!(request, expected.concat());
    }

    #[test]
    fn answers_to_other_requests_are_passed_over() {
        let ours = Builder::new(16, 0, 2, b"body").finish();
        let others = Builder::new(16, 0, 1, b"body").finish();
        let refused = Builder::new(2, 0, 2, &(-19i32).to_ne_bytes()).finish();
        let accepted = Builder::new(2, 0, 2, &[0; 20]).finish();
        let datagram = [others, ours, refused, accepted].concat();
        let replies: Vec<_> = replies(&datagram, 2)
            .map(|reply| reply.expect("whole"))
            .collect();
        let [
            Reply::Object {
                kind: 16,
                body: b"body",
            },
            Reply::Refused(error),
            Reply::Done,
        ] = &replies[..]
        else {
            panic!("{replies:?}");
        };
        assert_eq!(error.raw_os_error(), Some(19));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let whole = Builder::new(16, 0, 2, b"body").finish();
        for length in 1..whole.len() {
            let mut all = replies(&whole[..length], 2);
            assert!(all.next().is_some_and(|reply| reply.is_err()), "{length}");
            assert!(all.next().is_none());
        }
    }

    #[test]
    fn attributes_come_back() {
        let message = Builder::new(16, 0, 0, &[])
            .attribute(3, b"a")
            .attribute(4, &1500u32.to_ne_bytes())
            .finish();
        let found: Vec<_> = attributes(&message[HEADER..]).collect();
        assert_eq!(found, [(3, &b"a"[..]), (4, &1500u32.to_ne_bytes()[..])]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            let count = replies(&bytes, 0).count() + attributes(&bytes).count();
            prop_assert!(count <= bytes.len());
        }
    }
}

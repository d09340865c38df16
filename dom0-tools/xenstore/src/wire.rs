//! The protocol's messages: a header of four words and up to 4096 bytes.

use xen_abi::io::xs_wire as abi;

use crate::Errno;

mod decoder;
mod payload;

pub use decoder::{Decoder, Oversized};
pub use payload::{strings, terminated};

/// Bytes of a header.
pub const HEADER_SIZE: usize = 16;
/// Most bytes of a payload. A peer that sends more is not listened to any longer.
pub const PAYLOAD_MAX: usize = abi::XENSTORE_PAYLOAD_MAX;
/// Most bytes of an absolute path.
pub const ABS_PATH_MAX: usize = abi::XENSTORE_ABS_PATH_MAX;
/// Most bytes of a path without `/local/domain/<domid>/`.
pub const REL_PATH_MAX: usize = abi::XENSTORE_REL_PATH_MAX;

/// What a message is. Peers send what they like, so this is any number.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(pub u32);

macro_rules! types {
    ($($name:ident $abi:ident,)*) => {
        #[expect(missing_docs, reason = "the protocol's names")]
        impl MessageType {
            $(pub const $name: Self = Self(abi::$abi);)*

            /// Its name in the protocol, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

types! {
    CONTROL XS_CONTROL,
    DIRECTORY XS_DIRECTORY,
    READ XS_READ,
    GET_PERMS XS_GET_PERMS,
    WATCH XS_WATCH,
    UNWATCH XS_UNWATCH,
    TRANSACTION_START XS_TRANSACTION_START,
    TRANSACTION_END XS_TRANSACTION_END,
    INTRODUCE XS_INTRODUCE,
    RELEASE XS_RELEASE,
    GET_DOMAIN_PATH XS_GET_DOMAIN_PATH,
    WRITE XS_WRITE,
    MKDIR XS_MKDIR,
    RM XS_RM,
    SET_PERMS XS_SET_PERMS,
    WATCH_EVENT XS_WATCH_EVENT,
    ERROR XS_ERROR,
    IS_DOMAIN_INTRODUCED XS_IS_DOMAIN_INTRODUCED,
    RESUME XS_RESUME,
    SET_TARGET XS_SET_TARGET,
    RESET_WATCHES XS_RESET_WATCHES,
    DIRECTORY_PART XS_DIRECTORY_PART,
}

/// The first 16 bytes of a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: MessageType,
    /// Chosen by the client, repeated in the answer.
    pub req_id: u32,
    /// Transaction, 0 for none.
    pub tx_id: u32,
    /// Bytes that follow.
    pub len: u32,
}

impl Header {
    /// As it is sent.
    pub fn encode(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let words = [self.kind.0, self.req_id, self.tx_id, self.len];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// As it came. Any bytes are a header; whether its length is allowed is for the [`Decoder`] to say.
    pub fn decode(bytes: [u8; HEADER_SIZE]) -> Self {
        let word =
            |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Self {
            kind: MessageType(word(0)),
            req_id: word(4),
            tx_id: word(8),
            len: word(12),
        }
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageType,
    /// Chosen by the client, repeated in the answer.
    pub req_id: u32,
    /// Transaction, 0 for none.
    pub tx_id: u32,
    /// At most [`PAYLOAD_MAX`] bytes.
    pub payload: Vec<u8>,
}

impl Message {
    /// A request, or an event, in no transaction.
    pub fn new(kind: MessageType, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            req_id: 0,
            tx_id: 0,
            payload: payload.into(),
        }
    }

    /// The answer to this request.
    pub fn reply(&self, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            payload: payload.into(),
            ..*self
        }
    }

    /// The answer to this request: it failed.
    pub fn refuse(&self, errno: Errno) -> Self {
        Self {
            kind: MessageType::ERROR,
            payload: terminated(&[errno.name()]),
            ..*self
        }
    }

    /// Bytes it has as it is sent.
    pub const fn size(&self) -> usize {
        HEADER_SIZE + self.payload.len()
    }

    /// As it is sent.
    ///
    /// # Panics
    /// If the payload is larger than any message can be (4 GiB); whoever makes a message sees to [`PAYLOAD_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).expect("a payload has at most 4096 bytes");
        let header = Header {
            kind: self.kind,
            req_id: self.req_id,
            tx_id: self.tx_id,
            len,
        };
        let mut bytes = Vec::with_capacity(self.size());
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_four_little_endian_words_and_its_payload() {
        let message = Message {
            kind: MessageType::WRITE,
            req_id: 0x0102_0304,
            tx_id: 7,
            payload: b"a\0b".to_vec(),
        };
        let bytes = [
            11, 0, 0, 0, 4, 3, 2, 1, 7, 0, 0, 0, 3, 0, 0, 0, b'a', 0, b'b',
        ];
        assert_eq!(message.encode(), bytes);
    }

    #[test]
    fn a_refusal_names_the_error_and_the_request() {
        let mut request = Message::new(MessageType::READ, *b"x\0");
        request.req_id = 5;
        request.tx_id = 6;
        let refusal = request.refuse(Errno::ENOENT);
        assert_eq!(
            (refusal.kind, refusal.req_id, refusal.tx_id),
            (MessageType::ERROR, 5, 6)
        );
        assert_eq!(refusal.payload, b"ENOENT\0");
    }
}

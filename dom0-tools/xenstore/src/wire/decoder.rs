//! Messages out of a stream of bytes that comes in pieces.

use super::{HEADER_SIZE, Header, Message, PAYLOAD_MAX};

/// Puts messages together. Holds at most one unfinished message.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// Of the message that is not whole yet: its header as far as it is known, then its payload.
    partial: Vec<u8>,
}

/// A header announced more than a message may have. What follows can not be understood, so the peer has to be dropped.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {len} bytes, at most {PAYLOAD_MAX} are allowed")]
pub struct Oversized {
    /// What was announced.
    pub len: u32,
}

impl Decoder {
    /// At the beginning of a message.
    pub const fn new() -> Self {
        let partial = Vec::new();
        Self { partial }
    }

    /// With the first bytes of a message, as [`Self::partial`] gave them. Bytes beyond that message do not belong here.
    pub const fn resume(partial: Vec<u8>) -> Self {
        Self { partial }
    }

    /// What there is of a message that is not whole yet.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// How many bytes the message lacks, as far as is known: never 0. Reading exactly this many takes nothing of the next message.
    pub fn missing(&self) -> Result<usize, Oversized> {
        Ok(self.whole()? - self.partial.len())
    }

    /// Takes bytes from the front of `input`: a message as soon as it is whole, `None` once all of `input` is taken. On [`Oversized`] the
    /// stream is lost: every further call says so again.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Oversized> {
        loop {
            let missing = self.missing()?;
            let taken = missing.min(input.len());
            let (now, later) = input.split_at(taken);
            self.partial.extend_from_slice(now);
            *input = later;
            if taken < missing {
                return Ok(None);
            }
            if self.partial.len() == self.whole()? {
                return Ok(self.finish());
            }
        }
    }

    /// Bytes of the message as far as is known: of its header, and once that is there, of all.
    fn whole(&self) -> Result<usize, Oversized> {
        match self.header() {
            None => Ok(HEADER_SIZE),
            Some(Header { len, .. }) if len as usize > PAYLOAD_MAX => Err(Oversized { len }),
            Some(Header { len, .. }) => Ok(HEADER_SIZE + len as usize),
        }
    }

    fn header(&self) -> Option<Header> {
        self.partial
            .first_chunk()
            .map(|&bytes| Header::decode(bytes))
    }

    fn finish(&mut self) -> Option<Message> {
        let Header {
            kind,
            req_id,
            tx_id,
            ..
        } = self.header()?;
        let mut payload = std::mem::take(&mut self.partial);
        payload.drain(..HEADER_SIZE);
        Some(Message {
            kind,
            req_id,
            tx_id,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MessageType;

    fn messages() -> Vec<Message> {
        [0, 1, 4095, 4096]
            .map(|len| Message::new(MessageType::WRITE, vec![7; len]))
            .to_vec()
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_is_cut() {
        let stream: Vec<u8> = messages().iter().flat_map(Message::encode).collect();
        for piece in [1, 2, 15, 16, 17, 4112, stream.len()] {
            let mut decoder = Decoder::new();
            let mut seen = Vec::new();
            for mut input in stream.chunks(piece) {
                while let Some(message) = decoder.next(&mut input).expect("sizes are allowed") {
                    seen.push(message);
                }
                assert!(input.is_empty());
            }
            assert_eq!(seen, messages());
            assert!(decoder.partial().is_empty());
        }
    }

    #[test]
    fn what_is_missing_never_reaches_into_the_next_message() {
        let bytes = Message::new(MessageType::READ, *b"abc\0").encode();
        let mut decoder = Decoder::new();
        assert_eq!(decoder.missing(), Ok(16));
        assert_eq!(decoder.next(&mut &bytes[..10]), Ok(None));
        assert_eq!(decoder.missing(), Ok(6));
        assert_eq!(decoder.next(&mut &bytes[10..16]), Ok(None));
        assert_eq!(decoder.missing(), Ok(4));
        assert!(decoder.next(&mut &bytes[16..]).expect("whole").is_some());
    }

    #[test]
    fn an_unfinished_message_survives() {
        let bytes = Message::new(MessageType::READ, *b"abc\0").encode();
        for cut in 0..bytes.len() {
            let mut first = Decoder::new();
            assert_eq!(first.next(&mut &bytes[..cut]), Ok(None));
            let mut second = Decoder::resume(first.partial().to_vec());
            let message = second
                .next(&mut &bytes[cut..])
                .expect("allowed")
                .expect("whole");
            assert_eq!(message.payload, b"abc\0");
        }
    }

    #[test]
    fn more_than_4096_bytes_are_refused_for_ever() {
        let mut bytes = Message::new(MessageType::WRITE, []).encode();
        bytes[12..16].copy_from_slice(&4097_u32.to_le_bytes());
        let mut decoder = Decoder::new();
        let mut input = bytes.as_slice();
        assert_eq!(decoder.next(&mut input), Err(Oversized { len: 4097 }));
        assert_eq!(
            decoder.next(&mut &[0; 16][..]),
            Err(Oversized { len: 4097 })
        );
    }
}

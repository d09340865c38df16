//! Records: length, checksum, kind and content. The checksum covers the record's number, too, so that no record passes for another.

use xenstore::engine::Change;
use xenstore::engine::change::Damaged;

use super::crc::crc32;
use super::{Loaded, Turn};
use crate::ring::Streams;

/// Bytes before the content: length of the content, checksum, kind.
const HEAD: usize = 9;
/// No record is longer; a length that is, is damage.
const CONTENT_MAX: usize = 1 << 28;

/// Where a ring's indices are: what is to be added to its positions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RingBase {
    /// Whose ring.
    pub domain: u16,
    /// The numbers to be added.
    pub base: Streams,
}

/// What a record holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of the snapshot.
    Part,
    /// The last part of it.
    LastPart,
    /// A turn.
    Turn,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Part => b'P',
            Self::LastPart => b'L',
            Self::Turn => b'T',
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            b'P' => Some(Self::Part),
            b'L' => Some(Self::LastPart),
            b'T' => Some(Self::Turn),
            _ => None,
        }
    }
}

/// Why there is no record.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NoRecord {
    /// The bytes end here.
    End,
    /// They end within a record.
    Torn,
    /// They are no record.
    Damaged,
}

fn encode_turn(turn: &Turn, out: &mut Vec<u8>) {
    out.extend_from_slice(&(turn.bases.len() as u32).to_le_bytes());
    for RingBase { domain, base } in &turn.bases {
        out.extend_from_slice(&domain.to_le_bytes());
        out.extend_from_slice(&base.req.to_le_bytes());
        out.extend_from_slice(&base.rsp.to_le_bytes());
    }
    for change in &turn.changes {
        change.encode(out);
    }
}

/// Adds the content of a record to what was loaded.
pub fn decode_turn(mut content: &[u8], loaded: &mut Loaded) -> Result<(), Damaged> {
    let count = u32::from_le_bytes(take(&mut content)?);
    for _ in 0..count {
        let domain = u16::from_le_bytes(take(&mut content)?);
        let req = u32::from_le_bytes(take(&mut content)?);
        let rsp = u32::from_le_bytes(take(&mut content)?);
        let base = Streams { req, rsp };
        loaded.bases.retain(|known| known.domain != domain);
        loaded.bases.push(RingBase { domain, base });
    }
    while !content.is_empty() {
        loaded.changes.push(Change::decode(&mut content)?);
    }
    Ok(())
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (bytes, rest) = input.split_first_chunk().ok_or(Damaged)?;
    *input = rest;
    Ok(*bytes)
}

/// The whole record `number`, in `out` instead of what was there.
pub fn frame(number: u64, kind: Kind, turn: &Turn, out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEAD, 0);
    encode_turn(turn, out);
    let (head, content) = out.split_at_mut(HEAD);
    head[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
    head[4..8].copy_from_slice(&checksum(number, kind.byte(), content).to_le_bytes());
    head[8] = kind.byte();
}

/// Takes record `number` from the front of `input`.
pub fn read<'a>(number: u64, input: &mut &'a [u8]) -> Result<(Kind, &'a [u8]), NoRecord> {
    if input.is_empty() {
        return Err(NoRecord::End);
    }
    let (head, rest) = input.split_first_chunk::<HEAD>().ok_or(NoRecord::Torn)?;
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let kind = Kind::of(head[8]).ok_or(NoRecord::Damaged)?;
    if len > CONTENT_MAX {
        return Err(NoRecord::Damaged);
    }
    let (content, rest) = rest.split_at_checked(len).ok_or(NoRecord::Torn)?;
    if checksum(number, head[8], content) != sum {
        return Err(NoRecord::Damaged);
    }
    *input = rest;
    Ok((kind, content))
}

fn checksum(number: u64, kind: u8, content: &[u8]) -> u32 {
    crc32(&[&number.to_le_bytes(), &[kind], content])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record with so much content.
    fn record(number: u64, tokens: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(number, Kind::Turn, &turn(tokens), &mut bytes);
        bytes
    }

    fn turn(bytes: &[u8]) -> Turn {
        let bytes = bytes.to_vec();
        let changes = vec![Change::Input { domain: 7, bytes }];
        Turn {
            changes,
            bases: Vec::new(),
        }
    }

    #[test]
    fn turns_are_read_back() {
        let base = RingBase {
            domain: 7,
            base: Streams {
                req: 1,
                rsp: u32::MAX,
            },
        };
        let turn = Turn {
            changes: vec![
                Change::Generation(5),
                Change::Input {
                    domain: 7,
                    bytes: b"abc".to_vec(),
                },
            ],
            bases: vec![base],
        };
        let mut content = Vec::new();
        encode_turn(&turn, &mut content);
        let mut loaded = Loaded::default();
        decode_turn(&content, &mut loaded).expect("as it was");
        decode_turn(&content, &mut loaded).expect("as it was");
        assert_eq!(loaded.bases, [base]);
        assert_eq!(
            loaded.changes,
            [turn.changes.clone(), turn.changes].concat()
        );
    }

    #[test]
    fn a_record_in_another_place_is_damage() {
        let bytes = record(3, b"content");
        assert_eq!(
            read(3, &mut bytes.as_slice()),
            Ok((Kind::Turn, &bytes[HEAD..]))
        );
        assert_eq!(read(4, &mut bytes.as_slice()), Err(NoRecord::Damaged));
    }

    proptest! {
        #[test]
        fn every_cut_is_torn_and_every_flipped_bit_is_noticed(
            content in proptest::collection::vec(any::<u8>(), 0..64),
            cut in any::<proptest::sample::Index>(),
            bit in any::<proptest::sample::Index>(),
        ) {
            let bytes = record(9, &content);
            let end = cut.index(bytes.len() - 1) + 1;
            let whole = end == bytes.len();
            let expected = if whole { Ok((Kind::Turn, &bytes[HEAD..])) } else { Err(NoRecord::Torn) };
            prop_assert_eq!(read(9, &mut &bytes[..end]), expected);
            let mut flipped = bytes.clone();
            let bit = bit.index(bytes.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(9, &mut flipped.as_slice()).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut input = bytes.as_slice();
            let mut number = 0;
            while let Ok((_, content)) = read(number, &mut input) {
                number += 1;
                let _ = decode_turn(content, &mut Loaded::default());
            }
            let _ = decode_turn(&bytes, &mut Loaded::default());
        }
    }
}

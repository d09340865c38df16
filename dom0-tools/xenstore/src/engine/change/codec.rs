//! Changes as bytes: a letter, then numbers of eight bytes and strings with their length before them. Framing and checksums are the log's.

use super::Change;
use crate::engine::rights::Entry;

/// Bytes that are no change.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of a change of the store is damaged")]
pub struct Damaged;

impl Change {
    /// Appends the change to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut put = Put(out);
        match self {
            Self::Node {
                path,
                generation,
                entries,
                value,
            } => {
                put.tag(b'N').bytes(path.as_bytes()).number(*generation);
                put.bytes(value).number(entries.len() as u64);
                entries.iter().for_each(|entry| put.entry(entry));
            }
            Self::Touched { path, generation } => {
                put.tag(b'T').bytes(path.as_bytes()).number(*generation);
            }
            Self::Removed { path } => {
                put.tag(b'R').bytes(path.as_bytes());
            }
            Self::Generation(generation) => {
                put.tag(b'G').number(*generation);
            }
            Self::Quota { name, limit } => {
                put.tag(b'Q').bytes(name.as_bytes()).number(*limit);
            }
            Self::Domain {
                domain,
                generation,
                ring,
                shutdown,
                target,
            } => {
                put.domain(b'D', *domain).number(*generation);
                put.option(*ring)
                    .flag(*shutdown)
                    .option(target.map(u32::from));
            }
            _ => self.encode_of_ring(&mut put),
        }
    }

    fn encode_of_ring(&self, put: &mut Put<'_>) {
        match self {
            Self::DomainGone { domain } => {
                put.domain(b'd', *domain);
            }
            Self::Reset { domain } => {
                put.domain(b'r', *domain);
            }
            Self::Ignored { domain } => {
                put.domain(b'x', *domain);
            }
            Self::Watch {
                domain,
                path,
                token,
                relative,
            } => {
                put.domain(b'W', *domain).bytes(path.as_bytes());
                put.bytes(token).flag(*relative);
            }
            Self::Unwatch {
                domain,
                path,
                token,
            } => {
                put.domain(b'w', *domain)
                    .bytes(path.as_bytes())
                    .bytes(token);
            }
            Self::Begin { domain, id } => {
                put.domain(b'B', *domain).number((*id).into());
            }
            Self::End { domain, id } => {
                put.domain(b'b', *domain).number((*id).into());
            }
            Self::Input { domain, bytes } => {
                put.domain(b'I', *domain).bytes(bytes);
            }
            Self::Handled { domain, size } => {
                put.domain(b'H', *domain).number((*size).into());
            }
            Self::Output {
                domain,
                bytes,
                event,
            } => {
                put.domain(b'O', *domain).bytes(bytes).flag(*event);
            }
            Self::Sent { domain, bytes } => {
                put.domain(b'S', *domain).number((*bytes).into());
            }
            Self::Expired { domain, events } => {
                put.domain(b'E', *domain).number((*events).into());
            }
            Self::Node { .. }
            | Self::Touched { .. }
            | Self::Removed { .. }
            | Self::Generation(_)
            | Self::Quota { .. }
            | Self::Domain { .. } => {}
        }
    }

    /// Takes a change from the front of `input`.
    pub fn decode(input: &mut &[u8]) -> Result<Self, Damaged> {
        let mut take = Take(input);
        Ok(match take.byte()? {
            b'N' => Self::Node {
                path: take.text()?,
                generation: take.number()?,
                value: take.bytes()?,
                entries: take.entries()?,
            },
            b'T' => Self::Touched {
                path: take.text()?,
                generation: take.number()?,
            },
            b'R' => Self::Removed { path: take.text()? },
            b'G' => Self::Generation(take.number()?),
            b'Q' => Self::Quota {
                name: take.text()?,
                limit: take.number()?,
            },
            tag => Self::decode_of_domain(tag, take.domain()?, &mut take)?,
        })
    }

    fn decode_of_domain(tag: u8, domain: u16, take: &mut Take<'_, '_>) -> Result<Self, Damaged> {
        Ok(match tag {
            b'D' => Self::Domain {
                domain,
                generation: take.number()?,
                ring: take.option()?,
                shutdown: take.flag()?,
                target: take
                    .option()?
                    .map(u16::try_from)
                    .transpose()
                    .map_err(|_| Damaged)?,
            },
            b'd' => Self::DomainGone { domain },
            b'r' => Self::Reset { domain },
            b'x' => Self::Ignored { domain },
            b'W' => Self::Watch {
                domain,
                path: take.text()?,
                token: take.bytes()?,
                relative: take.flag()?,
            },
            b'w' => Self::Unwatch {
                domain,
                path: take.text()?,
                token: take.bytes()?,
            },
            b'B' => Self::Begin {
                domain,
                id: take.small()?,
            },
            b'b' => Self::End {
                domain,
                id: take.small()?,
            },
            b'I' => Self::Input {
                domain,
                bytes: take.bytes()?,
            },
            b'H' => Self::Handled {
                domain,
                size: take.small()?,
            },
            b'O' => Self::Output {
                domain,
                bytes: take.bytes()?,
                event: take.flag()?,
            },
            b'S' => Self::Sent {
                domain,
                bytes: take.small()?,
            },
            b'E' => Self::Expired {
                domain,
                events: take.small()?,
            },
            _ => return Err(Damaged),
        })
    }
}

struct Put<'a>(&'a mut Vec<u8>);

impl Put<'_> {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.push(tag);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn domain(&mut self, tag: u8, domain: u16) -> &mut Self {
        self.tag(tag).number(domain.into())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.tag(flag.into())
    }

    fn option(&mut self, number: Option<u32>) -> &mut Self {
        self.flag(number.is_some())
            .number(number.unwrap_or(0).into())
    }

    fn entry(&mut self, entry: &Entry) {
        self.bytes(entry.permission.to_string().as_bytes())
            .flag(entry.void);
    }
}

struct Take<'a, 'b>(&'a mut &'b [u8]);

impl Take<'_, '_> {
    fn byte(&mut self) -> Result<u8, Damaged> {
        let (byte, rest) = self.0.split_first().ok_or(Damaged)?;
        *self.0 = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Damaged)?;
        *self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    fn small(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.number()?).map_err(|_| Damaged)
    }

    fn domain(&mut self) -> Result<u16, Damaged> {
        u16::try_from(self.number()?).map_err(|_| Damaged)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Damaged> {
        let len = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Damaged)?;
        *self.0 = rest;
        Ok(bytes.to_vec())
    }

    fn text(&mut self) -> Result<String, Damaged> {
        String::from_utf8(self.bytes()?).map_err(|_| Damaged)
    }

    fn flag(&mut self) -> Result<bool, Damaged> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damaged),
        }
    }

    fn option(&mut self) -> Result<Option<u32>, Damaged> {
        let some = self.flag()?;
        let number = self.small()?;
        Ok(some.then_some(number))
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Damaged> {
        (0..self.number()?).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> Result<Entry, Damaged> {
        let permission = self.text()?.parse().map_err(|_| Damaged)?;
        let void = self.flag()?;
        Ok(Entry { permission, void })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permission;

    fn samples() -> Vec<Change> {
        let path = || "/local/domain/5/x".to_owned();
        let entries = vec![
            Entry {
                permission: Permission::none(5),
                void: false,
            },
            Entry {
                permission: Permission::both(7),
                void: true,
            },
        ];
        let domain = 5;
        vec![
            Change::Node {
                path: path(),
                generation: 9,
                entries,
                value: b"a\0b".to_vec(),
            },
            Change::Touched {
                path: path(),
                generation: u64::MAX,
            },
            Change::Removed { path: path() },
            Change::Generation(77),
            Change::Quota {
                name: "nodes".to_owned(),
                limit: 7,
            },
            Change::Domain {
                domain,
                generation: 3,
                ring: Some(12),
                shutdown: true,
                target: Some(65535),
            },
            Change::DomainGone { domain },
            Change::Reset { domain },
            Change::Ignored { domain },
            Change::Watch {
                domain,
                path: path(),
                token: vec![1, 2],
                relative: true,
            },
            Change::Unwatch {
                domain,
                path: path(),
                token: vec![],
            },
            Change::Begin { domain, id: 1 },
            Change::End { domain, id: 1 },
            Change::Input {
                domain,
                bytes: vec![7; 20],
            },
            Change::Handled { domain, size: 4112 },
            Change::Output {
                domain,
                bytes: vec![8; 20],
                event: true,
            },
            Change::Sent { domain, bytes: 3 },
            Change::Expired { domain, events: 2 },
        ]
    }

    #[test]
    fn changes_are_read_back() {
        let mut bytes = Vec::new();
        samples()
            .iter()
            .for_each(|change| change.encode(&mut bytes));
        let mut rest = bytes.as_slice();
        for change in samples() {
            assert_eq!(Change::decode(&mut rest), Ok(change));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn cut_or_wrong_bytes_are_damage_and_not_a_panic() {
        for change in samples() {
            let mut bytes = Vec::new();
            change.encode(&mut bytes);
            for end in 0..bytes.len() {
                assert_eq!(Change::decode(&mut &bytes[..end]), Err(Damaged));
            }
            for at in 0..bytes.len() {
                let mut wrong = bytes.clone();
                wrong[at] ^= 0xff;
                drop(Change::decode(&mut wrong.as_slice()));
            }
        }
    }
}

//! The ring of a domain: a page that the domain writes at the same time, and may write anything into (`public/io/xs_wire.h`).
//!
//! The store knows by itself where it is in the two streams; a position is a number of bytes, modulo 2^32, since the ring was introduced. An index
//! in the page is such a position plus a base. Indices of the page are hints: the store's own (`req_cons`, `rsp_prod`) are written, and read only
//! to see whether the domain has moved them, as firmware does that zeroes the page when it hands over to the system it started. What was
//! taken from the page, or put there, counts for the other side only once it is [published](Ring::publish): until then nothing of it has happened.

use std::mem::offset_of;

use xen_abi::io::xs_wire::{
    XENSTORE_CONNECTED, XENSTORE_ERROR_COMM, XENSTORE_ERROR_NONE, XENSTORE_ERROR_PROTO,
    XENSTORE_ERROR_RINGIDX, XENSTORE_RECONNECT, XENSTORE_RING_SIZE, XENSTORE_SERVER_FEATURE_ERROR,
    XENSTORE_SERVER_FEATURE_RECONNECTION, XenstoreDomainInterface,
};
use xenctl::{SharedPage, full_barrier};

/// Bytes of each of the two streams' buffers.
const SIZE: u32 = XENSTORE_RING_SIZE as u32;
/// What the store can do with a ring.
const FEATURES: u32 = XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR;

const REQ: usize = offset_of!(XenstoreDomainInterface, req);
const RSP: usize = offset_of!(XenstoreDomainInterface, rsp);
const REQ_CONS: usize = offset_of!(XenstoreDomainInterface, req_cons);
const REQ_PROD: usize = offset_of!(XenstoreDomainInterface, req_prod);
const RSP_CONS: usize = offset_of!(XenstoreDomainInterface, rsp_cons);
const RSP_PROD: usize = offset_of!(XenstoreDomainInterface, rsp_prod);
const SERVER_FEATURES: usize = offset_of!(XenstoreDomainInterface, server_features);
const CONNECTION: usize = offset_of!(XenstoreDomainInterface, connection);
const ERROR: usize = offset_of!(XenstoreDomainInterface, error);

/// Two numbers, one for each stream: of requests, of responses.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// Of requests.
    pub req: u32,
    /// Of responses.
    pub rsp: u32,
}

impl Streams {
    fn plus(self, other: Self) -> Self {
        Self {
            req: self.req.wrapping_add(other.req),
            rsp: self.rsp.wrapping_add(other.rsp),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            req: self.req.wrapping_sub(other.req),
            rsp: self.rsp.wrapping_sub(other.rsp),
        }
    }
}

/// The domain's indices can not be: there is more in a ring than fits.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ring index is wrong: {used} bytes in a ring of {SIZE}")]
pub struct WrongIndex {
    /// Bytes the indices say there are.
    pub used: u32,
}

/// What a domain is told about its ring when it is not served any longer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It can not be reached.
    Unreachable,
    /// Its indices can not be.
    WrongIndex,
    /// A message is longer than any may be.
    Oversized,
}

/// A ring, seen from the store.
pub struct Ring {
    page: Box<dyn SharedPage>,
    base: Streams,
    /// What the store wrote into the page last.
    published: Streams,
}

impl Ring {
    /// A ring that is taken as it is: its streams begin where its indices are.
    pub fn adopt(page: Box<dyn SharedPage>) -> Self {
        let base = own_indices(&*page);
        let ring = Self {
            page,
            base,
            published: base,
        };
        ring.page.store_u32(SERVER_FEATURES, FEATURES);
        ring
    }

    /// A ring that begins anew: all indices are 0, whatever the domain had in it.
    pub fn begin(page: Box<dyn SharedPage>) -> Self {
        let mut ring = Self {
            page,
            base: Streams::default(),
            published: Streams::default(),
        };
        ring.reset();
        ring
    }

    /// A ring that another process served before: it knew itself at `position`, and had published that, or something less far. The second value is
    /// how many bytes of responses it had published that it did not remember.
    pub fn resume(
        page: Box<dyn SharedPage>,
        base: Streams,
        position: Streams,
        waiting: u32,
    ) -> (Self, u32) {
        let published = own_indices(&*page);
        let target = base.plus(position);
        let behind = target.req.wrapping_sub(published.req);
        let ahead = published.rsp.wrapping_sub(target.rsp);
        let follows = behind <= SIZE && ahead <= waiting;
        // Otherwise the domain began anew meanwhile, and the streams go on where its indices are.
        let base = if follows {
            base
        } else {
            published.minus(position)
        };
        let ring = Self {
            page,
            base,
            published,
        };
        ring.page.store_u32(SERVER_FEATURES, FEATURES);
        (ring, if follows { ahead } else { 0 })
    }

    /// Begins anew, as [`Self::begin`]. Positions are 0 from now on.
    pub fn reset(&mut self) {
        for index in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD] {
            self.page.store_u32(index, 0);
        }
        (self.base, self.published) = (Streams::default(), Streams::default());
        self.page.store_u32(SERVER_FEATURES, FEATURES);
        self.page.store_u32(ERROR, XENSTORE_ERROR_NONE);
    }

    /// Whether the domain asks to begin anew.
    pub fn wants_reset(&self) -> bool {
        self.page.load_u32(CONNECTION) == XENSTORE_RECONNECT
    }

    /// The domain is connected.
    pub fn connected(&self) {
        full_barrier();
        self.page.store_u32(CONNECTION, XENSTORE_CONNECTED);
    }

    /// The difference between the page's indices and the store's positions.
    pub const fn base(&self) -> Streams {
        self.base
    }

    /// Follows a domain that moved the store's own indices. `true`: it did, and [`Self::base`] is another.
    pub fn follow(&mut self, position: Streams) -> bool {
        let seen = own_indices(&*self.page);
        if seen == self.published {
            return false;
        }
        self.base = seen.minus(position);
        self.published = seen;
        true
    }

    /// Takes bytes of requests from where the store is, at most as many as `bytes` has.
    pub fn take(&self, position: Streams, bytes: &mut [u8]) -> Result<usize, WrongIndex> {
        let consumer = self.base.plus(position).req;
        let used = self.used(REQ_PROD, consumer)?;
        let count = (used as usize).min(bytes.len());
        for (at, piece) in pieces(REQ, consumer, count) {
            let (start, len) = piece;
            self.page.copy_out(at, &mut bytes[start..start + len]);
        }
        Ok(count)
    }

    /// Puts bytes of responses where the store is, as many as there is room for.
    pub fn put(&self, position: Streams, bytes: &[u8]) -> Result<usize, WrongIndex> {
        let producer = self.base.plus(position).rsp;
        let room = SIZE - self.unread(producer)?;
        let count = (room as usize).min(bytes.len());
        for (at, piece) in pieces(RSP, producer, count) {
            let (start, len) = piece;
            self.page.copy_in(at, &bytes[start..start + len]);
        }
        Ok(count)
    }

    /// Makes all that was taken and put until `position` count for the domain. `true`: that is news for it.
    pub fn publish(&mut self, position: Streams) -> bool {
        let target = self.base.plus(position);
        if target == self.published {
            return false;
        }
        self.page.store_u32(RSP_PROD, target.rsp);
        self.page.store_u32(REQ_CONS, target.req);
        self.published = target;
        true
    }

    /// Whether there is more to do, as far as requests are `wanted` and responses are `waiting`: the domain tells of new requests only if it saw all
    /// others taken, and of room only if it saw none. To be asked after [`Self::publish`]. Wrong indices are something to do.
    pub fn has_more(&self, position: Streams, wanted: bool, waiting: bool) -> bool {
        full_barrier();
        let at = self.base.plus(position);
        (wanted && self.used(REQ_PROD, at.req) != Ok(0))
            || (waiting && self.unread(at.rsp) != Ok(SIZE))
    }

    /// Tells the domain that it is not served any longer.
    pub fn fail(&self, fault: Fault) {
        let error = match fault {
            Fault::Unreachable => XENSTORE_ERROR_COMM,
            Fault::WrongIndex => XENSTORE_ERROR_RINGIDX,
            Fault::Oversized => XENSTORE_ERROR_PROTO,
        };
        self.page.store_u32(ERROR, error);
    }

    fn used(&self, producer: usize, consumer: u32) -> Result<u32, WrongIndex> {
        within(self.page.load_u32(producer).wrapping_sub(consumer))
    }

    fn unread(&self, producer: u32) -> Result<u32, WrongIndex> {
        within(producer.wrapping_sub(self.page.load_u32(RSP_CONS)))
    }
}

const fn within(used: u32) -> Result<u32, WrongIndex> {
    if used > SIZE {
        return Err(WrongIndex { used });
    }
    Ok(used)
}

fn own_indices(page: &dyn SharedPage) -> Streams {
    Streams {
        req: page.load_u32(REQ_CONS),
        rsp: page.load_u32(RSP_PROD),
    }
}

/// The places in the page of `count` bytes from `index` on, and which of the bytes they are (start, length): two where they wrap.
fn pieces(
    buffer: usize,
    index: u32,
    count: usize,
) -> impl Iterator<Item = (usize, (usize, usize))> {
    let start = (index % SIZE) as usize;
    let first = count.min(XENSTORE_RING_SIZE - start);
    let pieces = [
        (buffer + start, (0, first)),
        (buffer, (first, count - first)),
    ];
    pieces.into_iter().filter(|(_, (_, len))| *len > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xenctl::fake::MemoryPage;

    use super::*;

    fn streams(req: u32, rsp: u32) -> Streams {
        Streams { req, rsp }
    }

    fn page(indices: [u32; 4]) -> MemoryPage {
        let page = MemoryPage::new();
        for (at, index) in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD]
            .into_iter()
            .zip(indices)
        {
            page.store_u32(at, index);
        }
        page
    }

    /// What a guest does to send.
    fn send(page: &MemoryPage, bytes: &[u8]) {
        let mut prod = page.load_u32(REQ_PROD);
        for &byte in bytes {
            page.copy_in(REQ + (prod % SIZE) as usize, &[byte]);
            prod = prod.wrapping_add(1);
        }
        page.store_u32(REQ_PROD, prod);
    }

    /// What a guest does to receive all there is.
    fn receive(page: &MemoryPage) -> Vec<u8> {
        let (cons, prod) = (page.load_u32(RSP_CONS), page.load_u32(RSP_PROD));
        let count = prod.wrapping_sub(cons);
        let byte = |i: u32| {
            let mut byte = [0];
            page.copy_out(RSP + (cons.wrapping_add(i) % SIZE) as usize, &mut byte);
            byte[0]
        };
        page.store_u32(RSP_CONS, prod);
        (0..count).map(byte).collect()
    }

    #[test]
    fn bytes_pass_both_ways_over_the_end_of_the_buffer_and_of_the_numbers() {
        let start = u32::MAX - 500;
        let page = page([start; 4]);
        let mut ring = Ring::adopt(Box::new(page.clone()));
        let mut at = Streams::default();
        for round in 0..20_u8 {
            let message: Vec<u8> = (0..300_u16).map(|i| (i as u8) ^ round).collect();
            send(&page, &message);
            let mut bytes = [0; 400];
            assert_eq!(ring.take(at, &mut bytes), Ok(300));
            assert_eq!(bytes[..300], message);
            at.req = at.req.wrapping_add(300);
            assert_eq!(ring.put(at, &message), Ok(300));
            at.rsp = at.rsp.wrapping_add(300);
            assert!(receive(&page).is_empty(), "nothing counts yet");
            assert!(ring.publish(at));
            assert!(!ring.publish(at), "no news");
            assert_eq!(receive(&page), message);
            assert_eq!(page.load_u32(REQ_CONS), page.load_u32(REQ_PROD));
        }
    }

    #[test]
    fn a_full_ring_takes_no_more_until_it_is_read() {
        let page = page([0; 4]);
        let mut ring = Ring::begin(Box::new(page.clone()));
        let mut at = Streams::default();
        assert_eq!(ring.put(at, &[1; 2000]), Ok(1024));
        at.rsp = 1024;
        assert_eq!(ring.put(at, &[1]), Ok(0));
        ring.publish(at);
        assert!(!ring.has_more(at, true, true));
        assert_eq!(receive(&page).len(), 1024);
        assert!(ring.has_more(at, true, true), "there is room again");
        assert!(!ring.has_more(at, true, false));
    }

    #[test]
    fn jumping_indices_are_errors_for_that_ring() {
        let page = page([0, 1025, 0, 0]);
        let ring = Ring::adopt(Box::new(page.clone()));
        let at = Streams::default();
        let wrong = WrongIndex { used: 1025 };
        assert_eq!(ring.take(at, &mut [0; 10]), Err(wrong));
        assert!(ring.has_more(at, true, false));
        page.store_u32(RSP_CONS, 1);
        assert!(ring.put(at, &[0; 10]).is_err());
        ring.fail(Fault::WrongIndex);
        assert_eq!(page.load_u32(ERROR), XENSTORE_ERROR_RINGIDX);
    }

    #[test]
    fn a_domain_that_zeroes_its_ring_is_followed() {
        let page = page([0; 4]);
        let mut ring = Ring::begin(Box::new(page.clone()));
        send(&page, b"abc");
        let at = streams(3, 5);
        assert_eq!(ring.take(Streams::default(), &mut [0; 3]), Ok(3));
        ring.publish(at);
        assert!(!ring.follow(at));
        for index in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD] {
            page.store_u32(index, 0);
        }
        assert!(ring.follow(at));
        send(&page, b"xy");
        let mut bytes = [0; 8];
        assert_eq!(ring.take(at, &mut bytes), Ok(2));
        assert_eq!(&bytes[..2], b"xy");
    }

    #[test]
    fn a_ring_goes_on_where_another_process_left_it() {
        // It had taken up to 110 (base 10) and published 104 of that; of 40 bytes of responses that wait from 200 on, 15 are there.
        let page = page([104, 130, 190, 215]);
        let base = streams(10, 0);
        let (mut ring, sent) = Ring::resume(Box::new(page.clone()), base, streams(100, 200), 40);
        assert_eq!(sent, 15);
        assert_eq!(ring.base(), base);
        assert!(ring.publish(streams(100, 215)));
        assert_eq!(page.load_u32(REQ_CONS), 110);
        assert_eq!(ring.take(streams(100, 215), &mut [0; 100]), Ok(20));
    }

    #[test]
    fn a_ring_that_began_anew_meanwhile_is_followed() {
        let page = page([0, 2, 0, 0]);
        let (ring, sent) = Ring::resume(Box::new(page), Streams::default(), streams(5000, 9000), 0);
        assert_eq!(sent, 0);
        assert_eq!(ring.take(streams(5000, 9000), &mut [0; 100]), Ok(2));
    }

    #[test]
    fn a_request_to_begin_anew_is_seen_and_answered() {
        let page = page([5, 6, 7, 8]);
        page.store_u32(CONNECTION, XENSTORE_RECONNECT);
        let mut ring = Ring::adopt(Box::new(page.clone()));
        assert!(ring.wants_reset());
        assert_eq!(page.load_u32(SERVER_FEATURES), 3);
        ring.reset();
        ring.connected();
        assert!(!ring.wants_reset());
        assert_eq!(page.load_u32(REQ_PROD), 0);
    }

    proptest! {
        #[test]
        fn whatever_the_page_holds_only_its_own_bytes_are_taken(
            indices in any::<[u32; 4]>(),
            position in any::<(u32, u32)>(),
            moved in any::<bool>(),
            size in 0_usize..5000,
        ) {
            let page = page(indices);
            let mut ring = Ring::adopt(Box::new(page.clone()));
            let at = streams(position.0, position.1);
            if moved {
                page.store_u32(REQ_CONS, indices[3]);
            }
            ring.follow(at);
            let mut bytes = vec![0; size];
            if let Ok(count) = ring.take(at, &mut bytes) {
                prop_assert!(count <= size.min(1024));
            }
            if let Ok(count) = ring.put(at, &bytes) {
                prop_assert!(count <= size.min(1024));
            }
            ring.publish(at);
            ring.has_more(at, true, true);
            let (mut ring, sent) = Ring::resume(Box::new(page), streams(indices[0], 3), at, 100);
            prop_assert!(sent <= 100);
            ring.publish(at);
        }
    }
}

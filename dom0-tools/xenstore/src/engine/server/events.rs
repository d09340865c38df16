//! Events: who is told of a change.

use std::sync::Arc;

use super::Server;
use crate::engine::ConnectionId;
use crate::engine::change::Change;
use crate::engine::connection::Peer;
use crate::engine::output::{Kind, Pending};
use crate::engine::requests_held::RequestId;
use crate::engine::rights::{Needs, Rights};
use crate::engine::transaction::Event;
use crate::engine::watches::Token;
use crate::path::Path;
use crate::wire::{Message, MessageType, PAYLOAD_MAX};

impl Server {
    /// Tells those who watch `path` that it changed, if they may read it: by one of `witnesses`, which are the permissions of the node and of
    /// its parent, before and after.
    pub(in crate::engine) fn fire(
        &mut self,
        path: &Path,
        event: Event,
        witnesses: &[Rights],
        request: Option<RequestId>,
    ) {
        let mut asked: Option<(ConnectionId, bool)> = None;
        for found in self.watches.concerned(path, event == Event::Exact) {
            self.store.work += 1;
            let allowed = match asked {
                Some((connection, allowed)) if connection == found.connection => allowed,
                _ => self.may_know(found.connection, witnesses),
            };
            asked = Some((found.connection, allowed));
            if allowed {
                let path = &path.as_str()[found.watch.prefix..];
                self.send_event(found.connection, path, &found.token, request);
            }
        }
    }

    fn may_know(&self, connection: ConnectionId, witnesses: &[Rights]) -> bool {
        self.caller(connection).is_some_and(|caller| {
            let reads = |rights: &Rights| rights.of(caller, &self.store.domains).cover(Needs::READ);
            witnesses.iter().any(reads)
        })
    }

    /// Tells those who watch for domains that come, or for domains that go.
    pub(in crate::engine) fn fire_special(&mut self, name: &str) {
        let Some(path) = Path::new(name) else {
            return;
        };
        let nodes = [Some(&path), path.parent().as_ref()].map(|path| self.store.get(path?));
        let witnesses: Vec<Rights> = nodes
            .into_iter()
            .flatten()
            .map(|node| node.rights())
            .collect();
        self.fire(&path, Event::Exact, &witnesses, None);
    }

    /// Puts an event in a peer's output, unless the same waits there already, or the peer has no memory left for it. Special events are
    /// counted, one for each domain that came or went.
    pub(in crate::engine) fn send_event(
        &mut self,
        connection: ConnectionId,
        path: &str,
        token: &Token,
        request: Option<RequestId>,
    ) {
        let mut payload = Vec::with_capacity(path.len() + token.len() + 2);
        for part in [path.as_bytes(), token] {
            payload.extend_from_slice(part);
            payload.push(0);
        }
        if payload.len() > PAYLOAD_MAX {
            return;
        }
        let bytes: Arc<[u8]> = Message::new(MessageType::WATCH_EVENT, payload)
            .encode()
            .into();
        let once = !path.starts_with('@');
        if self.wants(connection, &bytes, once) {
            let deadline = self.deadline_of(connection);
            let kind = Kind::Event { once, deadline };
            if let Some(id) = request {
                self.held.add(id);
            }
            let pending = Pending {
                bytes,
                request,
                kind,
            };
            self.queue(connection, pending);
        }
    }

    fn wants(&self, connection: ConnectionId, event: &[u8], once: bool) -> bool {
        let Some((peer, caller)) = self
            .connections
            .get(&connection)
            .zip(self.caller(connection))
        else {
            return false;
        };
        let more = event.len() as u64;
        !(once && peer.output.waits(event))
            && self.check_memory(caller, caller.domain, more, 0).is_ok()
    }

    /// When an event put up now is dropped.
    pub(in crate::engine) fn deadline_of(&self, connection: ConnectionId) -> Option<u64> {
        let caller = self.caller(connection)?;
        let timeout = self.event_timeout_ms.filter(|_| !caller.privileged)?;
        Some(self.store.rates.now_ms.saturating_add(timeout))
    }

    /// Drops the events a peer did not take in time.
    pub(super) fn expire_events(&mut self, connection: ConnectionId) {
        let now_ms = self.store.rates.now_ms;
        let Some(peer) = self.connections.get_mut(&connection) else {
            return;
        };
        let gone = peer.output.expire(now_ms);
        let (peer, domain) = (peer.peer, peer.domain());
        if gone.is_empty() {
            return;
        }
        if let Peer::Ring(domain) = peer {
            let events = u32::try_from(gone.len()).unwrap_or(u32::MAX);
            self.store.record(|| Change::Expired { domain, events });
        }
        for pending in &gone {
            self.release(domain, pending);
        }
    }

    /// Drops as many of the oldest events of a ring.
    pub(in crate::engine) fn drop_events(&mut self, connection: ConnectionId, events: u32) {
        let Some(peer) = self.connections.get_mut(&connection) else {
            return;
        };
        let domain = peer.domain();
        for pending in peer.output.drop_oldest(events) {
            self.release(domain, &pending);
        }
    }
}

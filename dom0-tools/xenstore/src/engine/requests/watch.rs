//! `WATCH`, `UNWATCH` and `RESET_WATCHES`.

use super::{Answer, Call, arguments, ok};
use crate::Errno;
use crate::engine::ConnectionId;
use crate::engine::change::Change;
use crate::engine::connection::Peer;
use crate::engine::quota::Item;
use crate::engine::server::Server;
use crate::engine::watches::Token;
use crate::path::Path;

/// `WATCH`: after the answer comes the first event.
pub fn watch(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let [text, token] = arguments::two(call.payload)?;
    let path = server.path(call, text)?;
    let token: Token = token.into();
    if server.watches.has(call.connection, &path, &token) {
        return Err(Errno::EEXIST);
    }
    let domain = call.caller.domain;
    // As in xenstored: the watch that reaches the limit, and one more.
    let used = server.store.domains.used(domain, Item::Watches);
    if !call.caller.privileged && used > server.store.quotas.limit(Item::Watches) {
        return Err(Errno::E2BIG);
    }
    let memory = (path.as_str().len() + token.len()) as u64;
    server.check_memory(call.caller, domain, memory, 0)?;
    let relative = !text.starts_with(b"/") && !text.starts_with(b"@");
    server.record_watch(call, |domain| Change::Watch {
        domain,
        path: path.as_str().to_owned(),
        token: token.to_vec(),
        relative,
    });
    let prefix = if relative {
        call.home.as_str().len() + 1
    } else {
        0
    };
    call.first_event = Some((path.as_str()[prefix..].to_owned(), token.clone()));
    server.add_watch(call.connection, domain, (path, token), prefix);
    ok()
}

/// `UNWATCH`
pub fn unwatch(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let [path, token] = arguments::two(call.payload)?;
    let path = server.path(call, path)?;
    let token: Token = token.into();
    if !server.remove_watch(call.connection, call.caller.domain, &path, &token) {
        return Err(Errno::ENOENT);
    }
    server.record_watch(call, |domain| Change::Unwatch {
        domain,
        path: path.as_str().to_owned(),
        token: token.to_vec(),
    });
    ok()
}

/// `RESET_WATCHES`: transactions, too.
pub fn reset(server: &mut Server, call: &mut Call<'_>) -> Answer {
    if let Some(tx) = call.tx.take() {
        server.account_end(call.caller.domain, &tx);
        server.record_end(call);
    }
    server.drop_watches_and_transactions(call.connection);
    ok()
}

impl Server {
    fn record_watch(&mut self, call: &Call<'_>, change: impl FnOnce(u16) -> Change) {
        if let Some(Peer::Ring(domain)) = self.peer(call.connection) {
            self.store.record(|| change(domain));
        }
    }

    pub(in crate::engine) fn add_watch(
        &mut self,
        connection: ConnectionId,
        domain: u16,
        (path, token): (Path, Token),
        prefix: usize,
    ) {
        let memory = (path.as_str().len() + token.len()) as u64;
        self.store.domains.add(domain, Item::Memory, memory);
        self.store.domains.add(domain, Item::Watches, 1);
        self.watches.add(connection, path, token, prefix);
    }

    /// `false`: there is no such watch.
    pub(in crate::engine) fn remove_watch(
        &mut self,
        connection: ConnectionId,
        domain: u16,
        path: &Path,
        token: &Token,
    ) -> bool {
        let removed = self.watches.remove(connection, path, token);
        if removed {
            let memory = (path.as_str().len() + token.len()) as u64;
            self.store.domains.sub(domain, Item::Memory, memory);
            self.store.domains.sub(domain, Item::Watches, 1);
        }
        removed
    }

    /// As a peer asked: its ring goes on.
    fn drop_watches_and_transactions(&mut self, connection: ConnectionId) {
        if let Some(Peer::Ring(domain)) = self.peer(connection) {
            let watches: Vec<_> = self
                .watches
                .of(connection)
                .map(|(p, t, _)| (p.clone(), t.clone()))
                .collect();
            for (path, token) in watches {
                self.store.record(|| Change::Unwatch {
                    domain,
                    path: path.as_str().to_owned(),
                    token: token.to_vec(),
                });
            }
            let open = self
                .connections
                .get(&connection)
                .map(|peer| &peer.transactions);
            let open: Vec<u32> = open.into_iter().flatten().map(|(id, _)| *id).collect();
            for id in open {
                self.store.record(|| Change::End { domain, id });
            }
        }
        self.drop_watches(connection);
        self.drop_transactions(connection);
    }
}

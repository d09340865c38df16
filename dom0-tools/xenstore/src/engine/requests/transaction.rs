//! `TRANSACTION_START` and `TRANSACTION_END`.

use super::{Answer, Call, arguments, ok};
use crate::Errno;
use crate::engine::change::Change;
use crate::engine::connection::Peer;
use crate::engine::node::Node;
use crate::engine::quota::Item;
use crate::engine::rights::Rights;
use crate::engine::server::Server;
use crate::engine::transaction::{Accessed, Transaction};
use crate::wire::terminated;

/// `TRANSACTION_START`: the answer is its number.
pub fn start(server: &mut Server, call: &mut Call<'_>) -> Answer {
    if call.tx.is_some() {
        return Err(Errno::EBUSY);
    }
    let domain = call.caller.domain;
    // As in xenstored: the transaction that reaches the limit, and one more.
    let used = server.store.domains.used(domain, Item::Transactions);
    if !call.caller.privileged && used > server.store.quotas.limit(Item::Transactions) {
        return Err(Errno::ENOSPC);
    }
    let peer = server
        .connections
        .get_mut(&call.connection)
        .ok_or(Errno::ENOENT)?;
    let id = peer.new_transaction_id();
    peer.transactions.insert(id, Transaction::default());
    let ring = matches!(peer.peer, Peer::Ring(_));
    server.store.domains.add(domain, Item::Transactions, 1);
    server.store.rates.transactions += 1;
    if ring {
        server.store.record(|| Change::Begin { domain, id });
    }
    Ok(terminated(&[id.to_string()]))
}

/// `TRANSACTION_END`: it is over whatever the answer.
pub fn end(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let commit = match arguments::only(call.payload)? {
        b"T" => true,
        b"F" => false,
        _ => return Err(Errno::EINVAL),
    };
    let tx = call.tx.take().ok_or(Errno::ENOENT)?;
    server.account_end(call.caller.domain, &tx);
    server.record_end(call);
    if commit {
        server.check_commit(call, &tx)?;
        server.commit(call, &tx);
        if !call.caller.privileged {
            server.store.rates.debit(call.caller.domain);
        }
    }
    ok()
}

impl Server {
    pub(super) fn record_end(&mut self, call: &Call<'_>) {
        if let Some(Peer::Ring(domain)) = self.peer(call.connection) {
            let id = call.tx_id;
            self.store.record(|| Change::End { domain, id });
        }
    }

    fn check_commit(&mut self, call: &mut Call<'_>, tx: &Transaction) -> Result<(), Errno> {
        if tx.failed {
            return Err(Errno::ENOMEM);
        }
        self.check_owners(call, tx)?;
        let conflict = |accessed: &Accessed| {
            let generation = |node: &Node| node.generation;
            let now = self.store.get(&accessed.path).map(generation);
            now != accessed.base.as_ref().map(generation)
        };
        if tx.lost || tx.accessed().iter().any(conflict) {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Whether all who get nodes still exist, and may have that many.
    fn check_owners(&mut self, call: &mut Call<'_>, tx: &Transaction) -> Result<(), Errno> {
        let limit = self.store.quotas.limit(Item::Nodes);
        for (&owner, &more) in tx.nodes.iter().filter(|(_, more)| **more > 0) {
            if !self.acquaint(call, owner) {
                return Err(Errno::ENOMEM);
            }
            let all = self
                .store
                .domains
                .used(owner, Item::Nodes)
                .saturating_add_signed(more);
            let limited = !call.caller.privileged && !self.store.domains.is_privileged(owner);
            if limited && all > limit {
                return Err(Errno::ENOSPC);
            }
        }
        Ok(())
    }

    fn commit(&mut self, call: &Call<'_>, tx: &Transaction) {
        for accessed in tx.modified() {
            let node = accessed
                .current
                .clone()
                .map(|node| self.store.renewed(node));
            self.store.set_in_tree(&accessed.path, node);
        }
        for accessed in tx.accessed() {
            let Some(event) = accessed.event else {
                continue;
            };
            let witnesses = self.witnesses(tx, accessed);
            self.fire(&accessed.path, event, &witnesses, call.request);
        }
    }

    /// The permissions of a node and its parent, before and after. None if the node was made and removed again.
    fn witnesses(&self, tx: &Transaction, accessed: &Accessed) -> Vec<Rights> {
        let after = self.store.get(&accessed.path);
        let before = accessed.base.as_ref();
        if after.is_none() && before.is_none() {
            return Vec::new();
        }
        let parent = accessed.path.parent();
        let above = parent.as_ref().and_then(|path| {
            let removed = || {
                tx.accessed()
                    .iter()
                    .find(|other| other.path == *path)?
                    .base
                    .as_ref()
            };
            self.store.get(path).or_else(removed)
        });
        [before, after, above]
            .into_iter()
            .flatten()
            .map(Node::rights)
            .collect()
    }
}

//! `GET_PERMS` and `SET_PERMS`.

use super::{Answer, Call, arguments, ok};
use crate::engine::host::DomainState;
use crate::engine::quota::Item;
use crate::engine::rights::{Entry, Needs};
use crate::engine::server::Server;
use crate::engine::transaction::Event;
use crate::wire::{strings, terminated};
use crate::{Errno, Permission};

/// `GET_PERMS`: also of special watches.
pub fn get(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let path = server.path(call, arguments::only(call.payload)?)?;
    let node = server.find(call, &path, Needs::READ)?;
    let texts = node
        .entries
        .iter()
        .map(|entry| entry.permission.to_string());
    Ok(terminated(&texts.collect::<Vec<_>>()))
}

/// `SET_PERMS`: by the owner; who owns a node is for the privileged to change.
pub fn set(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let mut texts = strings(call.payload);
    let path = texts.next().ok_or(Errno::EINVAL)?;
    let texts: Vec<&[u8]> = texts.collect();
    let entries = server.entries(call, &texts)?;
    let owner = entries.first().ok_or(Errno::EINVAL)?;
    if owner.void {
        return Err(Errno::ENOENT);
    }
    let owner = owner.permission.domain;
    let path = server.path(call, path)?;
    let mut node = server.find(call, &path, Needs::OWNERSHIP)?;
    if !call.caller.privileged && owner != node.owner() {
        return Err(Errno::EPERM);
    }
    let before = node.rights();
    node.entries = entries.into();
    // The entries were checked now: nothing that happened to their domains before matters.
    node.generation = u64::MAX;
    server.admit(call, &[(path.clone(), node.clone())])?;
    server
        .store
        .set(&mut call.tx, call.caller, &path, Some(node));
    server.announce(call, &path, Event::Upwards, &[before]);
    ok()
}

impl Server {
    /// Permissions from their texts. Their domains are known from now on; those that do not exist get nothing.
    fn entries(&mut self, call: &mut Call<'_>, texts: &[&[u8]]) -> Result<Vec<Entry>, Errno> {
        let count = texts.len() as u64;
        if count == 0 {
            return Err(Errno::EINVAL);
        }
        if !call.caller.privileged && count > self.store.quotas.limit(Item::NodePermissions) {
            return Err(Errno::ENOSPC);
        }
        self.store
            .domains
            .saw(call.caller.domain, Item::NodePermissions, count);
        let parse = |text: &&[u8]| std::str::from_utf8(text).ok()?.parse().ok();
        let permissions: Option<Vec<Permission>> = texts.iter().map(parse).collect();
        let permissions = permissions.ok_or(Errno::EINVAL)?;
        let entry = |permission: Permission| Entry {
            permission,
            void: !self.acquaint(call, permission.domain),
        };
        Ok(permissions.into_iter().map(entry).collect())
    }

    /// Knows a domain from now on, if it exists.
    pub(super) fn acquaint(&mut self, call: &mut Call<'_>, domain: u16) -> bool {
        if self.store.domains.get(domain).is_some() {
            return true;
        }
        if call.host.domain_state(domain) == DomainState::Absent {
            return false;
        }
        let generation = self.store.generation();
        self.store.domains.know(domain, generation);
        self.record_domain(domain);
        true
    }
}

//! `RM`: a node and all below it.

use super::{Answer, Call, arguments, ok};
use crate::Errno;
use crate::engine::node::Node;
use crate::engine::rights::{Caller, Needs, Rights};
use crate::engine::server::Server;
use crate::engine::transaction::{Event, Transaction};
use crate::path::Path;

/// `RM`: a node that is not there is removed already, if what is above it is there.
pub fn run(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let path = server.node_path(call, arguments::only(call.payload)?)?;
    match server.find(call, &path, Needs::WRITE) {
        Ok(_) => {}
        Err(Errno::ENOENT) => return server.parent_exists(call, &path).and_then(|()| ok()),
        Err(errno) => return Err(errno),
    }
    if path.is_root() {
        return Err(Errno::EINVAL);
    }
    let mut tx = call.tx.take();
    let gone = server.remove_below(&mut tx, call.caller, &path);
    call.tx = tx;
    for (path, event, witnesses) in gone? {
        server.announce(call, &path, event, &witnesses);
    }
    ok()
}

/// A node that is to be removed, with its parent's permissions if that is to be removed, too.
type Walked = (Path, Node, Option<Rights>);

/// A removed node: what watches are told, and the permissions of it and its parent.
type Gone = (Path, Event, [Rights; 2]);

impl Server {
    fn parent_exists(&mut self, call: &mut Call<'_>, path: &Path) -> Result<(), Errno> {
        let parent = path.parent().ok_or(Errno::ENOENT)?;
        let found = self.store.look(&mut call.tx, call.caller, &parent)?;
        found.map(|_| ()).ok_or(Errno::ENOENT)
    }

    /// Removes a node of the tree whose owner is gone.
    pub(in crate::engine) fn remove_tree(&mut self, path: &Path) {
        let caller = Caller {
            domain: 0,
            target: None,
            privileged: true,
        };
        let gone = self.remove_below(&mut None, caller, path);
        for (path, event, witnesses) in gone.unwrap_or_default() {
            self.fire(&path, event, &witnesses, None);
        }
    }

    /// Removes a node that is there, and all below it, the lowest first.
    fn remove_below(
        &mut self,
        tx: &mut Option<Transaction>,
        caller: Caller,
        path: &Path,
    ) -> Result<Vec<Gone>, Errno> {
        let above = path.parent().ok_or(Errno::EINVAL)?;
        let parent = self.store.look(tx, caller, &above)?;
        let mut parent = parent.ok_or(Errno::EINVAL)?;
        let nodes = self.walk(tx, caller, path)?;
        let mut gone = Vec::with_capacity(nodes.len());
        for (at, node, rights_above) in nodes {
            let top = at == *path;
            let event = if top { Event::Upwards } else { Event::Exact };
            if top {
                parent.children.remove(node.position, at.name());
            }
            let above = rights_above.unwrap_or_else(|| parent.rights());
            self.store.set(tx, caller, &at, None);
            gone.push((at, event, [node.rights(), above]));
        }
        self.store.set(tx, caller, &above, Some(parent));
        Ok(gone)
    }

    /// A node and all below it, the lowest first and siblings in their order, each with its parent's permissions (except the first node's).
    fn walk(
        &mut self,
        tx: &mut Option<Transaction>,
        caller: Caller,
        path: &Path,
    ) -> Result<Vec<Walked>, Errno> {
        let mut done = Vec::new();
        // Nodes whose children are not all done; each is the parent of the next.
        let mut open: Vec<(usize, Walked)> = Vec::new();
        let mut rest = vec![(0, path.clone())];
        while let Some((depth, path)) = rest.pop() {
            // What a transaction's list of children names may be gone by now. Then the transaction conflicts.
            let Some(node) = self.store.look(tx, caller, &path)? else {
                continue;
            };
            while let Some((_, walked)) = open.pop_if(|(above, _)| *above >= depth) {
                done.push(walked);
            }
            let above = open.last().map(|(_, (_, node, _))| node.rights());
            let names: Vec<&str> = node.children.iter().collect();
            rest.extend(names.iter().rev().map(|name| (depth + 1, path.child(name))));
            open.push((depth, (path, node, above)));
        }
        done.extend(open.into_iter().rev().map(|(_, walked)| walked));
        Ok(done)
    }

    /// Tells watches that a node changed: now, or when the transaction is committed. `witnesses` are permissions that let see it besides those
    /// it has now, and its parent.
    pub(super) fn announce(
        &mut self,
        call: &mut Call<'_>,
        path: &Path,
        event: Event,
        witnesses: &[Rights],
    ) {
        if let Some(tx) = &mut call.tx {
            return tx.announce(path, event);
        }
        let now = [Some(path), path.parent().as_ref()].map(|path| self.store.get(path?));
        let now = now.into_iter().flatten().map(Node::rights);
        let witnesses: Vec<Rights> = witnesses.iter().cloned().chain(now).collect();
        self.fire(path, event, &witnesses, call.request);
    }
}

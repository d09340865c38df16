//! Finding a node for a request, and reading it.

use super::{Answer, Call, arguments};
use crate::Errno;
use crate::engine::node::Node;
use crate::engine::quota::Item;
use crate::engine::rights::Needs;
use crate::engine::server::Server;
use crate::path::Path;

impl Server {
    /// The path an argument names.
    pub(super) fn path(&mut self, call: &Call<'_>, text: &[u8]) -> Result<Path, Errno> {
        let path = Path::resolve(text, &call.home).ok_or(Errno::EINVAL)?;
        let len = path.relative_len() as u64;
        if !call.caller.privileged && len > self.store.quotas.limit(Item::PathMax) {
            return Err(Errno::EINVAL);
        }
        self.store
            .domains
            .saw(call.caller.domain, Item::PathMax, len);
        Ok(path)
    }

    /// The path of a node in the tree an argument names, not of a special watch.
    pub(super) fn node_path(&mut self, call: &Call<'_>, text: &[u8]) -> Result<Path, Errno> {
        let path = self.path(call, text)?;
        if path.is_special() {
            return Err(Errno::EINVAL);
        }
        Ok(path)
    }

    /// The node of a path, if the caller has the rights. Of a node that is not there only those may know that who have them on the nearest one
    /// above it: they get `ENOENT`, others `EACCES`.
    pub(super) fn find(
        &mut self,
        call: &mut Call<'_>,
        path: &Path,
        needs: Needs,
    ) -> Result<Node, Errno> {
        let found = self.store.look(&mut call.tx, call.caller, path)?;
        let Some(node) = found else {
            let (tx, caller) = (&mut call.tx, call.caller);
            return match self.store.allowed_above(tx, caller, path, needs)? {
                true => Err(Errno::ENOENT),
                false => Err(Errno::EACCES),
            };
        };
        match node
            .rights()
            .of(call.caller, &self.store.domains)
            .cover(needs)
        {
            true => Ok(node),
            false => Err(Errno::EACCES),
        }
    }
}

/// `READ`
pub fn read(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let path = server.node_path(call, arguments::only(call.payload)?)?;
    let node = server.find(call, &path, Needs::READ)?;
    Ok(node.value.to_vec())
}

//! Limits of what a domain may use of the store. They hold for domains without privilege.

/// What is limited.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Item {
    /// Nodes a domain owns.
    Nodes,
    /// Watches of a domain. As in xenstored, the limit is looked at before a watch is added, so that one more than it fits.
    Watches,
    /// Requests of a domain whose answer, or whose events for others, have not been taken yet. Above it the domain is not read from.
    Outstanding,
    /// Bytes of nodes, transactions, watches and pending messages of a domain. Above it the domain is not read from.
    Memory,
    /// Transactions a domain has open. As with watches, one more fits.
    Transactions,
    /// Nodes looked at in a transaction.
    TransactionNodes,
    /// Permissions of a node.
    NodePermissions,
    /// Bytes of a path below the domain's home.
    PathMax,
    /// Bytes of a node: see [`Node::size`](super::node::Node::size).
    NodeSize,
}

/// How many items there are.
pub const ITEMS: usize = 9;

struct Row {
    item: Item,
    name: &'static str,
    about: &'static str,
    limit: u64,
}

const ROWS: [Row; ITEMS] = [
    row(Item::Nodes, "nodes", "Nodes owned by a domain", 1000),
    row(Item::Watches, "watches", "Watches of a domain", 128),
    row(
        Item::Outstanding,
        "outstanding",
        "Requests of a domain in flight",
        20,
    ),
    row(
        Item::Memory,
        "memory",
        "Bytes used by a domain (error level)",
        2560 << 10,
    ),
    row(
        Item::Transactions,
        "transactions",
        "Transactions a domain has open",
        10,
    ),
    row(
        Item::TransactionNodes,
        "transaction-nodes",
        "Nodes accessed in a transaction",
        1024,
    ),
    row(
        Item::NodePermissions,
        "node-permissions",
        "Permissions of a node",
        5,
    ),
    row(Item::PathMax, "path-max", "Bytes of a node's path", 2048),
    row(Item::NodeSize, "node-size", "Bytes of a node", 2048),
];

const fn row(item: Item, name: &'static str, about: &'static str, limit: u64) -> Row {
    Row {
        item,
        name,
        about,
        limit,
    }
}

impl Item {
    /// All, in the order in which they are shown.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.item)
    }

    /// As `xenstore-control quota` calls it.
    pub fn name(self) -> &'static str {
        ROWS[self as usize].name
    }

    /// The item of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|item| item.name() == name)
    }

    /// What it limits, in words.
    pub fn about(self) -> &'static str {
        ROWS[self as usize].about
    }
}

/// The limits in force. Where a limit of 0 makes sense at all (memory), it is none.
#[derive(Clone, Debug)]
pub struct Quotas {
    limits: [u64; ITEMS],
    /// Bytes of memory above which a warning is due.
    pub soft_memory: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        let limits = ROWS.map(|row| row.limit);
        let soft_memory = 2 << 20;
        Self {
            limits,
            soft_memory,
        }
    }
}

impl Quotas {
    /// The limit of an item.
    pub fn limit(&self, item: Item) -> u64 {
        self.limits[item as usize]
    }

    /// Sets the limit of an item.
    pub fn set(&mut self, item: Item, limit: u64) {
        self.limits[item as usize] = limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_where_their_item_says() {
        for (i, item) in Item::all().enumerate() {
            assert_eq!(item as usize, i);
            assert_eq!(Item::named(item.name()), Some(item));
        }
    }
}

//! The requests: one row for each, with who may send it and whether it can be part of a transaction.

mod arguments;
mod control;
mod directory;
mod domain;
mod lookup;
mod permissions;
mod remove;
mod transaction;
mod watch;
mod write;

use super::ConnectionId;
use super::host::Host;
use super::requests_held::RequestId;
use super::rights::Caller;
use super::server::Server;
use super::transaction::Transaction;
use super::watches::Token;
use crate::Errno;
use crate::path::Path;
use crate::wire::MessageType;

/// A request that is being handled.
pub struct Call<'a> {
    /// Whose.
    pub connection: ConnectionId,
    /// Who that is.
    pub caller: Caller,
    /// What its relative paths are below.
    pub home: Path,
    /// As what it is counted.
    pub request: Option<RequestId>,
    /// The transaction it is part of. Taken out of the connection meanwhile; what is left here is put back.
    pub tx: Option<Transaction>,
    /// The number of that transaction.
    pub tx_id: u32,
    /// The arguments.
    pub payload: &'a [u8],
    /// An event to be sent to the caller after the answer.
    pub first_event: Option<(String, Token)>,
    /// The surroundings.
    pub host: &'a mut dyn Host,
}

/// What a request gives: the payload of the answer.
type Answer = Result<Vec<u8>, Errno>;

/// A request.
pub struct Row {
    /// Only for the privileged.
    pub privileged: bool,
    /// Its transaction number means something.
    pub in_transaction: bool,
    /// What it does.
    pub run: fn(&mut Server, &mut Call<'_>) -> Answer,
}

/// The answer of requests that have nothing to say.
fn ok() -> Answer {
    Ok(b"OK\0".to_vec())
}

/// The row of a request. `None`: there is no such request.
pub fn row(kind: MessageType) -> Option<Row> {
    type Kind = MessageType;
    let (privileged, in_transaction, run): (bool, bool, fn(&mut Server, &mut Call<'_>) -> Answer) =
        match kind {
            Kind::CONTROL => (true, true, control::run),
            Kind::DIRECTORY => (false, true, directory::whole),
            Kind::READ => (false, true, lookup::read),
            Kind::GET_PERMS => (false, true, permissions::get),
            Kind::WATCH => (false, false, watch::watch),
            Kind::UNWATCH => (false, false, watch::unwatch),
            Kind::TRANSACTION_START => (false, true, transaction::start),
            Kind::TRANSACTION_END => (false, true, transaction::end),
            Kind::INTRODUCE => (true, true, domain::introduce),
            Kind::RELEASE => (true, true, domain::release),
            Kind::GET_DOMAIN_PATH => (false, true, domain::path),
            Kind::WRITE => (false, true, write::write),
            Kind::MKDIR => (false, true, write::mkdir),
            Kind::RM => (false, true, remove::run),
            Kind::SET_PERMS => (false, true, permissions::set),
            Kind::IS_DOMAIN_INTRODUCED => (true, true, domain::is_introduced),
            Kind::RESUME => (true, true, domain::resume),
            Kind::SET_TARGET => (true, true, domain::set_target),
            Kind::RESET_WATCHES => (false, true, watch::reset),
            Kind::DIRECTORY_PART => (false, true, directory::part),
            _ => return None,
        };
    Some(Row {
        privileged,
        in_transaction,
        run,
    })
}

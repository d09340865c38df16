//! Where in the store a console's terminal is named.

use std::str::FromStr;

use xenctl::DomId;
use xenstore::{Access, Tx, exists};

/// Kinds of consoles.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the PV protocol.
    Pv,
    /// An emulated serial port, of guests that have one; the PV console of others.
    Serial,
    /// An emulated UART of Arm guests.
    Vuart,
}

/// A kind of console that there is not.
#[derive(Debug, thiserror::Error)]
#[error("Invalid type argument\nConsole types supported are: serial, pv, vuart")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        match name {
            "pv" => Ok(Self::Pv),
            "serial" => Ok(Self::Serial),
            "vuart" => Ok(Self::Vuart),
            _ => Err(UnknownKind),
        }
    }
}

/// The node that names the terminal of a console.
pub fn path(
    store: &dyn Access,
    domain: DomId,
    kind: Kind,
    number: u32,
) -> xenstore::Result<String> {
    let home = store.domain_path(domain.0)?;
    let serial = format!("{home}/serial/{number}/tty");
    Ok(match kind {
        Kind::Serial if exists(store, Tx::NONE, &serial)? => serial,
        Kind::Serial | Kind::Pv if number == 0 => format!("{home}/console/tty"),
        Kind::Serial | Kind::Pv => format!("{home}/device/console/{number}/tty"),
        Kind::Vuart => format!("{home}/vuart/0/tty"),
    })
}

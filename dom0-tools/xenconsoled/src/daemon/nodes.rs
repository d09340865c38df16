//! What the store says about a guest's console.

use xenctl::DomId;
use xenstore::{Access, Tx, read_optional};

/// Where a guest's console is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Frame of the page, should it not be granted.
    pub gfn: u64,
    /// The guest's event channel.
    pub port: u32,
}

/// The directory of a guest's console.
pub fn console_path(domain: DomId) -> String {
    format!("/local/domain/{domain}/console")
}

/// The place of a guest's console. `None`: there is none yet, or it is for somebody else (`type` names the program).
pub fn place(store: &dyn Access, domain: DomId) -> xenstore::Result<Option<Place>> {
    let read = |name: &str| read_node(store, domain, name);
    let kind = read("type")?;
    if kind.is_some_and(|kind| kind != "xenconsoled") {
        return Ok(None);
    }
    let gfn = read("ring-ref")?.and_then(|text| number(&text));
    let port = read("port")?.and_then(|text| number(&text)?.try_into().ok());
    Ok(gfn.zip(port).map(|(gfn, port)| Place { gfn, port }))
}

/// How many bytes may wait for the guest's terminal, if its console says so.
pub fn limit(store: &dyn Access, domain: DomId) -> xenstore::Result<Option<usize>> {
    let limit = read_node(store, domain, "limit")?.and_then(|text| number(&text));
    Ok(limit.and_then(|limit| limit.try_into().ok()))
}

/// Tells where the guest's terminal is.
pub fn announce(store: &dyn Access, domain: DomId, terminal: &str) -> xenstore::Result<()> {
    let path = format!("{}/tty", console_path(domain));
    store.write(Tx::NONE, &path, terminal.as_bytes())
}

/// The guest's name.
pub fn name(store: &dyn Access, domain: DomId) -> xenstore::Result<Option<String>> {
    let name = read_optional(store, Tx::NONE, &format!("/local/domain/{domain}/name"))?;
    Ok(name.filter(|name| !name.is_empty()))
}

fn read_node(store: &dyn Access, domain: DomId, name: &str) -> xenstore::Result<Option<String>> {
    let path = format!("{}/{name}", console_path(domain));
    read_optional(store, Tx::NONE, &path)
}

/// A number, decimal or with `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

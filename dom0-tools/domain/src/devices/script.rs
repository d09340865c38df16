//! How hotplug scripts are called: arguments and environment as libxl gives them.

use std::path::Path;

use xenstore::{Access, Result, Tx};

use super::host::ScriptCall;
use super::nodes::read_text;
use super::paths::{DeviceId, Kind};

/// What a script is called for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The device comes.
    Add,
    /// The device goes.
    Remove,
}

/// The call of `script` for a device of `domain`, whose back end is at `back`.
pub fn call(
    store: &dyn Access,
    script: &Path,
    action: Action,
    kind: &Kind,
    domain: u16,
    id: DeviceId,
    back: &str,
) -> Result<ScriptCall> {
    let name = kind.name();
    let mut environment = vec![
        ("script", script.display().to_string()),
        ("XENBUS_TYPE", name.to_owned()),
        (
            "XENBUS_PATH",
            format!("backend/{name}/{domain}/{}", id.number()),
        ),
        ("XENBUS_BASE_PATH", "backend".to_owned()),
    ];
    if *kind == Kind::Vif {
        let gateway = read_text(store, Tx::NONE, &format!("{back}/gatewaydev"))?;
        environment.push(("netdev", gateway.unwrap_or_default()));
        environment.push(("vif", link_name(domain, id)));
    }
    let arguments: &[&str] = match (kind, action) {
        (Kind::Vif, Action::Add) => &["online", "type_if=vif"],
        (Kind::Vif, Action::Remove) => &["offline", "type_if=vif"],
        (_, Action::Add) => &["add"],
        (_, Action::Remove) => &["remove"],
    };
    Ok(ScriptCall {
        path: script.to_owned(),
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        environment,
    })
}

/// What netback calls its end of an interface.
pub fn link_name(domain: u16, id: DeviceId) -> String {
    format!("vif{domain}.{}", id.number())
}

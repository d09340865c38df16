//! A network interface as a configuration asks for it.

use std::path::PathBuf;

use super::{MacAddress, Rate};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vif {
    /// Its number; by default the next free one.
    pub id: Option<u32>,
    /// Its address in the guest; by default a random one of Xen's.
    pub mac: Option<MacAddress>,
    /// The bridge it is connected to; by default `xenbr0`. Empty: the first bridge there is.
    pub bridge: Option<String>,
    /// Its name in dom0; by default `vif<domain>.<number>`.
    pub name: Option<String>,
    /// The guest's addresses: only recorded, for scripts.
    pub ip: Option<String>,
    /// The dom0 interface that scripts route through.
    pub gateway_device: Option<String>,
    /// Largest packet; by default the bridge's.
    pub mtu: Option<u32>,
    /// VLAN settings for scripts.
    pub vlan: Option<String>,
    /// Limit of what the guest sends.
    pub rate: Option<Rate>,
    /// A hotplug script in place of what is done here, absolute or below `/etc/xen/scripts`.
    pub script: Option<PathBuf>,
    /// Whether the guest may trust the back end; by default yes.
    pub is_trusted: bool,
    /// The domain that serves the interface.
    pub backend: u16,
}

impl Default for Vif {
    fn default() -> Self {
        Self {
            id: None,
            mac: None,
            bridge: None,
            name: None,
            ip: None,
            gateway_device: None,
            mtu: None,
            vlan: None,
            rate: None,
            script: None,
            is_trusted: true,
            backend: 0,
        }
    }
}

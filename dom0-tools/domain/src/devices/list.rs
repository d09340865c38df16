//! What the store says of a domain's devices: the columns of `xl block-list` and `xl network-list`.
//!
//! The front end's directory is the guest's: what is there may be anything, and is read as numbers as far as it goes.

use xenstore::{Access, Result as StoreResult, Tx};

use super::error::Result;
use super::nodes::read_text;
use super::paths::{BackPath, DeviceId, Kind, front_path, record_directory};
use super::{Devices, MacAddress, VirtualDisk};

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskState {
    /// Which one.
    pub vdev: VirtualDisk,
    /// The domain that serves it.
    pub backend: u16,
    /// The domain it belongs to: the column `handle`.
    pub domain: u16,
    /// The front end's state; −1 if it says none.
    pub state: i64,
    /// The front end's event channel, or −1.
    pub event_channel: i64,
    /// The front end's ring, or −1.
    pub ring_ref: i64,
    /// The back end's directory.
    pub back_path: String,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VifState {
    /// Its number, also the column `handle`.
    pub number: u32,
    /// The domain that serves it.
    pub backend: u16,
    /// Its address.
    pub mac: MacAddress,
    /// The front end's state; −1 if it says none.
    pub state: i64,
    /// The front end's event channel, or −1.
    pub event_channel: i64,
    /// The front end's ring to send, or −1.
    pub tx_ring_ref: i64,
    /// The front end's ring to receive, or −1.
    pub rx_ring_ref: i64,
    /// The back end's directory.
    pub back_path: String,
}

impl Devices<'_> {
    /// A domain's disks, as the tools recorded them.
    pub fn disks(&self, domain: u16) -> Result<Vec<DiskState>> {
        let mut disks = Vec::new();
        for (number, back_path, path) in self.recorded(domain, &Kind::Vbd)? {
            let front = Front::new(self.store, domain, &Kind::Vbd, number);
            disks.push(DiskState {
                vdev: VirtualDisk(number),
                backend: path.backend,
                domain,
                state: front.number("state")?,
                event_channel: front.number("event-channel")?,
                ring_ref: front.number("ring-ref")?,
                back_path,
            });
        }
        Ok(disks)
    }

    /// A domain's network interfaces, as the tools recorded them.
    pub fn vifs(&self, domain: u16) -> Result<Vec<VifState>> {
        let mut vifs = Vec::new();
        for (number, back_path, path) in self.recorded(domain, &Kind::Vif)? {
            let record = format!("{}/{number}", record_directory(domain, &Kind::Vif));
            let mac = read_text(self.store, Tx::NONE, &format!("{record}/mac"))?;
            let front = Front::new(self.store, domain, &Kind::Vif, number);
            vifs.push(VifState {
                number,
                backend: path.backend,
                mac: mac.and_then(|mac| mac.parse().ok()).unwrap_or_default(),
                state: front.number("state")?,
                event_channel: front.number("event-channel")?,
                tx_ring_ref: front.number("tx-ring-ref")?,
                rx_ring_ref: front.number("rx-ring-ref")?,
                back_path,
            });
        }
        Ok(vifs)
    }

    /// The interface with this address.
    pub fn vif_with_mac(&self, domain: u16, mac: MacAddress) -> Result<Option<DeviceId>> {
        let vifs = self.vifs(domain)?;
        let found = vifs.iter().find(|vif| vif.mac == mac);
        Ok(found.map(|vif| DeviceId::Vif(vif.number)))
    }

    /// Number, back end's directory and that taken apart.
    fn recorded(&self, domain: u16, kind: &Kind) -> StoreResult<Vec<(u32, String, BackPath)>> {
        let directory = record_directory(domain, kind);
        let names = match self.store.list(Tx::NONE, &directory) {
            Err(error) if error.is_not_found() => Vec::new(),
            result => result?,
        };
        let mut devices = Vec::new();
        for number in names.iter().filter_map(|name| name.parse().ok()) {
            let path = format!("{directory}/{number}/backend");
            let back = read_text(self.store, Tx::NONE, &path)?;
            let parsed = back.as_deref().and_then(BackPath::parse);
            devices.extend(
                back.zip(parsed)
                    .map(|(back, parsed)| (number, back, parsed)),
            );
        }
        Ok(devices)
    }
}

/// A front end's directory.
struct Front<'a> {
    store: &'a dyn Access,
    path: String,
}

impl<'a> Front<'a> {
    fn new(store: &'a dyn Access, domain: u16, kind: &Kind, number: u32) -> Self {
        let path = front_path(domain, kind, number);
        Self { store, path }
    }

    /// The digits a node begins with, as C reads them: 0 if there are none, −1 if there is no node.
    fn number(&self, name: &str) -> StoreResult<i64> {
        let value = match self.store.read(Tx::NONE, &format!("{}/{name}", self.path)) {
            Err(error) if error.is_not_found() => return Ok(-1),
            result => result?,
        };
        let digits = value
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .take(10);
        Ok(digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }
}

//! Virtual network interfaces, xl-network-configuration(5).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::json::{Json, JsonError, names, record};
use crate::network::MacAddress;

names! {
    /// What the guest sees.
    NicType, "an interface type" {
        /// Not said: by the domain's type.
        #[default]
        Unknown = "unknown",
        /// An emulated card beside the paravirtual one.
        VifIoemu = "vif_ioemu",
        /// Only the paravirtual interface.
        Vif = "vif",
    }
}

record! {
    /// libxl's `device_nic`.
    Nic {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`: the back end's domain by name or number.
        backend_domname: Option<String>,
        /// `devid=`, else the place in the list.
        devid: Option<u32>,
        /// `mtu=` in bytes; 0: not said.
        mtu: i32,
        /// `vlan=`, handed to the script.
        vlan: Option<String>,
        /// `model=`: the emulated card.
        model: Option<String>,
        /// `mac=`; all zero: not said (see [`MacAddress::generate`]).
        mac: MacAddress,
        /// `ip=`: addresses the guest may use, handed to the script.
        ip: Option<String>,
        /// `bridge=`
        bridge: Option<String>,
        /// `vifname=`: the back end's interface name.
        ifname: Option<String>,
        /// `script=`
        script: Option<String>,
        /// `type=`
        nictype: NicType,
        /// `rate=`: bytes let through in each interval; 0: no limit.
        rate_bytes_per_interval: u64,
        /// `rate=`: length of the interval in microseconds.
        rate_interval_usecs: u32,
        /// `gatewaydev=`, handed to the script.
        gatewaydev: Option<String>,
        /// Settings of COLO replication, [`COLO_KEYS`].
        colo: Colo,
        /// `trusted` or `untrusted`: whether the guest trusts the back end.
        trusted: Option<bool>,
    }
}

/// The COLO members of an interface in libxl's order.
pub const COLO_KEYS: &[&str] = &[
    "coloft_forwarddev",
    "colo_sock_mirror_id",
    "colo_sock_mirror_ip",
    "colo_sock_mirror_port",
    "colo_sock_compare_pri_in_id",
    "colo_sock_compare_pri_in_ip",
    "colo_sock_compare_pri_in_port",
    "colo_sock_compare_sec_in_id",
    "colo_sock_compare_sec_in_ip",
    "colo_sock_compare_sec_in_port",
    "colo_sock_compare_notify_id",
    "colo_sock_compare_notify_ip",
    "colo_sock_compare_notify_port",
    "colo_sock_redirector0_id",
    "colo_sock_redirector0_ip",
    "colo_sock_redirector0_port",
    "colo_sock_redirector1_id",
    "colo_sock_redirector1_ip",
    "colo_sock_redirector1_port",
    "colo_sock_redirector2_id",
    "colo_sock_redirector2_ip",
    "colo_sock_redirector2_port",
    "colo_filter_mirror_queue",
    "colo_filter_mirror_outdev",
    "colo_filter_redirector0_queue",
    "colo_filter_redirector0_indev",
    "colo_filter_redirector0_outdev",
    "colo_filter_redirector1_queue",
    "colo_filter_redirector1_indev",
    "colo_filter_redirector1_outdev",
    "colo_compare_pri_in",
    "colo_compare_sec_in",
    "colo_compare_out",
    "colo_compare_notify_dev",
    "colo_sock_sec_redirector0_id",
    "colo_sock_sec_redirector0_ip",
    "colo_sock_sec_redirector0_port",
    "colo_sock_sec_redirector1_id",
    "colo_sock_sec_redirector1_ip",
    "colo_sock_sec_redirector1_port",
    "colo_filter_sec_redirector0_queue",
    "colo_filter_sec_redirector0_indev",
    "colo_filter_sec_redirector0_outdev",
    "colo_filter_sec_redirector1_queue",
    "colo_filter_sec_redirector1_indev",
    "colo_filter_sec_redirector1_outdev",
    "colo_filter_sec_rewriter0_queue",
    "colo_checkpoint_host",
    "colo_checkpoint_port",
];

/// COLO settings of an interface: the index of a key in [`COLO_KEYS`] and its text. They stand beside the other members in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Colo(pub BTreeMap<usize, String>);

impl Json for Colo {
    fn to_json(&self) -> Value {
        let mut record = Map::new();
        self.write_member("", &mut record);
        Value::Object(record)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let record = value
            .as_object()
            .ok_or_else(|| JsonError::new("an object", value))?;
        Self::read_member("", record)
    }

    fn is_initial(&self) -> bool {
        self.0.is_empty()
    }

    fn write_member(&self, _key: &str, record: &mut Map<String, Value>) {
        for (index, text) in &self.0 {
            if let Some(key) = COLO_KEYS.get(*index) {
                record.insert((*key).to_owned(), Value::from(text.as_str()));
            }
        }
    }

    fn read_member(_key: &str, record: &Map<String, Value>) -> Result<Self, JsonError> {
        let mut settings = BTreeMap::new();
        for (index, key) in COLO_KEYS.iter().enumerate() {
            if let Some(text) = Option::<String>::read_member(key, record)? {
                settings.insert(index, text);
            }
        }
        Ok(Colo(settings))
    }
}

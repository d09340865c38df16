//! `xl network-attach`, `xl network-list` and `xl network-detach`.

use domain::devices::{DeviceId, Force, MacAddress, VifState};
use serde_json::{Value, json};
use xenctl::DomId;

use super::Ignored;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::parse::number;
use crate::{configuration, device, say, select};

/// An interface for a domain.
#[derive(clap::Args, Debug)]
pub struct Attach {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// As in a configuration's `vif`, each in a word: mac=, bridge=, ip=, script=, backend=, vifname=, rate=, mtu= ...
    #[arg(value_name = "setting=value")]
    words: Vec<String>,
}

/// Whose interfaces to list.
#[derive(clap::Args, Debug)]
pub struct List {
    /// Names or numbers.
    #[arg(value_name = "Domain", required = true)]
    domains: Vec<String>,
}

/// Which interface to take.
#[derive(clap::Args, Debug)]
pub struct Detach {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// Its number, or its address.
    #[arg(value_name = "DevId|mac")]
    device: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Attach {
    /// Attaches it, or with `-N` says what.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let nic = configuration::nic(context, &self.words)?;
        if context.globals.dry_run {
            let text = domcfg::pretty(&configuration::nic_json(&nic));
            say!(context, "vif: {text}\n");
            return Ok(());
        }
        let attached = device::attach_nic(context, domain, &nic);
        let id = attached.or_fail("libxl_device_nic_add failed.")?;
        context.done(&json!({ "domid": domain.0, "device": id.to_string() }));
        Ok(())
    }
}

impl List {
    /// Lists them.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        if !context.json() {
            say!(context, "{}\n", header());
        }
        let mut all = Vec::new();
        for word in &self.domains {
            let domain = select::domain(context, word)?;
            let vifs = device::devices(context)?.vifs(domain.0)?;
            if context.json() {
                all.extend(vifs.iter().map(|vif| as_json(domain, vif)));
            } else {
                vifs.iter().for_each(|vif| say!(context, "{}\n", line(vif)));
            }
        }
        if context.json() {
            context.output.print_json(&all);
        }
        Ok(())
    }
}

fn header() -> String {
    format!(
        "{:<3} {:<2} {:<17} {:<6} {:<5} {:<6} {:>5}/{:<5} {:<30}",
        "Idx", "BE", "Mac Addr.", "handle", "state", "evt-ch", "tx-", "rx-ring-ref", "BE-path"
    )
}

fn line(vif: &VifState) -> String {
    format!(
        "{:<3} {:<2} {}{:>6} {:>5} {:>6} {:>5}/{:<11} {:<30}",
        vif.number,
        vif.backend,
        vif.mac,
        vif.number,
        vif.state,
        vif.event_channel,
        vif.tx_ring_ref,
        vif.rx_ring_ref,
        vif.back_path
    )
}

fn as_json(domain: DomId, vif: &VifState) -> Value {
    json!({
        "domid": domain.0, "devid": vif.number, "backend": vif.backend, "mac": vif.mac.to_string(),
        "state": vif.state, "event_channel": vif.event_channel, "tx_ring_ref": vif.tx_ring_ref,
        "rx_ring_ref": vif.rx_ring_ref, "path": vif.back_path,
    })
}

impl Detach {
    /// Detaches it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let vif = self.find(context, domain)?;
        let vif = vif.ok_or_else(|| Failure::said(format!("Unknown device {}.", self.device)))?;
        let detached = device::detach(context, domain, DeviceId::Vif(vif.number), Force::AfterTime);
        detached.or_fail("libxl_device_nic_del failed.")?;
        context.done(&json!({ "domid": domain.0, "devid": vif.number }));
        Ok(())
    }

    fn find(&self, context: &Context, domain: DomId) -> anyhow::Result<Option<VifState>> {
        let mut vifs = device::devices(context)?.vifs(domain.0)?.into_iter();
        if self.device.contains(':') {
            let wanted: Option<MacAddress> = self.device.parse().ok();
            return Ok(vifs.find(|vif| Some(vif.mac) == wanted));
        }
        let wanted = number::lenient(&self.device);
        Ok(vifs.find(|vif| i64::from(vif.number) == wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_xl() {
        assert_eq!(
            header(),
            "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       "
        );
        let vif = VifState {
            number: 0,
            backend: 0,
            mac: "00:16:3e:00:00:0a".parse().expect("an address"),
            state: 4,
            event_channel: -1,
            tx_ring_ref: -1,
            rx_ring_ref: -1,
            back_path: "/local/domain/0/backend/vif/2/0".into(),
        };
        assert_eq!(
            line(&vif),
            "0   0  00:16:3e:00:00:0a     0     4     -1    -1/-1          /local/domain/0/backend/vif/2/0"
        );
    }
}

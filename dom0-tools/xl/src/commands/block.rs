//! `xl block-attach`, `xl block-list` and `xl block-detach`.

use domain::devices::{DeviceId, DiskState, Force};
use serde_json::{Value, json};

use super::Ignored;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::{complain, configuration, device, say, select};

/// A disk for a domain.
#[derive(clap::Args, Debug)]
pub struct Attach {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// As in a configuration's `disk`, in one or several words.
    #[arg(value_name = "disk-spec-component", required = true)]
    words: Vec<String>,
}

/// Whose disks to list.
#[derive(clap::Args, Debug)]
pub struct List {
    /// Names or numbers.
    #[arg(value_name = "Domain", required = true)]
    domains: Vec<String>,
}

/// Which disk to take.
#[derive(clap::Args, Debug)]
pub struct Detach {
    /// Do not wait for the domain to release it
    #[arg(short = 'f', long)]
    force: bool,
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// As the guest calls it, or its number.
    #[arg(value_name = "DevId")]
    disk: String,
    #[command(flatten)]
    ignored: Ignored,
}

fn no_domain(word: &str) -> Failure {
    Failure::said(format!("{word} is an invalid domain identifier"))
}

impl Attach {
    /// Attaches it, or with `-N` says what.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::try_domain(context, &self.domain)?;
        let domain = domain.ok_or_else(|| no_domain(&self.domain))?;
        let disk = configuration::disk(&self.words)?;
        if context.globals.dry_run {
            let text = domcfg::pretty(&configuration::disk_json(&disk));
            say!(context, "disk: {text}\n");
            return Ok(());
        }
        let attached = device::attach_disk(context, domain, &disk);
        let id = attached.or_fail("libxl_device_disk_add failed.")?;
        context.done(&json!({ "domid": domain.0, "device": id.to_string() }));
        Ok(())
    }
}

impl List {
    /// Lists them. A domain there is not is reported, but does not make the command fail.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        if !context.json() {
            say!(context, "{}\n", header());
        }
        let mut all = Vec::new();
        for word in &self.domains {
            let Some(domain) = select::try_domain(context, word)? else {
                complain!(context, "{}\n", no_domain(word));
                continue;
            };
            let disks = device::devices(context)?.disks(domain.0)?;
            if context.json() {
                all.extend(disks.iter().map(as_json));
            } else {
                disks
                    .iter()
                    .for_each(|disk| say!(context, "{}\n", line(disk)));
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
        "{:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {:<30}",
        "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path"
    )
}

fn line(disk: &DiskState) -> String {
    format!(
        "{:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {:<30}",
        disk.vdev.0,
        disk.backend,
        disk.domain,
        disk.state,
        disk.event_channel,
        disk.ring_ref,
        disk.back_path
    )
}

fn as_json(disk: &DiskState) -> Value {
    json!({
        "domid": disk.domain, "vdev": disk.vdev.0, "backend": disk.backend, "state": disk.state,
        "event_channel": disk.event_channel, "ring_ref": disk.ring_ref, "path": disk.back_path,
    })
}

impl Detach {
    /// Detaches it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let missing = || format!("Error: Device {} not connected.", self.disk);
        let vdev = self
            .disk
            .parse()
            .map_err(anyhow::Error::new)
            .or_fail(missing())?;
        let devices = device::devices(context)?;
        let found = devices
            .disks(domain.0)?
            .into_iter()
            .find(|disk| disk.vdev == vdev);
        let disk = found.ok_or_else(|| Failure::said(missing()))?;
        let (force, verb) = if self.force {
            (Force::Now, "destroy")
        } else {
            (Force::Never, "safe_remove")
        };
        let detached = device::detach(context, domain, DeviceId::Disk(disk.vdev), force);
        detached.or_fail(format!("libxl_device_disk_{verb} failed."))?;
        context.done(&json!({ "domid": domain.0, "vdev": disk.vdev.0 }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::devices::VirtualDisk;

    #[test]
    fn lines_are_those_of_xl() {
        assert_eq!(
            header(),
            "Vdev  BE  handle state evt-ch ring-ref BE-path                       "
        );
        let disk = DiskState {
            vdev: VirtualDisk(51712),
            backend: 0,
            domain: 2,
            state: 4,
            event_channel: -1,
            ring_ref: -1,
            back_path: "/local/domain/0/backend/vbd/2/51712".into(),
        };
        assert_eq!(
            line(&disk),
            "51712 0   2      4     -1     -1       /local/domain/0/backend/vbd/2/51712"
        );
    }
}

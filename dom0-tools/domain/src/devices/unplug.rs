//! Dom0's part of a device's end: loop devices, bridges, scripts.

use std::path::Path;
use std::time::Duration;

use xenstore::{Result as StoreResult, Tx};

use super::error::{Error, Result};
use super::nodes::read_text;
use super::paths::Kind;
use super::plan::{BLOCK_SCRIPT, BRIDGE_SCRIPT};
use super::remove::{Doomed, children};
use super::script::{Action, call, link_name};
use super::task::SCRIPT_LIMIT;
use super::{Devices, bridge};

/// Between two looks whether a script has ended.
const SCRIPT_PAUSE: Duration = Duration::from_millis(5);

impl Devices<'_> {
    /// Dom0's part of the end. Failures are reported and do not keep the device.
    pub(super) fn end_hotplug(&self, device: &Doomed) {
        let done = match (device.backend, &device.kind) {
            (0, Kind::Vbd) => self.end_disk(device),
            (0, Kind::Vif) => self.end_vif(device),
            _ => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!("{}: {error}", device.id);
        }
    }

    fn end_disk(&self, device: &Doomed) -> Result<()> {
        let read = |name: &str| {
            read_text(
                self.store,
                Tx::NONE,
                &format!("{}/{name}", device.paths.back),
            )
        };
        match read("script")? {
            Some(script) if script != BLOCK_SCRIPT => return self.run_script(device, &script),
            _ => {}
        }
        let (Some(node), Some(file)) = (read("node")?, read("params")?) else {
            return Ok(());
        };
        let file = Path::new(&file);
        let failed = |action| {
            let (device, what) = (device.id.to_string(), node.clone());
            move |source| Error::Host {
                device,
                action,
                what,
                source,
            }
        };
        let is_there = self
            .host
            .is_loop_of(&node, file)
            .map_err(failed("look at"))?;
        if is_there && !self.is_used_by_others(device, &node)? {
            self.host
                .release_loop(&node, file)
                .map_err(failed("release"))?;
        }
        Ok(())
    }

    /// Whether a later disk got the same loop device, after this one's was released by somebody else.
    fn is_used_by_others(&self, device: &Doomed, node: &str) -> StoreResult<bool> {
        const BACK_ENDS: &str = "/local/domain/0/backend/vbd";
        for domain in children(self.store, BACK_ENDS)? {
            for disk in children(self.store, &format!("{BACK_ENDS}/{domain}"))? {
                let back = format!("{BACK_ENDS}/{domain}/{disk}");
                let other = read_text(self.store, Tx::NONE, &format!("{back}/node"))?;
                if back != device.paths.back && other.as_deref() == Some(node) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn end_vif(&self, device: &Doomed) -> Result<()> {
        let read = |name: &str| {
            read_text(
                self.store,
                Tx::NONE,
                &format!("{}/{name}", device.paths.back),
            )
        };
        match read("script")? {
            Some(script) if script != BRIDGE_SCRIPT => return self.run_script(device, &script),
            _ => {}
        }
        let name = match read("vifname")? {
            Some(name) if !name.is_empty() => name,
            _ => link_name(device.domain, device.id),
        };
        bridge::disconnect(self.host, &name).map_err(|source| Error::Host {
            device: device.id.to_string(),
            action: "take from its bridge",
            what: name,
            source,
        })
    }

    fn run_script(&self, device: &Doomed, script: &str) -> Result<()> {
        let failed = |reason: String| Error::Script {
            device: device.id.to_string(),
            script: script.into(),
            reason,
        };
        let call = call(
            self.store,
            Path::new(script),
            Action::Remove,
            &device.kind,
            device.domain,
            device.id,
            &device.paths.back,
        )?;
        let mut running = self
            .host
            .start_script(&call)
            .map_err(|error| failed(error.to_string()))?;
        let deadline = self.host.now() + SCRIPT_LIMIT;
        while self.host.now() < deadline {
            match running.ended() {
                Ok(Some(end)) => return end.map_err(failed),
                Ok(None) => drop(self.host.next_event(self.store, SCRIPT_PAUSE)?),
                Err(error) => return Err(failed(error.to_string())),
            }
        }
        running.kill();
        Err(failed(format!(
            "it did not end within {} s",
            SCRIPT_LIMIT.as_secs()
        )))
    }
}

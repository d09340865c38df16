//! Memory for a new domain: dom0 gives some where xl.conf lets it and the host has too little.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::lifecycle::Request;
use rustix::fs::{FlockOperation, fcntl_lock};
use xenctl::{DomId, Hypervisor};
use xenstore::Tx;

use super::FAILED;
use crate::commands::memory::{Enforce, fill_dom0, set_target};
use crate::context::Context;
use crate::failure::Failure;
use crate::progress::Progress;

/// What a domain needs beside its memory and its page tables, in KiB.
const EXTRA: u64 = 2048;
/// Domains get memory in units of 2 MiB.
const UNIT: u64 = 2048;
/// How long dom0 may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long dom0 may make no progress.
const STANDSTILL: Duration = Duration::from_secs(10);
/// How often dom0 is looked at.
const STEP: Duration = Duration::from_millis(200);

/// Frees memory for a domain; the lock file stays locked as long as the result lives. `None` where dom0 keeps its memory.
pub fn free(context: &Context, request: &Request) -> anyhow::Result<Option<File>> {
    let xen = context.xen()?;
    if !context.settings().autoballoons(xen) {
        return Ok(None);
    }
    let lock = lock(&context.settings().lock_file)?;
    let needed = needed(xen, request)?;
    let start = Instant::now();
    let _progress = Progress::of("Waiting for dom0's memory");
    loop {
        let host = xen.physinfo()?;
        let free = host
            .free_pages
            .saturating_add(host.scrub_pages)
            .saturating_mul(4);
        if free >= needed {
            return Ok(Some(lock));
        }
        if start.elapsed() >= PATIENCE {
            return Err(too_little());
        }
        shrink_dom0(context, needed.saturating_sub(free))
            .map_err(|error| error.context(failure()))?;
    }
}

fn failure() -> Failure {
    Failure::with_code(FAILED, "failed to free memory for the domain")
}

fn too_little() -> anyhow::Error {
    anyhow::anyhow!("dom0 gave too little in {} seconds", PATIENCE.as_secs()).context(failure())
}

fn needed(xen: &dyn Hypervisor, request: &Request) -> anyhow::Result<u64> {
    let plan = &request.plan;
    let hap = xen.physinfo()?.capabilities & xen_abi::sysctl::XEN_SYSCTL_PHYSCAP_HAP != 0;
    let paging = plan
        .paging_kib
        .unwrap_or_else(|| plan.default_paging_kib(plan.hap.unwrap_or(hap)));
    let sum = plan.memory_kib.saturating_add(paging).saturating_add(EXTRA);
    Ok(sum.div_ceil(UNIT).saturating_mul(UNIT))
}

/// Asks dom0 for so many KiB, and waits as long as it makes progress.
fn shrink_dom0(context: &Context, missing: u64) -> anyhow::Result<()> {
    let (xen, store) = (context.xen()?, context.store()?);
    fill_dom0(xen, store)?;
    let target = xenstore::read_string(store, Tx::NONE, "/local/domain/0/memory/target")?;
    let target: u64 = target.parse().context("dom0's target is no number")?;
    let target = target.saturating_sub(missing);
    set_target(xen, store, DomId::DOM0, target, Enforce::No)?;
    let mut least = u64::MAX;
    let mut progress = Instant::now();
    loop {
        let info = xen.domain(DomId::DOM0)?;
        let used = info
            .tot_pages
            .saturating_add(info.outstanding_pages)
            .saturating_mul(4);
        if used <= target {
            return Ok(());
        }
        if used < least {
            (least, progress) = (used, Instant::now());
        }
        anyhow::ensure!(
            progress.elapsed() < STANDSTILL,
            "dom0 does not give the memory it was asked for"
        );
        sleep(STEP);
    }
}

/// A lock on the whole file, as xl takes it; it ends with the process at the latest.
fn lock(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o200)
        .open(path);
    let file = file.map_err(|error| {
        let number = error.raw_os_error().unwrap_or(0);
        let message = format!("cannot open the lockfile {} errno={number}", path.display());
        anyhow::Error::new(error).context(Failure::with_code(FAILED, message))
    })?;
    loop {
        match fcntl_lock(&file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                let number = error.raw_os_error();
                let message = format!("cannot acquire lock {} errno={number}", path.display());
                return Err(anyhow::Error::new(error).context(Failure::with_code(FAILED, message)));
            }
            Ok(()) => return Ok(file),
        }
    }
}

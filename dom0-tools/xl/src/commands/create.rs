//! `xl create`: makes a domain from a configuration, lets it run, and leaves a process behind that watches over it.

mod console;
mod daemon;
pub mod memory;

use std::path::{Path, PathBuf};

use domain::lifecycle::{Error, Request};
use domcfg::DomainConfig;
use domcfg::cpus::CpuSet;
use serde_json::json;
use xenctl::DomId;

use super::monitor;
use crate::cli::usage;
use crate::configuration::{self, Source};
use crate::context::Context;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::settings::DomidPolicy;
use crate::{complain, life, say};

/// Exit code where libxl says `ERROR_FAIL`.
const FAILED: u8 = 3;
/// Exit code where libxl says `ERROR_INVAL`.
const INVALID: u8 = 6;
/// What to make, and how.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Connect to the console
    #[arg(short = 'c')]
    console: bool,
    /// Print the configuration to standard error
    #[arg(short = 'd')]
    debug: bool,
    /// Leave no process behind to watch over the domain
    #[arg(short = 'e')]
    exit: bool,
    /// Watch over the domain in the foreground
    #[arg(short = 'F')]
    foreground: bool,
    /// Read this file
    #[arg(short = 'f', long, value_name = "FILE", allow_hyphen_values = true)]
    defconfig: Option<PathBuf>,
    /// Only print the configuration
    #[arg(short = 'n', long)]
    dryrun: bool,
    /// Leave the domain paused
    #[arg(short = 'p')]
    paused: bool,
    /// Say less
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Show the screen: PVH domains have none
    #[arg(short = 'V', long)]
    vncviewer: bool,
    /// Show the screen: PVH domains have none
    #[arg(short = 'A', long)]
    vncviewer_autopass: bool,
    /// Ignore the masks in xl.conf
    #[arg(short = 'i', long)]
    ignore_global_affinity_masks: bool,
    /// A file, and settings that are added to it.
    #[arg(value_name = "ConfigFile|setting=value")]
    words: Vec<String>,
}

impl Arguments {
    /// Makes it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let mut config = self.config(context)?;
        let is_dry = self.dryrun || context.globals.dry_run;
        if is_dry {
            say!(context, "{}", domcfg::pretty(&config.to_libxl_json()));
            return Ok(());
        }
        if self.debug {
            complain!(context, "{}", domcfg::pretty(&config.to_libxl_json()));
        }
        if self.vncviewer || self.vncviewer_autopass {
            complain!(
                context,
                "xl: a PVH domain has no screen: -V and -A are ignored\n"
            );
        }
        number(context, &mut config)?;
        let domain = make(context, &config, self.quiet)?;
        context.done(&json!({ "domid": domain.0, "name": config.c_info.name }));
        self.let_run(context, domain, config)
    }

    fn config(&self, context: &Context) -> anyhow::Result<DomainConfig> {
        let Ok(source) = Source::of(self.defconfig.as_ref(), &self.words) else {
            say!(context, "{}", usage::one("create"));
            return Err(Failure::with_code(Failure::USAGE, "").into());
        };
        let Some(path) = source.file else {
            let message = "Config file not specified and none in save file";
            return Err(Failure::with_code(INVALID, message).into());
        };
        let text = if path == Path::new("/dev/null") {
            Vec::new()
        } else {
            configuration::read(&path, FAILED)?
        };
        let name = path.display().to_string();
        if !self.quiet {
            complain!(context, "Parsing config from {name}\n");
        }
        let mut config = configuration::domain(context, &name, &text, &source.overrides)?;
        if !self.ignore_global_affinity_masks {
            mask(context, &mut config)?;
        }
        Ok(config)
    }

    /// Unpauses the domain, connects to its console and sees to it that somebody watches over it, as far as wanted.
    fn let_run(
        &self,
        context: &Context,
        domain: DomId,
        config: DomainConfig,
    ) -> anyhow::Result<()> {
        context.output.flush();
        let is_followed_here = self.foreground && !self.exit;
        let toolstack = life::toolstack(context)?;
        if self.console && !is_followed_here {
            let watched = if self.exit {
                Ok(())
            } else {
                daemon::start(domain, &config)
            };
            let connected = console::attach(context, domain, self.paused);
            return watched.and(connected);
        }
        let console = self.console.then(|| console::spawn(domain)).transpose()?;
        if !self.paused {
            toolstack.unpause(domain)?;
        }
        if is_followed_here {
            monitor::follow(context, domain, config)?;
        } else if !self.exit {
            daemon::start(domain, &config)?;
        }
        if let Some(mut console) = console {
            console.wait()?;
        }
        Ok(())
    }
}

/// Creates the domain, after dom0 gave it memory where it must.
fn make(context: &Context, config: &DomainConfig, quiet: bool) -> anyhow::Result<DomId> {
    let failed = |error: Error| Failure::because_code(FAILED, error);
    let toolstack = life::toolstack(context)?;
    let request: Request = toolstack.request(config).map_err(failed)?;
    // Held until the domain has its memory: two tools at once must not count on the same free pages.
    let _lock = memory::free(context, &request)?;
    let name = config.c_info.name.as_deref().unwrap_or_default();
    let _progress = (!quiet).then(|| Progress::of(format!("Creating {name}")));
    toolstack.create(&request).map_err(failed)
}

/// Chooses the domain's number where xl.conf says that the hypervisor should not.
fn number(context: &Context, config: &mut DomainConfig) -> anyhow::Result<()> {
    let is_chosen = matches!(config.c_info.domid, 1..=0x7fef);
    if !is_chosen && context.settings().domid_policy == DomidPolicy::Random {
        config.c_info.domid = random_domid()?;
    }
    Ok(())
}

fn random_domid() -> anyhow::Result<u32> {
    let [high, low, ..] = configuration::random_uuid()?;
    Ok(1 + u32::from(u16::from_be_bytes([high, low])) % 0x7fef)
}

/// Keeps virtual processors where xl.conf allows them.
fn mask(context: &Context, config: &mut DomainConfig) -> anyhow::Result<()> {
    if !context.settings().has_cpu_masks() {
        return Ok(());
    }
    let xen = context.xen()?;
    let Some(allowed) = context.settings().allowed_cpus(xen)? else {
        return Ok(());
    };
    let allowed: CpuSet = allowed.iter().collect();
    let build = &mut config.b_info;
    if build.vcpu_hard_affinity.is_empty() {
        let count = usize::try_from(build.max_vcpus).unwrap_or(0);
        build.vcpu_hard_affinity = vec![allowed; count];
        return Ok(());
    }
    for affinity in &mut build.vcpu_hard_affinity {
        *affinity = affinity
            .iter()
            .filter(|cpu| allowed.contains(*cpu))
            .collect();
        anyhow::ensure!(
            !affinity.is_empty(),
            Failure::said("vcpu hard affinity map is empty")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Lab, refused};

    #[test]
    fn a_file_is_needed() {
        let lab = Lab::new();
        assert_eq!(
            lab.xl("create"),
            refused(6, "Config file not specified and none in save file")
        );
        assert_eq!(
            lab.xl("create /nonexistent.cfg"),
            refused(
                3,
                "Failed to read config file: /nonexistent.cfg: No such file or directory"
            )
        );
        assert_eq!(lab.xl("create a.cfg b.cfg").code, 2);
    }

    #[test]
    fn a_dry_run_prints_the_configuration() {
        let lab = Lab::new();
        let ran = lab.xl(
            "create -q -n /dev/null 'name=\"inline\"' 'type=\"pvh\"' 'kernel=\"/k\"' memory=64",
        );
        assert_eq!((ran.err.as_str(), ran.code), ("", 0));
        assert!(
            ran.out.starts_with(
                "{\n    \"c_info\": {\n        \"type\": \"pvh\",\n        \"name\": \"inline\","
            ),
            "{}",
            ran.out
        );
        assert!(ran.out.ends_with("\n}\n"), "{}", ran.out);
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        let lab = Lab::new();
        let ran = lab.xl("create -q -n /dev/null 'memory=lots'");
        assert_eq!(ran.code, 1);
        assert!(ran.err.starts_with("command line:1:"), "{}", ran.err);
        assert!(
            ran.err
                .ends_with("\nFailed to parse config: Invalid argument"),
            "{}",
            ran.err
        );
    }

    #[test]
    fn a_domain_is_made_recorded_and_left_paused() {
        let lab = Lab::new();
        lab.kernel.add_file("/tmp/alpha.img", true);
        let path = lab.config(
            "alpha",
            "disk=[\"format=raw,vdev=xvda,access=rw,target=/tmp/alpha.img\"]\nvif=[\"bridge=xenbr0,mac=00:16:3e:00:00:0a\"]",
        );
        let ran = lab.xl(&format!("create -p -e {path}"));
        assert_eq!(
            (ran.err, ran.code),
            (format!("Parsing config from {path}"), 0)
        );
        assert_eq!(lab.xen.pause_count(xenctl::DomId(1)), Some(1));
        let ran = lab.xl("list -l alpha");
        let listed: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
        let config = &listed[0]["config"];
        assert_eq!(config["c_info"]["name"], "alpha");
        assert_eq!(config["b_info"]["target_memkb"], 65536);
        assert_eq!(config["disks"][0]["vdev"], "xvda");
        assert_eq!(config["nics"][0]["mac"], "00:16:3e:00:00:0a");
        assert_eq!(config["b_info"]["sched_params"]["weight"], 256);
        assert_eq!(lab.xl("unpause alpha"), crate::testing::printed(""));
        assert_eq!(lab.xl("destroy alpha").code, 0);
    }

    #[test]
    fn a_second_domain_of_the_name_is_refused_and_leaves_nothing() {
        let lab = Lab::new();
        let path = lab.config("alpha", "");
        assert_eq!(lab.xl(&format!("create -q -e {path}")).code, 0);
        assert_eq!(lab.xl(&format!("create -q -e {path}")), refused(3, ""));
        assert_eq!(lab.xl("list").out.lines().count(), 3);
    }

    #[test]
    fn a_missing_kernel_is_refused_and_leaves_nothing() {
        let lab = Lab::new();
        let path = lab.config("alpha", "kernel=\"/nonexistent\"");
        assert_eq!(lab.xl(&format!("create -q -e {path}")), refused(3, ""));
        assert_eq!(lab.xl("list").out.lines().count(), 2);
    }

    #[test]
    fn masks_of_xl_conf_hold_for_new_domains() {
        let mut lab = Lab::new();
        lab.settings = crate::settings::Settings::of_text("xl.conf", b"vm.cpumask=\"2-3\"\n").0;
        let path = lab.config("alpha", "vcpus=2\ncpus=\"1-2\"");
        assert_eq!(lab.xl(&format!("create -q -p -e {path}")).code, 0);
        let ran = lab.xl("vcpu-list alpha");
        assert!(
            ran.out
                .lines()
                .skip(1)
                .all(|line| line.ends_with("  2 / all")),
            "{}",
            ran.out
        );
        let path = lab.config("beta", "cpus=\"0\"");
        assert_eq!(
            lab.xl(&format!("create -q -p -e {path}")),
            refused(1, "vcpu hard affinity map is empty")
        );
    }

    #[test]
    fn a_restart_follows_in_the_foreground_and_looks_for_memory_again() {
        let mut lab = Lab::new();
        lab.settings.lock_file = lab.file("lock", b"").into();
        let path = lab.config("alpha", "on_reboot=\"restart\"\non_poweroff=\"destroy\"");
        let guest = {
            let lab = lab.clone();
            std::thread::spawn(move || {
                for reason in [1, 0] {
                    end_next(&lab, reason);
                }
            })
        };
        let ran = lab.xl(&format!("create -q -F {path}"));
        guest.join().expect("guest");
        assert_eq!(ran.code, 0, "{}", ran.err);
        for line in [
            "Action for shutdown reason code 1 is restart",
            "Done. Rebooting now",
            "Action for shutdown reason code 0 is destroy",
            "Done. Exiting now",
        ] {
            assert!(ran.err.contains(line), "{line}: {}", ran.err);
        }
        assert_eq!(lab.xl("list").out.lines().count(), 2);
        // Whoever makes room for a domain takes it.
        assert!(lab.settings.lock_file.exists());
    }

    /// Waits for a domain that runs, and shuts it down.
    fn end_next(lab: &Lab, reason: u32) {
        use xen_abi::domctl::{XEN_DOMINF_DYING, XEN_DOMINF_PAUSED, XEN_DOMINF_SHUTDOWN};
        use xenctl::{DomId, Hypervisor};
        let stopped = XEN_DOMINF_DYING | XEN_DOMINF_PAUSED | XEN_DOMINF_SHUTDOWN;
        for _ in 0..1000 {
            let domains = lab.xen.domains().expect("domains");
            let running = domains
                .iter()
                .find(|info| info.domain != 0 && info.flags & stopped == 0);
            if let Some(info) = running {
                // It was taken for this one, and is gone unless it is for the next.
                if reason == 1 {
                    std::fs::remove_file(&lab.settings.lock_file).expect("a lock");
                }
                lab.xen
                    .guest_shuts_down(DomId(info.domain), reason)
                    .expect("shut down");
                let state = xenstore::engine::DomainState::Shutdown;
                lab.store.set_domain(info.domain, state);
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

//! Configurations that cannot be built: what libxl 4.20 refuses for a PVH guest, in its words where it has some, and what needs a part that these
//! tools do not have. A guest that asks for such a thing must not run without it.

use domcfg::DomainConfig;
use domcfg::model::{Altp2mMode, BuildInfo, DomainType, GuestInfo, Passthrough};

use super::error::{Error, Result};

/// Checks what does not depend on the host.
///
/// # Errors
/// [`Error::Config`].
pub fn check(config: &DomainConfig) -> Result<()> {
    let reasons = [
        kind(config),
        passthrough(config),
        memory(&config.b_info),
        booting(&config.b_info),
        name(config),
    ];
    match reasons.into_iter().flatten().next() {
        Some(reason) => Err(Error::Config(reason.to_owned())),
        None => Ok(()),
    }
}

fn kind(config: &DomainConfig) -> Option<&'static str> {
    match config.c_info.domain_type {
        DomainType::Pvh => None,
        DomainType::Pv | DomainType::Invalid => {
            Some("type=\"pv\" is not supported: use type=\"pvh\", which runs the same kernels")
        }
        DomainType::Hvm => {
            Some("type=\"hvm\" is not supported yet: use type=\"pvh\" for guests that can")
        }
    }
}

/// `pci=`, `dtdev=` and `passthrough=`. Without devices the default mode is the one without.
fn passthrough(config: &DomainConfig) -> Option<&'static str> {
    let has_devices = !config.pcidevs.is_empty() || !config.dtdevs.is_empty();
    match (config.c_info.passthrough, has_devices) {
        (Passthrough::Default | Passthrough::Disabled, false) => None,
        (Passthrough::Disabled, true) => Some("passthrough disabled but devices are specified"),
        _ => Some("passthrough not yet supported for x86 PVH guests"),
    }
}

fn memory(build: &BuildInfo) -> Option<&'static str> {
    let grows = build.target_memkb.is_some() && build.target_memkb < build.max_memkb;
    if !build.vnuma_nodes.is_empty() {
        return Some("vnuma= is not supported");
    }
    if !build.llc_colors.is_empty() {
        return Some("llc_colors=: LLC coloring not enabled in the hypervisor");
    }
    if build.altp2m == Altp2mMode::Disabled {
        return None;
    }
    if build.nested_hvm == Some(true) {
        return Some("nestedhvm and altp2m cannot be used together");
    }
    grows.then_some("Cannot enable PoD and ALTP2M at the same time")
}

fn booting(build: &BuildInfo) -> Option<&'static str> {
    if matches!(&build.u, GuestInfo::Pvh(info) if info.pvshim == Some(true)) {
        return Some("pvshim= is not supported: use the guest's kernel as a PVH kernel");
    }
    // It would choose another kernel than the one that is configured beside it.
    let is_set = build.bootloader.is_some();
    is_set.then_some("bootloader= is not supported: give kernel= and ramdisk=")
}

fn name(config: &DomainConfig) -> Option<&'static str> {
    match config.c_info.name.as_deref() {
        None | Some("") => Some("a domain needs a name: name= is missing"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DomainConfig {
        let mut config = DomainConfig::default();
        config.c_info.domain_type = DomainType::Pvh;
        config.c_info.name = Some("a".into());
        config
    }

    fn refusal(change: impl FnOnce(&mut DomainConfig)) -> String {
        let mut config = config();
        change(&mut config);
        check(&config).unwrap_err().to_string()
    }

    #[test]
    fn plain_guest_is_not_refused() {
        check(&config()).unwrap();
    }

    #[test]
    fn devices_of_the_host_are_refused_as_libxl_does() {
        let asked = refusal(|config| config.c_info.passthrough = Passthrough::Enabled);
        assert_eq!(asked, "passthrough not yet supported for x86 PVH guests");
        let device = refusal(|config| config.pcidevs.push(Default::default()));
        assert_eq!(device, asked);
        let contradiction = refusal(|config| {
            config.c_info.passthrough = Passthrough::Disabled;
            config.dtdevs.push(Default::default());
        });
        assert_eq!(
            contradiction,
            "passthrough disabled but devices are specified"
        );
    }

    #[test]
    fn alternate_tables_go_neither_with_nesting_nor_with_memory_on_demand() {
        let altp2m = |more: fn(&mut BuildInfo)| {
            refusal(|config| {
                config.b_info.altp2m = Altp2mMode::External;
                more(&mut config.b_info);
            })
        };
        let nested = altp2m(|build| build.nested_hvm = Some(true));
        assert_eq!(nested, "nestedhvm and altp2m cannot be used together");
        let grows =
            altp2m(|build| (build.target_memkb, build.max_memkb) = (Some(1024), Some(2048)));
        assert_eq!(grows, "Cannot enable PoD and ALTP2M at the same time");
    }

    #[test]
    fn boot_loader_beside_a_kernel_is_refused_too() {
        let asked = refusal(|config| {
            config.b_info.kernel = Some("/boot/vmlinuz".into());
            config.b_info.bootloader = Some("pygrub".into());
        });
        assert!(asked.starts_with("bootloader="), "{asked}");
    }
}

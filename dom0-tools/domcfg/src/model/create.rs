//! What the domain is: type, name, identity, pool.

use crate::identity::Uuid;
use crate::json::{names, record};

names! {
    /// How the guest runs.
    DomainType, "a domain type" {
        /// Not said.
        #[default]
        Invalid = "invalid",
        /// Hardware-assisted with an emulated machine.
        Hvm = "hvm",
        /// Classic paravirtual.
        Pv = "pv",
        /// Hardware-assisted without an emulated machine.
        Pvh = "pvh",
    }
}

names! {
    /// Whether devices of the host may be passed through.
    Passthrough, "a passthrough mode" {
        /// libxl decides by the devices listed.
        #[default]
        Default = "default",
        /// No device, ever.
        Disabled = "disabled",
        /// Yes; how is up to libxl.
        Enabled = "enabled",
        /// Yes, with IOMMU tables of their own.
        SyncPt = "sync_pt",
        /// Yes, the IOMMU uses the guest's second-level tables.
        SharePt = "share_pt",
    }
}

record! {
    /// libxl's `domain_create_info`.
    CreateInfo {
        /// `type=`
        domain_type as "type": DomainType,
        /// `hap=`: second-level paging by hardware.
        hap: Option<bool>,
        /// `oos=`: out-of-sync shadow pages.
        oos: Option<bool>,
        /// Security identifier as a number; a label takes its place in files.
        ssidref: u32,
        /// `seclabel=`, or `init_seclabel=` where both are given.
        ssid_label: Option<String>,
        /// `name=`
        name: Option<String>,
        /// Domain id to use; 0 for any.
        domid: u32,
        /// `uuid=`; nil if none was given (see [`Uuid::generate`]).
        uuid: Uuid,
        /// Nodes to write below the domain's store path.
        xsdata: Vec<(String, Option<String>)>,
        /// Nodes to write below the domain's `platform` path.
        platformdata: Vec<(String, Option<String>)>,
        /// The pool's number; unused when `pool_name` is set.
        poolid: u32,
        /// `pool=`: name of the CPU pool.
        pool_name: Option<String>,
        /// Whether the toolstack, rather than udev, runs hotplug scripts.
        run_hotplug_scripts: Option<bool>,
        /// `driver_domain=`: the domain serves devices to others.
        driver_domain: Option<bool>,
        /// `passthrough=`
        passthrough: Passthrough,
        /// `xend_suspend_evtchn_compat=`
        xend_suspend_evtchn_compat: Option<bool>,
    }
}

//! `HYPERVISOR_xen_version`: what hypervisor this is. One file per kind of answer.
//!
//! Arguments: operation, pointer. Semantics: xen/include/public/version.h. Every domain may ask everything but the command line and the
//! build id, which Xen keeps for privileged domains: there the old operation answers others with `<denied>`, the new ones with `EPERM`.

pub mod facts;
pub mod features;
pub mod guest_handle;
pub mod plain;
pub mod text;
pub mod varbuf;

use xen_abi::version as abi;

use super::{Needs, Row};

/// The operations.
pub static ROWS: &[Row] = &[
    row(abi::XENVER_VERSION, "XENVER_version", plain::version),
    row(
        abi::XENVER_EXTRAVERSION,
        "XENVER_extraversion",
        text::extraversion,
    ),
    row(
        abi::XENVER_COMPILE_INFO,
        "XENVER_compile_info",
        text::compile_info,
    ),
    row(
        abi::XENVER_CAPABILITIES,
        "XENVER_capabilities",
        text::capabilities,
    ),
    row(abi::XENVER_CHANGESET, "XENVER_changeset", text::changeset),
    row(
        abi::XENVER_PLATFORM_PARAMETERS,
        "XENVER_platform_parameters",
        plain::platform_parameters,
    ),
    row(
        abi::XENVER_GET_FEATURES,
        "XENVER_get_features",
        features::run,
    ),
    row(abi::XENVER_PAGESIZE, "XENVER_pagesize", plain::page_size),
    row(
        abi::XENVER_GUEST_HANDLE,
        "XENVER_guest_handle",
        guest_handle::run,
    ),
    row(
        abi::XENVER_COMMANDLINE,
        "XENVER_commandline",
        text::command_line,
    ),
    Row {
        op: abi::XENVER_BUILD_ID,
        name: "XENVER_build_id",
        needs: Needs::Control,
        run: varbuf::build_id,
    },
    row(
        abi::XENVER_EXTRAVERSION2,
        "XENVER_extraversion2",
        varbuf::extraversion,
    ),
    row(
        abi::XENVER_CAPABILITIES2,
        "XENVER_capabilities2",
        varbuf::capabilities,
    ),
    row(
        abi::XENVER_CHANGESET2,
        "XENVER_changeset2",
        varbuf::changeset,
    ),
    Row {
        op: abi::XENVER_COMMANDLINE2,
        name: "XENVER_commandline2",
        needs: Needs::Control,
        run: varbuf::command_line,
    },
];

const fn row(op: u32, name: &'static str, run: super::Handler) -> Row {
    Row {
        op,
        name,
        needs: Needs::Nothing,
        run,
    }
}

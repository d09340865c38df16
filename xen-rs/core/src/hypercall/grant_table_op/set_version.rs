//! `GNTTABOP_set_version`: choose the entry format of the caller's table.

use xen_abi::errno::Errno;
use xen_abi::grant_table::GnttabSetVersion;

use super::super::{Call, Outcome};

/// Says which format is in force, also where it refuses another. Only format 1 exists; see [`crate::grant`].
///
/// # Errors
/// `EINVAL` for a format nobody knows, `ENOSYS` for format 2, `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let wanted: GnttabSetVersion = call.fetch(at)?;
    let version = call.domain.grants.version();
    call.store(at, &GnttabSetVersion { version })?;
    match wanted.version {
        1 => Ok(Outcome::OK),
        2 => Err(Errno::ENOSYS),
        _ => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::grant_table::{GNTTABOP_GET_VERSION, GNTTABOP_SET_VERSION, GnttabGetVersion};

    use super::*;
    use crate::grant::testing::Pair;
    use crate::ids::Domid;

    #[test]
    fn format_2_is_refused_so_that_guests_stay_with_format_1() {
        let pair = Pair::new();
        for (wanted, answer) in [
            (1, Ok(0)),
            (2, Err(Errno::ENOSYS)),
            (0, Err(Errno::EINVAL)),
            (3, Err(Errno::EINVAL)),
        ] {
            let (rc, ops) = pair.run(
                GNTTABOP_SET_VERSION,
                &[GnttabSetVersion { version: wanted }],
            );
            assert_eq!((rc, ops[0].version), (answer, 1));
        }
    }

    #[test]
    fn version_of_another_domain_needs_privilege() {
        let pair = Pair::new();
        let ask = |caller, dom| {
            let op = GnttabGetVersion {
                dom,
                ..Default::default()
            };
            let (rc, ops) = pair.run_as(
                caller,
                crate::hypercall::Width::Bits64,
                GNTTABOP_GET_VERSION,
                &[op],
            );
            rc.map(|_| ops[0].version)
        };
        assert_eq!(ask(&pair.mapper, pair.granter.id.0), Ok(1));
        assert_eq!(ask(&pair.granter, Domid::SELF.0), Ok(1));
        assert_eq!(ask(&pair.granter, 0), Err(Errno::EPERM));
        assert_eq!(ask(&pair.granter, 55), Err(Errno::ESRCH));
    }
}

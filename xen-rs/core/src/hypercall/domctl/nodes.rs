//! `XEN_DOMCTL_setnodeaffinity` and `getnodeaffinity`. All memory counts as one node, number 0.

use xen_abi::domctl::DomctlNodeaffinity;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::framed::Copyback;
use crate::hypercall::{Call, bitmap};

/// Nodes that Xen can count (`MAX_NUMNODES`).
const MAX_NODES: u32 = 64;

/// Accepts any choice that the one node is part of.
///
/// # Errors
/// `EINVAL` for nodes that do not exist only, or none at all, `EFAULT`.
pub fn set(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlNodeaffinity = frame.payload.get();
    let nodes = bitmap::fetch(call, &asked.nodemap, MAX_NODES)?;
    if nodes[0] & 1 == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Copyback::Nothing)
}

/// Reports node 0.
///
/// # Errors
/// `EFAULT`.
pub fn get(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlNodeaffinity = frame.payload.get();
    bitmap::store(call, &asked.nodemap, &1u64.to_le_bytes(), MAX_NODES)?;
    Ok(Copyback::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;
    use xen_abi::domctl::{XEN_DOMCTL_GETNODEAFFINITY, XEN_DOMCTL_SETNODEAFFINITY};
    use xen_abi::xen::CtlBitmap;

    #[test]
    fn there_is_one_node_and_every_choice_with_it_is_it() {
        let (fake, dom0, _) = machine();
        let nodemap = bitmap(0, 128);
        fake.put(&dom0, BUFFER, &[u64::MAX; 3]);
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_SETNODEAFFINITY,
            1,
            &DomctlNodeaffinity { nodemap },
        );
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_GETNODEAFFINITY,
            1,
            &DomctlNodeaffinity { nodemap },
        );
        assert_eq!(fake.get::<[u64; 3]>(&dom0, BUFFER), [1, 0, u64::MAX]);
        let none = CtlBitmap {
            nr_bits: 0,
            ..nodemap
        };
        let refused = fails(
            &fake,
            &dom0,
            XEN_DOMCTL_SETNODEAFFINITY,
            1,
            &DomctlNodeaffinity { nodemap: none },
        );
        assert_eq!(refused, Errno::EINVAL);
        fake.put(&dom0, BUFFER, &[!1u64; 2]);
        let others = DomctlNodeaffinity { nodemap };
        let refused = fails(&fake, &dom0, XEN_DOMCTL_SETNODEAFFINITY, 1, &others);
        assert_eq!(refused, Errno::EINVAL);
        let huge = CtlBitmap {
            nr_bits: u32::MAX,
            ..nodemap
        };
        let _ = try_on(
            &fake,
            &dom0,
            XEN_DOMCTL_GETNODEAFFINITY,
            1,
            &DomctlNodeaffinity { nodemap: huge },
        );
    }
}

//! `XEN_DOMCTL_max_mem`, `shadow_op`, `get_paging_mempool_size`, `set_paging_mempool_size`.
//!
//! Tables of a domain's map come from the machine's free frames. The size of the paging pool sets nothing aside: it is how many of them a
//! guest may have.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::ids::{PAGE_SHIFT, PAGE_SIZE};

/// Sets the limit of the domain's memory. A limit below what it has only keeps it from growing.
///
/// # Errors
/// None.
pub fn max_mem(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlMaxMem = frame.payload.get();
    let pages = (asked.max_memkb >> (PAGE_SHIFT - 10)).min(u64::from(u32::MAX));
    frame.domain.memory.limit.store(pages, SeqCst);
    Ok(Copyback::Nothing)
}

/// Reads the size of the paging pool in bytes.
///
/// # Errors
/// None.
pub fn get_pool(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    frame.payload.put(&DomctlPagingMempool {
        size: frame.domain.memory.paging_pool_bytes.load(SeqCst),
    });
    Ok(Copyback::Frame)
}

/// Sets it.
///
/// # Errors
/// `EINVAL` for parts of a page, or more pages than 32 bits count.
pub fn set_pool(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let DomctlPagingMempool { size } = frame.payload.get();
    if !size.is_multiple_of(PAGE_SIZE as u64) || u32::try_from(size >> PAGE_SHIFT).is_err() {
        return Err(Errno::EINVAL);
    }
    frame.domain.memory.paging_pool_bytes.store(size, SeqCst);
    Ok(Copyback::Nothing)
}

/// The older way to the paging pool, in MiB. Written pages are not tracked, so that live migration is refused at its first step.
///
/// # Errors
/// `EINVAL` for the caller itself, a dying domain, one without vCPUs, and an unknown operation; `EOPNOTSUPP` for tracking.
pub fn shadow_op(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    if domain.is_dying() || domain.vcpus().is_empty() {
        return Err(Errno::EINVAL);
    }
    let mut shadow: DomctlShadowOp = frame.payload.get();
    let pool = &domain.memory.paging_pool_bytes;
    match shadow.op {
        XEN_DOMCTL_SHADOW_OP_OFF => {}
        XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION => {}
        XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION => pool.store(u64::from(shadow.mb) << 20, SeqCst),
        XEN_DOMCTL_SHADOW_OP_ENABLE
        | XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY
        | XEN_DOMCTL_SHADOW_OP_CLEAN
        | XEN_DOMCTL_SHADOW_OP_PEEK => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    }
    if shadow.op != XEN_DOMCTL_SHADOW_OP_OFF {
        let megabytes = pool.load(SeqCst).div_ceil(1 << 20);
        shadow.mb = u32::try_from(megabytes).unwrap_or(u32::MAX);
        frame.payload.put(&shadow);
    }
    Ok(Copyback::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;

    #[test]
    fn limit_is_in_pages_and_fits_32_bits() {
        let (fake, dom0, guest) = machine();
        for (max_memkb, pages) in [
            (0, 0),
            (7, 1),
            (1 << 20, 1 << 18),
            (u64::MAX, u64::from(u32::MAX)),
        ] {
            done(
                &fake,
                &dom0,
                XEN_DOMCTL_MAX_MEM,
                1,
                &DomctlMaxMem { max_memkb },
            );
            assert_eq!(guest.memory.limit.load(SeqCst), pages);
        }
    }

    #[test]
    fn pool_size_is_remembered() {
        let (fake, dom0, _) = machine();
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_SET_PAGING_MEMPOOL_SIZE,
            1,
            &DomctlPagingMempool { size: 5 << 20 },
        );
        let read = done(
            &fake,
            &dom0,
            XEN_DOMCTL_GET_PAGING_MEMPOOL_SIZE,
            1,
            &DomctlPagingMempool::default(),
        );
        assert_eq!(read.size, 5 << 20);
        for size in [1, 4095, 1 << 44, u64::MAX] {
            let refused = fails(
                &fake,
                &dom0,
                XEN_DOMCTL_SET_PAGING_MEMPOOL_SIZE,
                1,
                &DomctlPagingMempool { size },
            );
            assert_eq!(refused, Errno::EINVAL);
        }
        let get = DomctlShadowOp {
            op: XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION,
            ..DomctlShadowOp::default()
        };
        assert_eq!(done(&fake, &dom0, XEN_DOMCTL_SHADOW_OP, 1, &get).mb, 5);
        let set = DomctlShadowOp {
            op: XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION,
            mb: u32::MAX,
            ..DomctlShadowOp::default()
        };
        assert_eq!(
            done(&fake, &dom0, XEN_DOMCTL_SHADOW_OP, 1, &set).mb,
            u32::MAX
        );
    }

    #[test]
    fn tracking_written_pages_is_not_supported() {
        let (fake, dom0, _) = machine();
        let shadow = |op| DomctlShadowOp {
            op,
            ..DomctlShadowOp::default()
        };
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_SHADOW_OP,
            1,
            &shadow(XEN_DOMCTL_SHADOW_OP_OFF),
        );
        for op in [2, 11, 12, 32] {
            assert_eq!(
                fails(&fake, &dom0, XEN_DOMCTL_SHADOW_OP, 1, &shadow(op)),
                Errno::EOPNOTSUPP
            );
        }
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_SHADOW_OP, 1, &shadow(99)),
            Errno::EINVAL
        );
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_SHADOW_OP, 0, &shadow(0)),
            Errno::EINVAL
        );
    }
}

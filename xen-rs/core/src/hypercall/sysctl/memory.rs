//! `XEN_SYSCTL_availheap` and `page_offline_op`.

use xen_abi::errno::Errno;
use xen_abi::sysctl::{SysctlAvailheap, SysctlPageOfflineOp};

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::ids::PAGE_SHIFT;

/// "Any node".
const ANY_NODE: i32 = -1;

/// Free memory in bytes. All of it counts as reachable with any address width that has been asked for in earnest.
///
/// # Errors
/// None.
pub fn available(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlAvailheap = frame.payload.get();
    let pages = if matches!(op.node, ANY_NODE | 0) {
        call.hv.frames.lock().free_pages()
    } else {
        0
    };
    op.avail_bytes = pages << PAGE_SHIFT;
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// Taking frames out of use is not supported.
///
/// # Errors
/// `EINVAL` for an empty range, else `EOPNOTSUPP`.
pub fn offline(_call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let op: SysctlPageOfflineOp = frame.payload.get();
    Err(if op.end < op.start {
        Errno::EINVAL
    } else {
        Errno::EOPNOTSUPP
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;
    use xen_abi::sysctl::{XEN_SYSCTL_AVAILHEAP, XEN_SYSCTL_PAGE_OFFLINE_OP};

    #[test]
    fn free_memory_is_that_of_the_one_node() {
        let (fake, dom0) = machine();
        let ask = |node| {
            done(
                &fake,
                &dom0,
                XEN_SYSCTL_AVAILHEAP,
                &SysctlAvailheap {
                    node,
                    ..SysctlAvailheap::default()
                },
            )
            .avail_bytes
        };
        let free = fake.hv.frames.lock().free_pages() << 12;
        assert_eq!([ask(-1), ask(0), ask(1), ask(i32::MIN)], [free, free, 0, 0]);
    }

    #[test]
    fn pages_stay_in_use() {
        let (fake, dom0) = machine();
        let op = |start, end| SysctlPageOfflineOp {
            cmd: 1,
            start,
            end,
            ..SysctlPageOfflineOp::default()
        };
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_PAGE_OFFLINE_OP, &op(2, 1)),
            Errno::EINVAL
        );
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_PAGE_OFFLINE_OP, &op(0, u32::MAX)),
            Errno::EOPNOTSUPP
        );
    }
}

//! Who may read and write which parameter: the table behind `HVMOP_get_param` and `HVMOP_set_param`.
//!
//! A domain asking about itself is a guest here, even dom0; a privileged domain asking about another is a tool.

use xen_abi::errno::Errno;
use xen_abi::hvm::params as abi;

/// What applies to a parameter.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Guest and tools read and write.
    Shared,
    /// Tools write, the guest reads.
    GuestReads,
    /// Tools read and write.
    Tools,
    /// Tools read and write, but do not change what is not 0.
    ToolsOnce,
    /// Nobody writes; all read.
    ReadOnly,
    /// Exists no more.
    Gone,
}

/// The rule for parameter `index`.
#[must_use]
pub const fn rule(index: u32) -> Rule {
    match index {
        abi::HVM_PARAM_CALLBACK_IRQ
        | abi::HVM_PARAM_STORE_EVTCHN
        | abi::HVM_PARAM_CONSOLE_EVTCHN
        | abi::HVM_PARAM_VM86_TSS
        | abi::HVM_PARAM_VM86_TSS_SIZED
        | abi::HVM_PARAM_ACPI_IOPORTS_LOCATION
        | abi::HVM_PARAM_VM_GENERATION_ID_ADDR
        | abi::HVM_PARAM_X87_FIP_WIDTH => Rule::Shared,
        abi::HVM_PARAM_STORE_PFN | abi::HVM_PARAM_CONSOLE_PFN => Rule::GuestReads,
        abi::HVM_PARAM_VIRIDIAN
        | abi::HVM_PARAM_IOREQ_PFN
        | abi::HVM_PARAM_BUFIOREQ_PFN
        | abi::HVM_PARAM_IOREQ_SERVER_PFN
        | abi::HVM_PARAM_NR_IOREQ_SERVER_PAGES
        | abi::HVM_PARAM_MCA_CAP => Rule::ToolsOnce,
        abi::HVM_PARAM_ALTP2M => Rule::ReadOnly,
        abi::HVM_PARAM_PAE_ENABLED
        | abi::HVM_PARAM_DM_DOMAIN
        | abi::HVM_PARAM_MEMORY_EVENT_CR0
        | abi::HVM_PARAM_MEMORY_EVENT_CR3
        | abi::HVM_PARAM_MEMORY_EVENT_CR4
        | abi::HVM_PARAM_MEMORY_EVENT_INT3
        | abi::HVM_PARAM_NESTEDHVM
        | abi::HVM_PARAM_MEMORY_EVENT_SINGLE_STEP
        | abi::HVM_PARAM_BUFIOREQ_EVTCHN
        | abi::HVM_PARAM_MEMORY_EVENT_MSR => Rule::Gone,
        _ => Rule::Tools,
    }
}

/// Whether a guest (`by_guest`) or a tool may read.
///
/// # Errors
/// `EINVAL` for what is gone, `EPERM`.
pub const fn may_read(rule: Rule, by_guest: bool) -> Result<(), Errno> {
    match rule {
        Rule::Gone => Err(Errno::EINVAL),
        Rule::Tools | Rule::ToolsOnce if by_guest => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

/// Whether a guest (`by_guest`) or a tool may replace value `old` by `new`.
///
/// # Errors
/// `EINVAL` for what is gone, `EEXIST` for what is read-only or set already, `EPERM`.
pub const fn may_write(rule: Rule, by_guest: bool, old: u64, new: u64) -> Result<(), Errno> {
    match rule {
        Rule::Gone => Err(Errno::EINVAL),
        Rule::ReadOnly => Err(Errno::EEXIST),
        Rule::Shared => Ok(()),
        Rule::GuestReads | Rule::Tools | Rule::ToolsOnce if by_guest => Err(Errno::EPERM),
        Rule::ToolsOnce if old != 0 && old != new => Err(Errno::EEXIST),
        Rule::GuestReads | Rule::Tools | Rule::ToolsOnce => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn indices(test: impl Fn(u32) -> bool) -> Vec<u32> {
        (0..abi::HVM_NR_PARAMS)
            .filter(|&index| test(index))
            .collect()
    }

    #[test]
    fn guest_may_write_and_read_what_xen_lets_it() {
        assert_eq!(
            indices(|i| may_write(rule(i), true, 0, 1).is_ok()),
            [0, 2, 15, 18, 19, 34, 36, 37]
        );
        assert_eq!(
            indices(|i| may_read(rule(i), true).is_ok()),
            [0, 1, 2, 15, 17, 18, 19, 34, 35, 36, 37]
        );
    }

    #[test]
    fn what_is_gone_or_fixed_says_so() {
        let gone = [4, 13, 20, 21, 22, 23, 24, 25, 26, 30];
        assert_eq!(
            indices(|i| may_write(rule(i), false, 0, 1) == Err(Errno::EINVAL)),
            gone
        );
        assert_eq!(
            indices(|i| may_write(rule(i), false, 1, 2) == Err(Errno::EEXIST)),
            [5, 6, 9, 32, 33, 35, 38]
        );
        assert_eq!(
            indices(|i| may_write(rule(i), false, 2, 2) == Err(Errno::EEXIST)),
            [35]
        );
    }
}

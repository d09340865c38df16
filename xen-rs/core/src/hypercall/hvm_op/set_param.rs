//! `HVMOP_set_param`: set a parameter of the caller or (with privilege) of another domain, and do what follows from it.
//!
//! What the hypervisor does not implement is refused rather than stored: Viridian features, local machine checks, ACPI S3. Callbacks by
//! GSI and by PCI interrupt pin are stored for the machine-specific half to read.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::arch_x86::{XEN_X86_EMU_IOAPIC, XEN_X86_EMU_LAPIC, XEN_X86_EMU_PIC, XEN_X86_EMU_PM};
use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::HvmParam;
use xen_abi::hvm::params as abi;
use xen_abi::sched::SHUTDOWN_MAX;

use super::latch_width::latch_width;
use super::param_rules::{may_write, rule};
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};

/// Bytes of a 32-bit task state segment.
const TSS_SIZE: u64 = 104;
/// Most that is useful: with interrupt redirection and I/O bit maps, and the byte after them.
const TSS_MOST: u64 = TSS_SIZE + 0x100 / 8 + 0x10000 / 8 + 1;
/// Size that old hvmloaders mean when they give none.
const TSS_OLD_SIZE: u64 = 128;
/// Most pages for ioreq servers: Xen keeps them in one word of bits.
const IOREQ_SERVER_PAGES_MOST: u64 = 64;
/// Interrupt controllers without which a domain has only vector callbacks.
const ALL_CONTROLLERS: u32 = XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC | XEN_X86_EMU_PIC;

/// See the module.
///
/// # Errors
/// `EFAULT`; `EINVAL` for an index or value that is out of range; `ESRCH`, `EPERM`; those of [`super::param_rules::may_write`];
/// `EOPNOTSUPP` for what is not implemented, `ENODEV` for ACPI ports of a domain without them.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: HvmParam = call.fetch(call.pointer(1))?;
    if arg.index >= abi::HVM_NR_PARAMS {
        return Err(Errno::EINVAL);
    }
    let domain = call.subject(arg.domid)?;
    let by_guest = domain.id == call.domain.id;
    let old = domain.params.lock()[arg.index as usize];
    may_write(rule(arg.index), by_guest, old, arg.value)?;
    if let Err(errno) = check(&domain, arg.index, arg.value) {
        if by_guest
            && matches!(
                arg.index,
                abi::HVM_PARAM_VM86_TSS | abi::HVM_PARAM_VM86_TSS_SIZED
            )
        {
            call.hv
                .crash_domain(&domain, "bad place for a virtual 8086 TSS");
        }
        return Err(errno);
    }
    let (index, value) = stored_as(arg.index, arg.value);
    domain.params.lock()[index as usize] = value;
    if arg.index == abi::HVM_PARAM_CALLBACK_IRQ {
        callback_changed(call, &domain, arg.value, by_guest);
    }
    Ok(Outcome::OK)
}

/// Whether the value makes sense for the domain.
fn check(domain: &Domain, index: u32, value: u64) -> Result<(), Errno> {
    let is_in_range = match index {
        abi::HVM_PARAM_TIMER_MODE => value <= abi::HVMPTM_ONE_MISSED_TICK_PENDING,
        abi::HVM_PARAM_TRIPLE_FAULT_REASON => value <= u64::from(SHUTDOWN_MAX),
        abi::HVM_PARAM_NR_IOREQ_SERVER_PAGES => (1..=IOREQ_SERVER_PAGES_MOST).contains(&value),
        abi::HVM_PARAM_X87_FIP_WIDTH => matches!(value, 0 | 4 | 8),
        abi::HVM_PARAM_VM86_TSS => value <= u64::from(u32::MAX),
        abi::HVM_PARAM_VM86_TSS_SIZED => value >> 32 >= TSS_SIZE,
        abi::HVM_PARAM_VIRIDIAN => {
            value & !abi::HVMPV_FEATURE_MASK == 0 && value & abi::HVMPV_BASE_FREQ != 0
        }
        abi::HVM_PARAM_MCA_CAP => value & !abi::XEN_HVM_MCA_CAP_MASK == 0,
        abi::HVM_PARAM_ACPI_S_STATE => matches!(value, 0 | 3),
        abi::HVM_PARAM_ACPI_IOPORTS_LOCATION => {
            if domain.config.emulation_flags & XEN_X86_EMU_PM == 0 {
                return Err(Errno::ENODEV);
            }
            value <= 1
        }
        _ => true,
    };
    match index {
        _ if !is_in_range => Err(Errno::EINVAL),
        abi::HVM_PARAM_VIRIDIAN | abi::HVM_PARAM_MCA_CAP | abi::HVM_PARAM_ACPI_S_STATE
            if value != 0 =>
        {
            Err(Errno::EOPNOTSUPP)
        }
        _ => Ok(()),
    }
}

/// The two forms of the virtual 8086 TSS are one parameter.
fn stored_as(index: u32, value: u64) -> (u32, u64) {
    match index {
        abi::HVM_PARAM_VM86_TSS if value != 0 => {
            (abi::HVM_PARAM_VM86_TSS_SIZED, value | TSS_OLD_SIZE << 32)
        }
        abi::HVM_PARAM_VM86_TSS => (abi::HVM_PARAM_VM86_TSS_SIZED, 0),
        abi::HVM_PARAM_VM86_TSS_SIZED => (
            index,
            value & 0xffff_ffff | (value >> 32).min(TSS_MOST) << 32,
        ),
        _ => (index, value),
    }
}

fn callback_changed(call: &Call<'_>, domain: &Arc<Domain>, value: u64, by_guest: bool) {
    let has_pins = domain.config.emulation_flags & ALL_CONTROLLERS == ALL_CONTROLLERS;
    if value >> 56 == abi::HVM_PARAM_CALLBACK_TYPE_VECTOR {
        domain.callback_vector.store(value as u8, SeqCst);
    } else if has_pins {
        domain.callback_vector.store(0, SeqCst);
    }
    if by_guest {
        latch_width(call.hv, domain, call.width);
    }
    // Events that are pending already are announced the new way.
    for vcpu in domain.vcpus().iter().filter(|vcpu| vcpu.is_up()) {
        call.hv.notice(vcpu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypercall::Width;
    use crate::vcpu::BLOCKED;
    use xen_abi::hvm::hvm_op::HVMOP_SET_PARAM;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    fn set(
        fake: &Fake,
        caller: &Arc<Domain>,
        domid: u16,
        index: u32,
        value: u64,
    ) -> Result<Outcome, Errno> {
        fake.put(
            caller,
            0,
            &HvmParam {
                domid,
                pad: 0,
                index,
                value,
            },
        );
        fake.call(caller, HYPERVISOR_HVM_OP, &[HVMOP_SET_PARAM.into(), 0])
    }

    const SELF: u16 = 0x7ff0;
    const VECTOR_F3: u64 = 2 << 56 | 0xf3;

    #[test]
    fn vector_callback_stays_when_a_domain_without_pins_asks_for_one() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        guest.vcpus()[1].flags.fetch_or(BLOCKED, SeqCst);
        assert_eq!(
            set(&fake, &guest, SELF, abi::HVM_PARAM_CALLBACK_IRQ, VECTOR_F3),
            Ok(Outcome::OK)
        );
        assert_eq!(guest.callback_vector.load(SeqCst), 0xf3);
        assert!(!guest.vcpus()[1].is_blocked());
        assert_eq!(
            set(&fake, &guest, SELF, abi::HVM_PARAM_CALLBACK_IRQ, 1),
            Ok(Outcome::OK)
        );
        assert_eq!(guest.callback_vector.load(SeqCst), 0xf3);
        assert_eq!(guest.params.lock()[0], 1);
    }

    #[test]
    fn guest_that_sets_its_callback_in_32_bit_code_is_a_32_bit_guest() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        fake.put(
            &guest,
            0,
            &HvmParam {
                domid: SELF,
                pad: 0,
                index: 0,
                value: VECTOR_F3,
            },
        );
        let args = [HVMOP_SET_PARAM.into(), 0];
        fake.call_by(&guest, 0, Width::Bits32, HYPERVISOR_HVM_OP, &args)
            .unwrap();
        assert!(guest.is_32bit.load(SeqCst));
        assert_eq!(
            guest.events.lock().width(),
            crate::evtchn::GuestWidth::Bits32
        );
        set(&fake, &dom0, 1, 0, VECTOR_F3).unwrap();
        assert!(guest.is_32bit.load(SeqCst));
        set(&fake, &guest, SELF, 0, VECTOR_F3).unwrap();
        assert!(!guest.is_32bit.load(SeqCst));
    }

    #[test]
    fn tools_set_once_what_may_be_set_once() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        assert_eq!(
            set(&fake, &dom0, 1, abi::HVM_PARAM_STORE_PFN, 0xfeffc),
            Ok(Outcome::OK)
        );
        assert_eq!(
            set(&fake, &dom0, 1, abi::HVM_PARAM_IOREQ_SERVER_PFN, 5),
            Ok(Outcome::OK)
        );
        assert_eq!(
            set(&fake, &dom0, 1, abi::HVM_PARAM_IOREQ_SERVER_PFN, 5),
            Ok(Outcome::OK)
        );
        assert_eq!(
            set(&fake, &dom0, 1, abi::HVM_PARAM_IOREQ_SERVER_PFN, 6),
            Err(Errno::EEXIST)
        );
        assert_eq!(
            set(&fake, &guest, SELF, abi::HVM_PARAM_STORE_PFN, 1),
            Err(Errno::EPERM)
        );
        assert_eq!(
            set(&fake, &guest, 0, abi::HVM_PARAM_STORE_EVTCHN, 1),
            Err(Errno::EPERM)
        );
        assert_eq!(
            set(&fake, &guest, 8, abi::HVM_PARAM_STORE_EVTCHN, 1),
            Err(Errno::ESRCH)
        );
        assert_eq!(set(&fake, &dom0, 1, 39, 1), Err(Errno::EINVAL));
        assert_eq!(
            guest.params.lock()[abi::HVM_PARAM_STORE_PFN as usize],
            0xfeffc
        );
    }

    #[test]
    fn values_are_checked() {
        let fake = Fake::new();
        let (dom0, _guest) = (fake.dom0(1), fake.domain(1));
        let refused = [
            (abi::HVM_PARAM_TIMER_MODE, 4, Errno::EINVAL),
            (abi::HVM_PARAM_TRIPLE_FAULT_REASON, 6, Errno::EINVAL),
            (abi::HVM_PARAM_NR_IOREQ_SERVER_PAGES, 0, Errno::EINVAL),
            (abi::HVM_PARAM_NR_IOREQ_SERVER_PAGES, 65, Errno::EINVAL),
            (abi::HVM_PARAM_X87_FIP_WIDTH, 2, Errno::EINVAL),
            (abi::HVM_PARAM_VIRIDIAN, 2, Errno::EINVAL),
            (abi::HVM_PARAM_VIRIDIAN, 1, Errno::EOPNOTSUPP),
            (abi::HVM_PARAM_ACPI_S_STATE, 1, Errno::EINVAL),
            (abi::HVM_PARAM_ACPI_S_STATE, 3, Errno::EOPNOTSUPP),
            (abi::HVM_PARAM_ACPI_IOPORTS_LOCATION, 1, Errno::ENODEV),
            (abi::HVM_PARAM_MCA_CAP, 2, Errno::EINVAL),
        ];
        for (index, value, errno) in refused {
            assert_eq!(
                set(&fake, &dom0, 1, index, value),
                Err(errno),
                "parameter {index}"
            );
        }
        assert_eq!(
            set(&fake, &dom0, 1, abi::HVM_PARAM_ACPI_S_STATE, 0),
            Ok(Outcome::OK)
        );
        assert_eq!(
            set(&fake, &dom0, 1, abi::HVM_PARAM_TIMER_MODE, 3),
            Ok(Outcome::OK)
        );
    }

    #[test]
    fn both_forms_of_the_tss_are_one_parameter() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let sized = abi::HVM_PARAM_VM86_TSS_SIZED;
        set(&fake, &guest, SELF, abi::HVM_PARAM_VM86_TSS, 0xfc00).unwrap();
        assert_eq!(guest.params.lock()[sized as usize], 128 << 32 | 0xfc00);
        set(&fake, &guest, SELF, sized, u64::MAX).unwrap();
        assert_eq!(
            guest.params.lock()[sized as usize],
            TSS_MOST << 32 | 0xffff_ffff
        );
        assert_eq!(set(&fake, &guest, SELF, sized, 1), Err(Errno::EINVAL));
        assert!(guest.is_shut_down.load(SeqCst));
    }
}

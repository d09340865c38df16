//! [`VcpuRegisters`] and the CPU record.

use x86_emu::{Segment, SegmentAttributes};
use xen_abi::errno::Errno;
use xen_abi::hvm::save::{HvmHwCpu, XEN_X86_FPU_INITIALISED};

use super::registers::{DescriptorTable, PendingEvent, VcpuRegisters};
use crate::cpuid::CpuPolicy;

const EVENT_ERROR_VALID: u32 = 1 << 11;
const EVENT_VALID: u32 = 1 << 31;
const EVENT_RESERVED: u32 = 0x7fff_f000;
const RFLAGS_FIXED_ONES: u64 = 2;
const DR6_FIXED_ONES: u64 = 0xffff_0ff0;
const DR6_FIXED_ZEROS: u64 = 1 << 12;
const DR7_FIXED_ONES: u64 = 1 << 10;
const DR7_FIXED_ZEROS: u64 = 0b1101_1000 << 8;

/// Attributes as records have them: packed like the VMCB's. Very old ones have the flags four bits higher, as VT-x does.
const fn attributes(bytes: u32) -> SegmentAttributes {
    let flags_are_high = bytes & 0xf000 != 0 && bytes & 0x0f00 == 0;
    let packed = if flags_are_high {
        bytes & 0xff | bytes >> 4 & 0xf00
    } else {
        bytes
    };
    SegmentAttributes((packed & 0xfff) as u16)
}

const fn segment(selector: u32, base: u64, limit: u32, bytes: u32) -> Segment {
    Segment {
        selector: selector as u16,
        base,
        limit,
        attributes: attributes(bytes),
    }
}

impl PendingEvent {
    /// From the record's two words.
    fn unpack(event: u32, error_code: u32) -> Result<Option<Self>, Errno> {
        if event & EVENT_VALID == 0 {
            return Ok(None);
        }
        let kind = (event >> 8 & 7) as u8;
        let has_code = event & EVENT_ERROR_VALID != 0;
        let code_fits = u16::try_from(error_code).is_ok();
        if event & EVENT_RESERVED != 0 || !matches!(kind, 0 | 2..=4) || (has_code && !code_fits) {
            return Err(Errno::EINVAL);
        }
        Ok(Some(Self {
            vector: event as u8,
            kind,
            error_code: has_code.then_some(error_code),
        }))
    }

    /// The record's two words.
    fn pack(self) -> (u32, u32) {
        let flag = if self.error_code.is_some() {
            EVENT_ERROR_VALID
        } else {
            0
        };
        let kind = u32::from(self.kind & 7) << 8;
        let event = EVENT_VALID | flag | kind | u32::from(self.vector);
        (event, self.error_code.unwrap_or(0))
    }
}

impl VcpuRegisters {
    /// The CPU record.
    #[must_use]
    pub fn to_record(&self) -> HvmHwCpu {
        let mut record = HvmHwCpu::default();
        self.put_general(&mut record);
        self.put_control(&mut record);
        self.put_segments(&mut record);
        self.put_msrs(&mut record);
        if let Some(image) = self.fpu {
            record.fpu_regs = image;
            record.flags = XEN_X86_FPU_INITIALISED;
        }
        if let Some(event) = self.pending_event {
            (record.pending_event, record.error_code) = event.pack();
        }
        record
    }

    fn put_general(&self, record: &mut HvmHwCpu) {
        [
            record.rax, record.rcx, record.rdx, record.rbx, record.rsp, record.rbp, record.rsi,
            record.rdi, record.r8, record.r9, record.r10, record.r11, record.r12, record.r13,
            record.r14, record.r15,
        ] = self.gprs;
        record.rip = self.rip;
        record.rflags = self.rflags;
    }

    fn put_control(&self, record: &mut HvmHwCpu) {
        (record.cr0, record.cr2, record.cr3, record.cr4) = (self.cr0, self.cr2, self.cr3, self.cr4);
        [record.dr0, record.dr1, record.dr2, record.dr3] = self.breakpoints;
        (record.dr6, record.dr7) = (self.dr6, self.dr7);
    }

    fn put_segments(&self, record: &mut HvmHwCpu) {
        macro_rules! put {
            ($($name:ident: $selector:ident $base:ident $limit:ident $bytes:ident;)*) => {$(
                record.$selector = self.$name.selector.into();
                record.$base = self.$name.base;
                record.$limit = self.$name.limit;
                record.$bytes = self.$name.attributes.0.into();
            )*};
        }
        put! {
            cs: cs_sel cs_base cs_limit cs_arbytes;
            ds: ds_sel ds_base ds_limit ds_arbytes;
            es: es_sel es_base es_limit es_arbytes;
            fs: fs_sel fs_base fs_limit fs_arbytes;
            gs: gs_sel gs_base gs_limit gs_arbytes;
            ss: ss_sel ss_base ss_limit ss_arbytes;
            tr: tr_sel tr_base tr_limit tr_arbytes;
            ldtr: ldtr_sel ldtr_base ldtr_limit ldtr_arbytes;
        }
        (record.gdtr_base, record.gdtr_limit) = (self.gdtr.base, self.gdtr.limit);
        (record.idtr_base, record.idtr_limit) = (self.idtr.base, self.idtr.limit);
    }

    fn put_msrs(&self, record: &mut HvmHwCpu) {
        record.sysenter_cs = self.sysenter_cs;
        record.sysenter_esp = self.sysenter_esp;
        record.sysenter_eip = self.sysenter_eip;
        record.msr_star = self.star;
        record.msr_lstar = self.lstar;
        record.msr_cstar = self.cstar;
        record.msr_syscall_mask = self.sfmask;
        record.msr_efer = self.efer;
        record.shadow_gs = self.kernel_gs_base;
        record.msr_tsc_aux = self.tsc_aux.into();
        record.tsc = self.tsc;
    }

    /// What a CPU record describes, if a vCPU of a domain with this policy can be in that state.
    ///
    /// # Errors
    /// `EINVAL`: it cannot.
    pub fn from_record(record: &HvmHwCpu, policy: &CpuPolicy) -> Result<Self, Errno> {
        check(record, policy)?;
        let tsc_aux = u32::try_from(record.msr_tsc_aux).map_err(|_| Errno::EINVAL)?;
        let pending_event = PendingEvent::unpack(record.pending_event, record.error_code)?;
        let has_fpu = record.flags & XEN_X86_FPU_INITIALISED != 0;
        macro_rules! get {
            ($selector:ident $base:ident $limit:ident $bytes:ident) => {
                segment(record.$selector, record.$base, record.$limit, record.$bytes)
            };
        }
        Ok(Self {
            gprs: [
                record.rax, record.rcx, record.rdx, record.rbx, record.rsp, record.rbp, record.rsi,
                record.rdi, record.r8, record.r9, record.r10, record.r11, record.r12, record.r13,
                record.r14, record.r15,
            ],
            rip: record.rip,
            rflags: record.rflags | RFLAGS_FIXED_ONES,
            cr0: record.cr0,
            cr2: record.cr2,
            cr3: record.cr3,
            cr4: record.cr4,
            breakpoints: [record.dr0, record.dr1, record.dr2, record.dr3],
            dr6: record.dr6 & !DR6_FIXED_ZEROS | DR6_FIXED_ONES,
            dr7: record.dr7 & !DR7_FIXED_ZEROS | DR7_FIXED_ONES,
            cs: get!(cs_sel cs_base cs_limit cs_arbytes),
            ds: get!(ds_sel ds_base ds_limit ds_arbytes),
            es: get!(es_sel es_base es_limit es_arbytes),
            fs: get!(fs_sel fs_base fs_limit fs_arbytes),
            gs: get!(gs_sel gs_base gs_limit gs_arbytes),
            ss: get!(ss_sel ss_base ss_limit ss_arbytes),
            tr: get!(tr_sel tr_base tr_limit tr_arbytes),
            ldtr: get!(ldtr_sel ldtr_base ldtr_limit ldtr_arbytes),
            gdtr: DescriptorTable {
                base: record.gdtr_base,
                limit: record.gdtr_limit,
            },
            idtr: DescriptorTable {
                base: record.idtr_base,
                limit: record.idtr_limit,
            },
            sysenter_cs: record.sysenter_cs,
            sysenter_esp: record.sysenter_esp,
            sysenter_eip: record.sysenter_eip,
            star: record.msr_star,
            lstar: record.msr_lstar,
            cstar: record.msr_cstar,
            sfmask: record.msr_syscall_mask,
            efer: record.msr_efer,
            kernel_gs_base: record.shadow_gs,
            tsc_aux,
            tsc: record.tsc,
            fpu: has_fpu.then_some(record.fpu_regs),
            pending_event,
        })
    }
}

fn check(record: &HvmHwCpu, policy: &CpuPolicy) -> Result<(), Errno> {
    let address_bits = policy.physical_address_bits();
    let is_word = |value: u64| u32::try_from(value).is_ok();
    let valid = record.pad0 == 0
        && policy.is_state_valid(record.cr0, record.cr4, record.msr_efer)
        && is_word(record.dr6)
        && is_word(record.dr7)
        && record.cr3.checked_shr(address_bits).unwrap_or(0) == 0
        && record.flags & !XEN_X86_FPU_INITIALISED == 0;
    if valid { Ok(()) } else { Err(Errno::EINVAL) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;
    use crate::hvm_context::gpr;

    fn sample() -> VcpuRegisters {
        let mut registers = VcpuRegisters::pvh(0x100_0000, 0x9000);
        for (index, value) in registers.gprs.iter_mut().enumerate() {
            *value = 0x1000 + index as u64;
        }
        registers.cr0 = 0x8005_0033;
        (registers.cr3, registers.cr4) = (0x1234_5000, 0x20);
        registers.efer = 0xd01;
        registers.cs.attributes = SegmentAttributes(0xa9b);
        registers.gs.base = 0xffff_8880_0000_0000;
        registers.gdtr = DescriptorTable {
            base: 0xfffe_0000,
            limit: 0x7f,
        };
        registers.tsc_aux = 3;
        registers.fpu = Some([0x5a; 512]);
        registers.pending_event = Some(PendingEvent {
            vector: 14,
            kind: 3,
            error_code: Some(2),
        });
        registers
    }

    #[test]
    fn a_record_holds_all_registers() {
        let registers = sample();
        let record = registers.to_record();
        assert_eq!(
            (record.rax, record.rcx, record.rbx),
            (0x1000, 0x1001, 0x1003)
        );
        assert_eq!(
            (record.rsp, record.rbp, record.rdi),
            (0x1004, 0x1005, 0x1007)
        );
        assert_eq!(
            (record.cs_arbytes, record.pending_event),
            (0xa9b, 0x8000_0b0e)
        );
        let policy = system().for_domain();
        assert_eq!(VcpuRegisters::from_record(&record, &policy), Ok(registers));
    }

    #[test]
    fn the_pvh_state_is_a_valid_record() {
        let registers = VcpuRegisters::pvh(0x100_0000, 0x9000);
        assert_eq!(registers.gprs[gpr::RBX], 0x9000);
        let policy = system().for_domain();
        assert_eq!(
            VcpuRegisters::from_record(&registers.to_record(), &policy),
            Ok(registers)
        );
    }

    #[test]
    fn what_the_domain_builder_sends_is_accepted() {
        let flat = HvmHwCpu {
            rip: 0x100_0000,
            rbx: 0x9000,
            cr0: 0x11,
            cs_limit: u32::MAX,
            cs_arbytes: 0xc9b,
            tr_limit: 0x67,
            tr_arbytes: 0x8b,
            ..HvmHwCpu::default()
        };
        let registers = VcpuRegisters::from_record(&flat, &system().for_domain()).unwrap();
        assert_eq!(registers.cs.attributes.0, 0xc9b);
        assert_eq!(
            (registers.rflags, registers.dr6, registers.dr7),
            (2, 0xffff_0ff0, 0x400)
        );
        assert_eq!(registers.fpu, None);
    }

    #[test]
    fn attributes_in_the_old_form_are_repacked() {
        assert_eq!(attributes(0xa09b).0, 0xa9b);
        assert_eq!(attributes(0xa9b).0, 0xa9b);
        assert_eq!(attributes(0x8b).0, 0x8b);
        assert_eq!(attributes(0x1_0000).0, 0);
    }

    #[test]
    fn impossible_states_are_einval() {
        let good = sample().to_record();
        let policy = system().for_domain();
        let spoilers: [fn(&mut HvmHwCpu); 13] = [
            |r| r.pad0 = 1,
            |r| r.cr0 &= !0x10,
            |r| r.cr0 = 0x8000_0010,
            |r| r.cr4 = 1 << 13,
            |r| r.msr_efer |= 1 << 12,
            |r| r.msr_efer = 1 << 10,
            |r| r.dr6 = 1 << 32,
            |r| r.dr7 = u64::MAX,
            |r| r.cr3 = 1 << 48,
            |r| r.flags = 2,
            |r| r.msr_tsc_aux = 1 << 32,
            |r| r.pending_event |= 1 << 12,
            |r| r.error_code = 0x1_0000,
        ];
        for (index, spoil) in spoilers.into_iter().enumerate() {
            let mut record = good;
            spoil(&mut record);
            let result = VcpuRegisters::from_record(&record, &policy);
            assert_eq!(result, Err(Errno::EINVAL), "{index}");
        }
    }

    #[test]
    fn only_events_that_can_be_injected_are_taken() {
        for (event, accepted) in [
            (0x8000_0020, true),
            (0x8000_0202, true),
            (0x8000_0120, false),
        ] {
            assert_eq!(
                PendingEvent::unpack(event, 0).is_ok(),
                accepted,
                "{event:#x}"
            );
        }
        assert_eq!(PendingEvent::unpack(0x7fff_ffff, 0), Ok(None));
    }
}

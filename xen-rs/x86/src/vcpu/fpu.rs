//! Register state that stays in the CPU while the hypervisor runs: FPU and extended state, XCR0, debug addresses, TSC_AUX.
//!
//! The hypervisor uses none of it, so it moves only when the vCPU leaves its CPU or comes to one.
#![allow(
    unsafe_code,
    reason = "XSAVE and XRSTOR move registers to and from memory"
)]

use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use x86::msr::IA32_TSC_AUX;

use crate::cpu::instructions::{
    cpuid, cr4, debug_registers, set_cr4, set_debug_registers, wrmsr, xgetbv, xsetbv,
};
use crate::cpu::store_bypass;
use crate::cpuid::{CpuPolicy, xstate};
use crate::hvm_context::XsaveState;

/// XCR0 of the machine: every component the hypervisor switches.
static HOST_XCR0: AtomicU64 = AtomicU64::new(0);
static HAS_TSC_AUX: AtomicU64 = AtomicU64::new(0);
/// Bits of MXCSR that the machine has.
static MXCSR_MASK: AtomicU32 = AtomicU32::new(MXCSR_MASK_DEFAULT);
/// The last x87 instruction's addresses stay in the registers when a state without a pending exception is loaded.
static KEEPS_POINTERS: AtomicBool = AtomicBool::new(false);

const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;
const XCR0_RESET: u64 = 1;
const XSAVE_FEATURE: u32 = 1 << 26;
const RDTSCP_FEATURE: u32 = 1 << 27;
/// x87, SSE, AVX, AVX-512 (three), PKRU.
const SWITCHED: u64 = 0x2e7;
/// Legacy area, header, and components up to AVX-512 and PKRU, in the standard format.
const AREA_SIZE: usize = 4096;
/// Offsets in the area.
const MXCSR: usize = 24;
const MXCSR_MASK_AT: usize = 28;
const XSTATE_BV: usize = 512;
/// What a mask of 0 stands for (AMD APM volume 1, "MXCSR Mask").
const MXCSR_MASK_DEFAULT: u32 = 0xffbf;

/// Enables the extended state on this CPU.
pub fn enable() {
    let has_xsave = cpuid(1, 0).ecx & XSAVE_FEATURE != 0;
    set_cr4(cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | if has_xsave { CR4_OSXSAVE } else { 0 });
    if has_xsave {
        let leaf = cpuid(0xd, 0);
        let mut xcr0 = (u64::from(leaf.edx) << 32 | u64::from(leaf.eax)) & SWITCHED;
        if cpuid(0xd, 0).ecx as usize > AREA_SIZE {
            xcr0 &= 7;
        }
        HOST_XCR0.store(xcr0, Relaxed);
        xsetbv(0, xcr0);
    }
    KEEPS_POINTERS.store(keeps_pointers(), Relaxed);
    MXCSR_MASK.store(mxcsr_mask(), Relaxed);
    HAS_TSC_AUX.store(
        u64::from(cpuid(0x8000_0001, 0).edx & RDTSCP_FEATURE),
        Relaxed,
    );
}

/// Whether loading leaves the instruction, operand and opcode registers of x87 alone when no exception is pending (AMD APM volume 5,
/// "FXRSTOR"; CPUID 8000_0008, `RstrFpErrPtrs`). Intel's processors always load them.
fn keeps_pointers() -> bool {
    const RESTORES_POINTERS: u32 = 1 << 2;
    let intel = 0x756e_6547;
    let has_leaf = cpuid(0x8000_0000, 0).eax >= 0x8000_0008;
    cpuid(0, 0).ebx != intel && !(has_leaf && cpuid(0x8000_0008, 0).ebx & RESTORES_POINTERS != 0)
}

/// The machine's MXCSR mask, which is found in every image.
fn mxcsr_mask() -> u32 {
    #[repr(C, align(16))]
    struct Image([u8; 512]);
    let mut image = Image([0; 512]);
    // SAFETY: an aligned image of its own; saving changes no register.
    unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut image, options(nostack)) };
    match word(&image.0, MXCSR_MASK_AT) {
        0 => MXCSR_MASK_DEFAULT,
        mask => mask,
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Replaces what the last vCPU's x87 pointers say by an address of the hypervisor's. What is loaded next overrides the rest.
fn forget_pointers() {
    static ZERO: u32 = 0;
    // SAFETY: changes the x87 registers only, whose values were saved. No exception can come: pending ones are cleared, a register is made
    // free for the load, and loading zero raises none.
    unsafe {
        asm!("fnclex", "ffree st(7)", "fild dword ptr [{}]", in(reg) &raw const ZERO, options(nostack, readonly));
    }
}

/// XCR0 of the machine; 0 without XSAVE.
#[must_use]
pub fn host_xcr0() -> u64 {
    HOST_XCR0.load(Relaxed)
}

/// Lets tests choose what the machine has.
#[cfg(test)]
pub(crate) fn pretend_host_xcr0(xcr0: u64) {
    HOST_XCR0.store(xcr0, Relaxed);
}

/// Whether RDTSCP and TSC_AUX exist.
#[must_use]
pub fn has_tsc_aux() -> bool {
    HAS_TSC_AUX.load(Relaxed) != 0
}

/// A vCPU's extended state.
pub struct Extended {
    area: *mut u8,
    loaded: bool,
    xcr0: u64,
    /// All components that were ever enabled, 0 before the guest enabled any.
    xcr0_accum: u64,
    /// Debug addresses while not loaded.
    pub dr: [u64; 4],
    /// TSC_AUX.
    pub tsc_aux: u64,
    no_store_bypass: bool,
}

// SAFETY: the area is owned, and only reached through `&mut self`.
unsafe impl Send for Extended {}

fn layout() -> Layout {
    Layout::from_size_align(AREA_SIZE, 64).expect("constant layout")
}

impl Default for Extended {
    fn default() -> Self {
        Self::new()
    }
}

impl Extended {
    /// The state after reset: all components initial.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: the layout has a size; the result is checked.
        let area = unsafe { alloc_zeroed(layout()) };
        if area.is_null() {
            handle_alloc_error(layout());
        }
        let mut new = Self {
            area,
            loaded: false,
            xcr0: XCR0_RESET,
            xcr0_accum: 0,
            dr: [0; 4],
            tsc_aux: 0,
            no_store_bypass: false,
        };
        new.reset();
        new
    }

    /// The whole area, while not loaded.
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: owned memory of this size.
        unsafe { core::slice::from_raw_parts_mut(self.area, AREA_SIZE) }
    }

    /// Initial values: control word 0x37f, MXCSR 0x1f80.
    pub fn reset(&mut self) {
        if self.loaded && self.no_store_bypass {
            store_bypass::disable(false);
        }
        self.loaded = false;
        let bytes = self.bytes();
        bytes.fill(0);
        bytes[..2].copy_from_slice(&0x37fu16.to_le_bytes());
        bytes[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
        (self.xcr0, self.xcr0_accum) = (XCR0_RESET, 0);
        self.dr = [0; 4];
    }

    /// The legacy FXSAVE image.
    pub fn legacy(&mut self) -> [u8; 512] {
        let mut image = [0; 512];
        image.copy_from_slice(&self.bytes()[..512]);
        image
    }

    /// Sets it; x87 and SSE become valid, reserved MXCSR bits are cleared.
    pub fn set_legacy(&mut self, image: &[u8; 512]) {
        let bytes = self.bytes();
        bytes[..512].copy_from_slice(image);
        mask_mxcsr(bytes);
        bytes[XSTATE_BV] |= 3;
    }

    /// Extended state for a record, while not loaded. `None` if the guest has never enabled any.
    pub fn xsave_state(&mut self, policy: &CpuPolicy) -> Option<XsaveState> {
        let (xcr0, xcr0_accum) = (self.xcr0, self.xcr0_accum);
        if xcr0_accum == 0 {
            return None;
        }
        let size = xstate::standard_size(xcr0_accum, &policy.xstate) as usize;
        let mut area = self.bytes()[..size.min(AREA_SIZE)].to_vec();
        // The hypervisor saves all components of the machine.
        for (byte, enabled) in area[XSTATE_BV..].iter_mut().zip(xcr0_accum.to_le_bytes()) {
            *byte &= enabled;
        }
        Some(XsaveState {
            xcr0,
            xcr0_accum,
            area,
        })
    }

    /// Replaces everything but debug addresses and TSC_AUX. The components are among the machine's, the header was checked.
    pub fn set_xsave_state(&mut self, state: &XsaveState) {
        let bytes = self.bytes();
        let len = state.area.len().min(AREA_SIZE);
        bytes[..len].copy_from_slice(&state.area[..len]);
        bytes[len..].fill(0);
        mask_mxcsr(bytes);
        (self.xcr0, self.xcr0_accum) = (state.xcr0, state.xcr0_accum);
    }

    /// Puts the state into this CPU's registers. Must be undone by [`Self::unload`] on the same CPU.
    pub fn load(&mut self) {
        if self.loaded {
            return;
        }
        if KEEPS_POINTERS.load(Relaxed) {
            forget_pointers();
        }
        let host = host_xcr0();
        // SAFETY: the area is large enough for `host`, aligned, and was written by XSAVE or by the functions above with a clean header.
        unsafe {
            if host != 0 {
                xsetbv(0, host);
                asm!("xrstor64 [{}]", in(reg) self.area, in("eax") host as u32, in("edx") (host >> 32) as u32, options(nostack));
                xsetbv(0, self.xcr0);
            } else {
                asm!("fxrstor64 [{}]", in(reg) self.area, options(nostack));
            }
        }
        set_debug_registers(self.dr);
        if has_tsc_aux() {
            wrmsr(IA32_TSC_AUX, self.tsc_aux);
        }
        if self.no_store_bypass {
            store_bypass::disable(true);
        }
        self.loaded = true;
    }

    /// XCR0 of the guest. While it is loaded the register counts: QEMU (7.2) lets guests write it in spite of the intercept.
    #[must_use]
    pub fn xcr0(&self) -> u64 {
        if self.loaded && host_xcr0() != 0 {
            xgetbv(0)
        } else {
            self.xcr0
        }
    }

    /// DR0 to DR3.
    #[must_use]
    pub fn debug_address(&self, number: usize) -> u64 {
        if self.loaded {
            debug_registers()[number]
        } else {
            self.dr[number]
        }
    }

    /// Sets one of DR0 to DR3.
    pub fn set_debug_address(&mut self, number: usize, value: u64) {
        if self.loaded {
            self.dr = debug_registers();
        }
        self.dr[number] = value;
        if self.loaded {
            set_debug_registers(self.dr);
        }
    }

    /// Saves the registers of this CPU.
    pub fn unload(&mut self) {
        if !self.loaded {
            return;
        }
        self.note_xcr0(self.xcr0());
        let host = host_xcr0();
        // SAFETY: as for `load`.
        unsafe {
            if host != 0 {
                xsetbv(0, host);
                asm!("xsave64 [{}]", in(reg) self.area, in("eax") host as u32, in("edx") (host >> 32) as u32, options(nostack));
            } else {
                asm!("fxsave64 [{}]", in(reg) self.area, options(nostack));
            }
        }
        self.dr = debug_registers();
        if self.no_store_bypass {
            store_bypass::disable(false);
        }
        self.loaded = false;
    }

    /// XSETBV by the guest; `false` if the value is not allowed (Intel SDM volume 1, "Enabling the XSAVE Feature Set").
    pub fn set_xcr0(&mut self, value: u64, allowed: u64) -> bool {
        let valid = value & !(allowed & host_xcr0()) == 0 && xstate::is_consistent(value);
        if valid {
            self.note_xcr0(value);
            if self.loaded {
                xsetbv(0, value);
            }
        }
        valid
    }

    /// For tests: whether it runs without.
    #[cfg(test)]
    pub(crate) const fn has_no_store_bypass(&self) -> bool {
        self.no_store_bypass
    }

    /// The guest wants to run without speculative store bypass, or with it again.
    pub fn set_no_store_bypass(&mut self, wanted: bool) {
        if self.loaded && wanted != self.no_store_bypass {
            store_bypass::disable(wanted);
        }
        self.no_store_bypass = wanted;
    }

    fn note_xcr0(&mut self, value: u64) {
        if value != self.xcr0 {
            self.xcr0 = value;
            self.xcr0_accum |= value;
        }
    }

    /// Sets TSC_AUX.
    pub fn set_tsc_aux(&mut self, value: u64) {
        self.tsc_aux = value & 0xffff_ffff;
        if self.loaded && has_tsc_aux() {
            wrmsr(IA32_TSC_AUX, self.tsc_aux);
        }
    }
}

/// Loading a reserved bit would fault.
fn mask_mxcsr(area: &mut [u8]) {
    let mxcsr = word(area, MXCSR) & MXCSR_MASK.load(Relaxed);
    area[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
}

impl Drop for Extended {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.area, layout()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;

    #[test]
    fn extended_state_survives_a_record() {
        pretend_host_xcr0(7);
        let policy = system().for_domain();
        let mut extended = Extended::new();
        assert_eq!(extended.xsave_state(&policy), None);
        assert!(extended.set_xcr0(7, 7) && extended.set_xcr0(3, 7));
        let bytes = extended.bytes();
        (bytes[XSTATE_BV], bytes[XSTATE_BV + 1], bytes[600]) = (7, 2, 0x5a);
        let state = extended.xsave_state(&policy).expect("AVX was on");
        assert_eq!(
            (state.xcr0, state.xcr0_accum, state.area.len()),
            (3, 7, 832)
        );
        // Protection keys are the machine's, not the guest's.
        assert_eq!((state.area[XSTATE_BV], state.area[XSTATE_BV + 1]), (7, 0));
        let mut other = Extended::new();
        other.set_xsave_state(&state);
        assert_eq!(other.xsave_state(&policy), Some(state));
    }

    #[test]
    fn reserved_bits_of_mxcsr_are_not_loaded() {
        let mut extended = Extended::new();
        let mut image = [0; 512];
        image[MXCSR..MXCSR + 4].fill(0xff);
        extended.set_legacy(&image);
        assert_eq!(word(&extended.legacy(), MXCSR), MXCSR_MASK_DEFAULT);
    }
}

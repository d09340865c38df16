//! Register state that stays in the CPU while the hypervisor runs: FPU and extended state, XCR0, debug addresses, TSC_AUX.
//!
//! The hypervisor uses none of it, so it moves only when the vCPU leaves its CPU or comes to one.
#![allow(
    unsafe_code,
    reason = "XSAVE and XRSTOR move registers to and from memory"
)]

use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use x86::msr::IA32_TSC_AUX;

use crate::cpu::instructions::{
    cpuid, cr4, debug_registers, set_cr4, set_debug_registers, wrmsr, xgetbv, xsetbv,
};
use crate::cpu::store_bypass;
use crate::cpuid::xstate;

/// XCR0 of the machine: every component the hypervisor switches.
static HOST_XCR0: AtomicU64 = AtomicU64::new(0);
static HAS_TSC_AUX: AtomicU64 = AtomicU64::new(0);
/// The last x87 instruction's addresses stay in the registers when a state without a pending exception is loaded.
static KEEPS_POINTERS: AtomicBool = AtomicBool::new(false);

const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;
const XSAVE_FEATURE: u32 = 1 << 26;
const RDTSCP_FEATURE: u32 = 1 << 27;
/// x87, SSE, AVX, AVX-512 (three), PKRU.
const SWITCHED: u64 = 0x2e7;
/// Legacy area, header, and components up to AVX-512 and PKRU, in the standard format.
const AREA_SIZE: usize = 4096;

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
pub(super) fn pretend_host_xcr0(xcr0: u64) {
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
            xcr0: 1,
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
        self.xcr0 = 1;
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
        let mxcsr = u32::from_le_bytes([image[24], image[25], image[26], image[27]]) & 0xffbf;
        bytes[24..28].copy_from_slice(&mxcsr.to_le_bytes());
        bytes[512] |= 3;
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

    /// Saves the registers of this CPU.
    pub fn unload(&mut self) {
        if !self.loaded {
            return;
        }
        self.xcr0 = self.xcr0();
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
            self.xcr0 = value;
            if self.loaded {
                xsetbv(0, value);
            }
        }
        valid
    }

    /// The guest wants to run without speculative store bypass, or with it again.
    pub fn set_no_store_bypass(&mut self, wanted: bool) {
        if self.loaded && wanted != self.no_store_bypass {
            store_bypass::disable(wanted);
        }
        self.no_store_bypass = wanted;
    }

    /// Sets TSC_AUX.
    pub fn set_tsc_aux(&mut self, value: u64) {
        self.tsc_aux = value & 0xffff_ffff;
        if self.loaded && has_tsc_aux() {
            wrmsr(IA32_TSC_AUX, self.tsc_aux);
        }
    }
}

impl Drop for Extended {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.area, layout()) };
    }
}

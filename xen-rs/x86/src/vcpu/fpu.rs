//! Register state that stays in the CPU while the hypervisor runs: FPU and extended state, XCR0, debug addresses, TSC_AUX.
//!
//! The hypervisor uses none of it, so it moves only when the vCPU leaves its CPU or comes to one.
#![allow(
    unsafe_code,
    reason = "XSAVE and XRSTOR move registers to and from memory"
)]

use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use x86::msr::IA32_TSC_AUX;

use crate::cpu::instructions::{
    cpuid, cr4, debug_registers, set_cr4, set_debug_registers, wrmsr, xsetbv,
};

/// XCR0 of the machine: every component the hypervisor switches.
static HOST_XCR0: AtomicU64 = AtomicU64::new(0);
static HAS_TSC_AUX: AtomicU64 = AtomicU64::new(0);

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
    HAS_TSC_AUX.store(
        u64::from(cpuid(0x8000_0001, 0).edx & RDTSCP_FEATURE),
        Relaxed,
    );
}

/// XCR0 of the machine; 0 without XSAVE.
#[must_use]
pub fn host_xcr0() -> u64 {
    HOST_XCR0.load(Relaxed)
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
    /// XCR0 of the guest.
    pub xcr0: u64,
    /// Debug addresses while not loaded.
    pub dr: [u64; 4],
    /// TSC_AUX.
    pub tsc_aux: u64,
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
        self.loaded = true;
    }

    /// Saves the registers of this CPU.
    pub fn unload(&mut self) {
        if !self.loaded {
            return;
        }
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
        self.loaded = false;
    }

    /// XSETBV by the guest; `false` if the value is not allowed (Intel SDM volume 1, "Enabling the XSAVE Feature Set").
    pub fn set_xcr0(&mut self, value: u64, allowed: u64) -> bool {
        let avx512 = value & 0xe0;
        let valid = value & 1 != 0
            && value & !(allowed & host_xcr0()) == 0
            && (value & 4 == 0 || value & 2 != 0)
            && (avx512 == 0 || (avx512 == 0xe0 && value & 4 != 0));
        if valid {
            self.xcr0 = value;
            if self.loaded {
                xsetbv(0, value);
            }
        }
        valid
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

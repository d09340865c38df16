//! Where the assembly hands over, and what the hypervisor told at the start.
#![allow(
    unsafe_code,
    reason = "exports a symbol to the assembly and reads what the hypervisor left in memory"
)]

use core::arch::global_asm;
use core::panic::PanicInfo;

use xen_abi::hvm::start_info::{HvmStartInfo, XEN_HVM_START_MAGIC_VALUE};

use crate::{hypercall, print, println, vectors};

global_asm!(include_str!("boot.s"));

unsafe extern "C" {
    static image_start: u8;
    static image_end: u8;
}

unsafe extern "Rust" {
    fn guest_rust_main(start: Start) -> !;
}

/// Names the kernel's main function: `fn(Start) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // SAFETY: the name is unique; only the library calls it, once, on the first vCPU.
        #[unsafe(no_mangle)]
        extern "Rust" fn guest_rust_main(start: $crate::Start) -> ! {
            let main: fn($crate::Start) -> ! = $main;
            main(start)
        }
    };
}

/// What the hypervisor told at the start.
#[derive(Copy, Clone)]
pub struct Start {
    info: &'static HvmStartInfo,
}

impl Start {
    /// The kernel's words.
    #[must_use]
    pub fn command_line(&self) -> &'static str {
        if self.info.cmdline_paddr == 0 {
            return "";
        }
        // SAFETY: the hypervisor put a NUL-terminated string there, and nothing writes it.
        let text = unsafe { core::ffi::CStr::from_ptr(self.info.cmdline_paddr as *const _) };
        text.to_str().unwrap_or("")
    }

    /// The text in the word `NAME=TEXT` of the command line.
    #[must_use]
    pub fn word(&self, name: &str) -> Option<&'static str> {
        self.command_line()
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// The number in the word `NAME=NUMBER` of the command line.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.word(name)?.parse().ok()
    }

    /// The command line has this word.
    #[must_use]
    pub fn has_word(&self, word: &str) -> bool {
        self.command_line()
            .split_whitespace()
            .any(|have| have == word)
    }

    /// This is the initial domain.
    #[must_use]
    pub fn is_dom0(&self) -> bool {
        self.info.flags & xen_abi::xen::SIF_INITDOMAIN != 0
    }
}

/// Physical addresses that the kernel itself occupies, end not included.
#[must_use]
pub fn image() -> (u64, u64) {
    (&raw const image_start as u64, &raw const image_end as u64)
}

// SAFETY: the name is unique; the assembly calls it once, on the first vCPU, with the address of the start information.
#[unsafe(no_mangle)]
extern "C" fn guest_start(info: u32) -> ! {
    vectors::load();
    hypercall::choose_instruction();
    // SAFETY: the PVH boot protocol puts the structure at this address, within the identity map; nothing writes it.
    let info = unsafe { &*(info as usize as *const HvmStartInfo) };
    let start = Start { info };
    if info.magic != XEN_HVM_START_MAGIC_VALUE {
        print::to_port();
        fatal(format_args!("no start information: {:#x}", info.magic));
    }
    if !start.is_dom0() {
        print::to_port();
    }
    // SAFETY: every kernel defines it with this signature by `entry!`.
    unsafe { guest_rust_main(start) }
}

/// Says why and crashes the domain.
pub fn fatal(why: core::fmt::Arguments<'_>) -> ! {
    println!("GUEST-FATAL {why}");
    hypercall::shutdown(xen_abi::sched::SHUTDOWN_CRASH)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    fatal(format_args!("{info}"))
}

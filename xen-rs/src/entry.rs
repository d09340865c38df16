//! Where the assembly hands over, on the boot CPU and on every other.
#![allow(
    unsafe_code,
    reason = "exports symbols to the assembly and reads the linker's"
)]

use core::arch::global_asm;
use core::panic::PanicInfo;
use core::sync::atomic::AtomicU64;

use xen_core::hal::Build;
use xen_x86::boot::address_space::ImageLayout;
use xen_x86::boot::smp::Trampoline;
use xen_x86::start;

global_asm!(include_str!("entry.s"));

unsafe extern "C" {
    static image_start: u8;
    static text_end: u8;
    static rodata_end: u8;
    static image_end: u8;
    static build_id: u8;
    static build_id_end: u8;
    static ap_trampoline: u8;
    static ap_trampoline_end: u8;
    static ap_stack: AtomicU64;
}

fn image_layout() -> ImageLayout {
    ImageLayout {
        start: &raw const image_start as u64,
        text_end: &raw const text_end as u64,
        rodata_end: &raw const rodata_end as u64,
        end: &raw const image_end as u64,
    }
}

/// What `build.rs` found out, and the linker's note.
fn build() -> Build {
    /// Lengths, kind and the name `GNU` before the digest (System V ABI, "Note Section").
    const NOTE_HEADER: usize = 16;
    let (from, to) = (&raw const build_id, &raw const build_id_end);
    // SAFETY: the linker places the note, which is constant, between the two symbols.
    let note = unsafe { core::slice::from_raw_parts(from, to as usize - from as usize) };
    Build {
        changeset: env!("XEN_RS_CHANGESET"),
        compiler: env!("XEN_RS_COMPILER"),
        by: env!("XEN_RS_BUILT_BY"),
        domain: env!("XEN_RS_BUILT_ON"),
        date: env!("XEN_RS_DATE"),
        id: note.get(NOTE_HEADER..).unwrap_or_default(),
    }
}

fn trampoline() -> Trampoline {
    let (from, to) = (&raw const ap_trampoline, &raw const ap_trampoline_end);
    // SAFETY: the linker places the code between the two symbols; the stack word is only used as an atomic.
    let (code, stack) = unsafe {
        (
            core::slice::from_raw_parts(from, to as usize - from as usize),
            &ap_stack,
        )
    };
    Trampoline {
        code,
        stack,
        page: 0,
    }
}

// SAFETY: the name is unique; the assembly calls it once, on the boot CPU, with eax and ebx of the loader.
#[unsafe(no_mangle)]
extern "C" fn image_start_of_day(magic: u32, info: u32) -> ! {
    crate::heap::start();
    let early = start::Early {
        magic,
        info,
        image: image_layout(),
        trampoline: trampoline(),
        add_heap: crate::heap::add,
        build: build(),
    };
    start::boot_cpu(early)
}

// SAFETY: the name is unique; the assembly calls it once on each other CPU.
#[unsafe(no_mangle)]
extern "C" fn ap_start_of_day() -> ! {
    start::other_cpu()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    xen_x86::panic::panicked(info)
}

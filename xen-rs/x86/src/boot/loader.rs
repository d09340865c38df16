//! What the boot loader says, copied out of its structures (Multiboot2 specification, "Boot information").
//!
//! The only file that knows the `multiboot2` crate.
#![allow(
    unsafe_code,
    reason = "reads the loader's structures at the address it passed"
)]

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use multiboot2::{BootInformation, BootInformationHeader, FramebufferType, RsdpV2Tag};

use super::screen::{FrameBuffer, Screen};
use crate::dom0::PhysRange;
use crate::dom0::e820::{E820Entry, E820Kind};

/// Value of eax at entry.
pub const MAGIC: u32 = multiboot2::MAGIC;

/// A module the loader put into memory.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its bytes.
    pub range: PhysRange,
    /// Its command line without the file name.
    pub cmdline: String,
}

/// Everything taken from the loader.
#[derive(Clone, Debug, Default)]
pub struct BootInfo {
    /// The hypervisor's command line.
    pub cmdline: String,
    /// "GRUB 2.06" or the like.
    pub loader: String,
    /// Modules in order.
    pub modules: Vec<Module>,
    /// The machine's memory map as given, unsorted.
    pub memory_map: Vec<E820Entry>,
    /// The RSDP's address of the XSDT or RSDT and whether it is an XSDT, and its OEM field.
    pub acpi_root: Option<AcpiRoot>,
    /// The screen as it is now.
    pub screen: Option<Screen>,
}

/// Where the ACPI tables start.
#[derive(Copy, Clone, Debug)]
pub struct AcpiRoot {
    /// Physical address of XSDT or RSDT.
    pub address: u64,
    /// 0 for an RSDT, 2 for an XSDT.
    pub revision: u8,
    /// OEM identification.
    pub oem: [u8; 6],
}

/// Reads the structures at `address`.
///
/// # Errors
/// A message when they are malformed.
///
/// # Safety
/// `address` is what the loader passed in ebx, still untouched and mapped at its own address.
pub unsafe fn read(address: u64) -> Result<BootInfo, &'static str> {
    // SAFETY: the caller's promise; the crate checks structure and size.
    let info = unsafe { BootInformation::load(address as *const BootInformationHeader) }
        .map_err(|_| "malformed boot information")?;
    let cmdline = info
        .command_line_tag()
        .and_then(|tag| tag.cmdline().ok())
        .unwrap_or_default()
        .to_string();
    let loader = info
        .boot_loader_name_tag()
        .and_then(|tag| tag.name().ok())
        .unwrap_or("unknown")
        .to_string();
    let modules = info.module_tags().map(module).collect();
    let areas = info.memory_map_tag().ok_or("no memory map")?.memory_areas();
    let memory_map = areas
        .iter()
        .map(|a| E820Entry::new(a.start_address(), a.size(), E820Kind(a.typ().val())))
        .collect();
    Ok(BootInfo {
        cmdline,
        loader,
        modules,
        memory_map,
        acpi_root: acpi_root(&info),
        screen: screen(&info),
    })
}

/// `None` also for screens with a palette, which nobody can describe to dom0, and for senseless sizes.
fn screen(info: &BootInformation<'_>) -> Option<Screen> {
    let tag = info.framebuffer_tag()?.ok()?;
    let (width, height) = (tag.width().try_into().ok()?, tag.height().try_into().ok()?);
    match tag.buffer_type().ok()? {
        FramebufferType::Indexed { .. } => None,
        FramebufferType::RGB { red, green, blue } => Some(Screen::Pixels(FrameBuffer {
            address: tag.address(),
            width,
            height,
            pitch: tag.pitch().try_into().ok()?,
            depth: tag.bpp(),
            colours: [red, green, blue].map(|field| (field.position, field.size)),
        })),
        FramebufferType::Text => Some(Screen::Text {
            columns: width,
            rows: height,
        }),
    }
}

fn module(tag: &multiboot2::ModuleTag) -> Module {
    let range = PhysRange {
        start: u64::from(tag.start_address()),
        end: u64::from(tag.end_address()),
    };
    Module {
        range,
        cmdline: tag.cmdline().unwrap_or_default().to_string(),
    }
}

fn oem(text: Result<&str, core::str::Utf8Error>) -> [u8; 6] {
    let mut bytes = [b' '; 6];
    let text = text.unwrap_or_default().as_bytes();
    bytes[..text.len().min(6)].copy_from_slice(&text[..text.len().min(6)]);
    bytes
}

fn acpi_root(info: &BootInformation<'_>) -> Option<AcpiRoot> {
    // Some firmware of ACPI 2 has an RSDT only.
    let with_xsdt = |tag: &&RsdpV2Tag| tag.checksum_is_valid() && tag.xsdt_address() != 0;
    if let Some(new) = info.rsdp_v2_tag().filter(with_xsdt) {
        return Some(AcpiRoot {
            address: new.xsdt_address() as u64,
            revision: 2,
            oem: oem(new.oem_id()),
        });
    }
    let old = info.rsdp_v1_tag().filter(|tag| tag.checksum_is_valid())?;
    Some(AcpiRoot {
        address: old.rsdt_address() as u64,
        revision: 0,
        oem: oem(old.oem_id()),
    })
}

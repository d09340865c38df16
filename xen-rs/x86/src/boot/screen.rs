//! The screen as the loader left it, for dom0: the hypervisor itself draws nothing.
//!
//! Meaning of the fields: Multiboot2 specification, "Framebuffer info"; `xen/include/public/xen.h`, `struct dom0_vga_console_info`.

use spin::Once;
use xen_abi::xen::{Dom0VgaConsoleInfo, XEN_VGATYPE_TEXT_MODE_3, XEN_VGATYPE_VESA_LFB};

use crate::cpu::instructions::{port_in, port_out};

/// Lines of a character in the BIOS's text mode.
const FONT_HEIGHT: u16 = 16;
/// Unit of a VESA frame buffer's size.
const VESA_UNIT: u64 = 64 << 10;

static SCREEN: Once<Dom0VgaConsoleInfo> = Once::new();

/// What is on the screen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Characters.
    Text {
        /// Characters in a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// Pixels in memory.
    Pixels(FrameBuffer),
}

/// A linear frame buffer with direct colours.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FrameBuffer {
    /// Physical address.
    pub address: u64,
    /// Pixels in a line.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// Bytes from one line to the next.
    pub pitch: u16,
    /// Bits of a pixel.
    pub depth: u8,
    /// Position and width in bits of red, green, blue.
    pub colours: [(u8, u8); 3],
}

/// Keeps the description for dom0. Once, at boot.
pub fn remember(screen: Screen) {
    SCREEN.call_once(|| match screen {
        Screen::Text { columns, rows } => text(columns, rows, cursor(columns)),
        Screen::Pixels(buffer) => pixels(&buffer),
    });
}

/// The screen in dom0's form, if the loader told of one.
#[must_use]
pub fn for_dom0() -> Option<Dom0VgaConsoleInfo> {
    SCREEN.get().copied()
}

/// Column and row of the cursor (IBM VGA, CRT controller registers 0xe and 0xf), where output goes on.
fn cursor(columns: u16) -> (u16, u16) {
    let register = |index: u32| {
        port_out(0x3d4, 1, index);
        port_in(0x3d5, 1) as u16 & 0xff
    };
    let place = register(0xe) << 8 | register(0xf);
    let columns = columns.max(1);
    (place % columns, place / columns)
}

/// The structure's fields have the names of a frame buffer; a text screen's meanings are beside them.
fn text(columns: u16, rows: u16, (column, row): (u16, u16)) -> Dom0VgaConsoleInfo {
    Dom0VgaConsoleInfo {
        video_type: XEN_VGATYPE_TEXT_MODE_3,
        width: FONT_HEIGHT,
        height: column,
        bytes_per_line: row.min(rows.saturating_sub(1)),
        bits_per_pixel: rows,
        lfb_base: u32::from(columns),
        ..Dom0VgaConsoleInfo::default()
    }
}

fn pixels(buffer: &FrameBuffer) -> Dom0VgaConsoleInfo {
    let bytes = u64::from(buffer.pitch) * u64::from(buffer.height);
    let [red, green, blue] = buffer.colours;
    Dom0VgaConsoleInfo {
        video_type: XEN_VGATYPE_VESA_LFB,
        width: buffer.width,
        height: buffer.height,
        bytes_per_line: buffer.pitch,
        bits_per_pixel: u16::from(buffer.depth),
        lfb_base: buffer.address as u32,
        ext_lfb_base: (buffer.address >> 32) as u32,
        lfb_size: bytes.div_ceil(VESA_UNIT) as u32,
        colour_fields: [red.0, red.1, green.0, green.1, blue.0, blue.1, 0, 0],
        ..Dom0VgaConsoleInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_screen_has_its_size_and_cursor_in_the_text_fields() {
        let info = text(80, 25, (3, 30));
        assert_eq!(info.video_type, 3);
        assert_eq!((info.lfb_base, info.bits_per_pixel), (80, 25));
        assert_eq!((info.height, info.bytes_per_line), (3, 24));
    }

    #[test]
    fn a_frame_buffer_keeps_its_address_and_colours() {
        let buffer = FrameBuffer {
            address: 0x40_e000_0000,
            width: 1024,
            height: 768,
            pitch: 4096,
            depth: 32,
            colours: [(16, 8), (8, 8), (0, 8)],
        };
        let info = pixels(&buffer);
        assert_eq!((info.lfb_base, info.ext_lfb_base), (0xe000_0000, 0x40));
        assert_eq!((info.lfb_size, info.bytes_per_line), (48, 4096));
        assert_eq!(info.colour_fields, [16, 8, 8, 8, 0, 8, 0, 0]);
    }
}

//! xz, with the x86 filter that kernels use.

use lzma_rust2::{Error, Read, XzReader};

use super::{CUT_SHORT, TOO_LONG, Why};

/// Largest decoder state accepted, in KiB: kernels name a dictionary of up to 128 MiB.
const MEMORY_MAX_KIB: u32 = (128 << 10) + 1024;
/// The dictionary is allocated as large as the header names it.
pub(super) const HEAP_NEED: usize = (MEMORY_MAX_KIB as usize) << 10;

/// Unpacks `data` and returns the length.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, Why> {
    let mut reader = XzReader::new_mem_limit(data, false, MEMORY_MAX_KIB);
    let mut written = 0;
    loop {
        let room = output.get_mut(written..).unwrap_or(&mut []);
        if room.is_empty() {
            return end(&mut reader).map(|()| written);
        }
        match reader.read(room).map_err(explain)? {
            0 => return Ok(written),
            count => written += count,
        }
    }
}

/// Checks that nothing follows; this also makes the reader verify the checksum.
fn end(reader: &mut XzReader<&[u8]>) -> Result<(), Why> {
    match reader.read(&mut [0]).map_err(explain)? {
        0 => Ok(()),
        _ => Err(TOO_LONG),
    }
}

fn explain(error: Error) -> Why {
    match error {
        Error::Eof => CUT_SHORT,
        Error::InvalidData(why)
        | Error::InvalidInput(why)
        | Error::OutOfMemory(why)
        | Error::Other(why)
        | Error::Unsupported(why)
        | Error::WriteZero(why) => why,
        Error::Interrupted => "it cannot be read",
    }
}

//! The memory of a crashed domain as an ELF core file: a loadable segment for each range of RAM, by guest-physical address. What cannot be
//! read, as it was given back to the host, is a hole of zeroes.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use xenctl::DomId;
use xenstore::{Tx, read_optional};

use super::error::{Error, OnFile, Result};
use super::{Toolstack, nodes};
use crate::build::ram_of;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PAGE: u64 = 4096;
/// Bytes read at once.
const CHUNK: u64 = 1 << 20;

/// Writes the memory of a domain that does not run.
///
/// # Errors
/// The domain's size is unknown, or the file cannot be written; then it is removed.
pub fn write(toolstack: &Toolstack<'_>, domain: DomId, path: &Path) -> Result<()> {
    let node = format!("{}/memory/static-max", nodes::home(domain));
    let size = read_optional(toolstack.store, Tx::NONE, &node)?;
    let size = size.and_then(|text| text.parse().ok());
    let kib = size.ok_or_else(|| Error::Config(format!("{node} does not tell its memory")))?;
    let ram: Vec<_> = ram_of(kib)
        .into_iter()
        .filter(|range| !range.is_empty())
        .collect();
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).on("make directory", directory)?;
    }
    let mut file = File::create(path).on("create", path)?;
    let written = write_file(toolstack, domain, &mut file, &ram);
    if written.is_err() {
        drop(fs::remove_file(path));
    }
    written.on("write", path)
}

fn write_file(
    toolstack: &Toolstack<'_>,
    domain: DomId,
    file: &mut File,
    ram: &[Range<u64>],
) -> std::io::Result<()> {
    file.write_all(&headers(ram))?;
    let mut offset = PAGE;
    for range in ram {
        for start in range.clone().step_by(CHUNK as usize) {
            let len = CHUNK.min(range.end - start);
            write_chunk(toolstack, domain, file, offset, start..start + len)?;
            offset += len;
        }
    }
    // Holes at the end count.
    file.set_len(offset)
}

/// Writes a chunk, page by page where not all of it can be read.
fn write_chunk(
    toolstack: &Toolstack<'_>,
    domain: DomId,
    file: &mut File,
    offset: u64,
    range: Range<u64>,
) -> std::io::Result<()> {
    let read = |range: &Range<u64>| {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let read = toolstack
            .hypervisor
            .read_guest(domain, range.start, &mut bytes);
        read.is_ok().then_some(bytes)
    };
    let mut put = |at: u64, bytes: &[u8]| {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    };
    if let Some(bytes) = read(&range) {
        return put(offset, &bytes);
    }
    for start in range.clone().step_by(PAGE as usize) {
        if let Some(bytes) = read(&(start..start + PAGE)) {
            put(offset + (start - range.start), &bytes)?;
        }
    }
    Ok(())
}

/// File header and program headers (System V ABI); the contents begin at the next page.
fn headers(ram: &[Range<u64>]) -> Vec<u8> {
    const CORE: u16 = 4;
    const X86_64: u16 = 62;
    const LOAD: u32 = 1;
    const READ_WRITE_EXECUTE: u32 = 7;
    let mut headers = vec![0; HEADER];
    headers[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    headers[16..18].copy_from_slice(&CORE.to_le_bytes());
    headers[18..20].copy_from_slice(&X86_64.to_le_bytes());
    headers[20] = 1;
    headers[32] = HEADER as u8;
    headers[52] = HEADER as u8;
    headers[54] = PROGRAM_HEADER as u8;
    headers[56] = ram.len() as u8;
    let mut offset = PAGE;
    for range in ram {
        let len = range.end - range.start;
        headers.extend_from_slice(&LOAD.to_le_bytes());
        headers.extend_from_slice(&READ_WRITE_EXECUTE.to_le_bytes());
        for value in [offset, range.start, range.start, len, len, PAGE] {
            headers.extend_from_slice(&value.to_le_bytes());
        }
        offset += len;
    }
    headers
}

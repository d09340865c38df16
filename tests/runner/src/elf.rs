//! The two facts needed from ELF files: the shared libraries a program asks for, and the modules a kernel module asks for.

use xmas_elf::ElfFile;
use xmas_elf::dynamic::Tag;
use xmas_elf::program::{SegmentData, Type};
use xmas_elf::sections::SectionData;

/// What a program needs to start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Path of the dynamic linker; none in a static program.
    pub interpreter: Option<String>,
    /// File names of shared libraries.
    pub libraries: Vec<String>,
}

/// What the program or library in `bytes` needs; nothing if it is not an ELF file (a script, say).
pub fn needs(bytes: &[u8]) -> Result<Needs, &'static str> {
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(Needs::default());
    }
    let elf = ElfFile::new(bytes)?;
    let mut found = Needs::default();
    for segment in elf.program_iter() {
        if segment.get_type() == Ok(Type::Interp) {
            let (from, len) = (segment.offset() as usize, segment.file_size() as usize);
            let path = bytes
                .get(from..)
                .and_then(|rest| rest.get(..len))
                .ok_or("interpreter outside the file")?;
            found.interpreter = Some(String::from_utf8_lossy(path).trim_end_matches('\0').into());
        }
        if let Ok(SegmentData::Dynamic64(entries)) = segment.get_data(&elf) {
            found.libraries = libraries(&elf, entries)?;
        }
    }
    Ok(found)
}

fn libraries(
    elf: &ElfFile<'_>,
    entries: &[xmas_elf::dynamic::Dynamic<u64>],
) -> Result<Vec<String>, &'static str> {
    let strings = elf
        .find_section_by_name(".dynstr")
        .ok_or("no dynamic strings")?
        .raw_data(elf);
    let mut names = Vec::new();
    for entry in entries {
        if entry.get_tag() == Ok(Tag::Needed) {
            let tail = strings
                .get(entry.get_val()? as usize..)
                .ok_or("library name outside the file")?;
            let name = tail.split(|byte| *byte == 0).next().unwrap_or_default();
            names.push(String::from_utf8_lossy(name).into());
        }
    }
    Ok(names)
}

/// Names of the modules that the kernel module in `bytes` must find loaded.
pub fn module_depends(bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    let elf = ElfFile::new(bytes)?;
    let section = elf
        .find_section_by_name(".modinfo")
        .ok_or("not a kernel module")?;
    let SectionData::Undefined(info) = section.get_data(&elf)? else {
        return Err("strange module information");
    };
    let fields = info.split(|byte| *byte == 0);
    let list = fields
        .filter_map(|field| field.strip_prefix(b"depends="))
        .next()
        .unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    Ok(list
        .split(',')
        .filter(|name| !name.is_empty())
        .map(String::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_needs_libc_and_a_linker() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&own).unwrap();
        assert!(needs.interpreter.unwrap().contains("ld-linux"));
        assert!(
            needs
                .libraries
                .iter()
                .any(|name| name.starts_with("libc.so"))
        );
    }

    #[test]
    fn a_script_needs_nothing() {
        assert_eq!(needs(b"#!/bin/sh\n"), Ok(Needs::default()));
    }

    #[test]
    fn a_program_is_no_kernel_module() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(module_depends(&own).is_err());
    }
}

//! A grant table in words, for the debug key `g`.

use core::fmt;

use super::GrantTable;
use crate::hal::MachineMemory;
use crate::ids::Domid;

impl GrantTable {
    /// Writes sizes and one line per entry in use: reference, user, frame, readers and writers, and what the guest's entry says now.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn dump(
        &self,
        domid: Domid,
        memory: &dyn MachineMemory,
        out: &mut dyn fmt::Write,
    ) -> fmt::Result {
        let (mapped, handles, max) = {
            let maptrack = self.maptrack.lock();
            (maptrack.mapped(), maptrack.limit(), maptrack.max_frames())
        };
        let frames = self.nr_frames();
        writeln!(
            out,
            "{domid} grant table, version 1, {frames} of {} frames",
            self.max_frames
        )?;
        writeln!(
            out,
            "  maps {mapped} pages of others, {handles} handles, {max} maptrack frames at most"
        )?;
        let table = self.table.lock();
        for (reference, at, active) in table.used() {
            write!(
                out,
                "  ref {reference:5} used by {} mfn {:#x}",
                active.peer, active.mfn.0
            )?;
            write!(
                out,
                " readers {} writers {}",
                active.readers, active.writers
            )?;
            match at.map(|at| memory.load_u64(at)) {
                Some(word) => writeln!(
                    out,
                    " entry: flags {:#x} d{} gfn {:#x}",
                    word as u16,
                    (word >> 16) as u16,
                    word >> 32
                )?,
                None => writeln!(out, " entry gone")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use crate::grant::testing::{EMPTY, Pair};

    #[test]
    fn entries_in_use_are_listed() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.mapped(8, EMPTY);
        let mut text = String::new();
        pair.granter
            .grants
            .dump(pair.granter.id, pair.fake.memory, &mut text)
            .unwrap();
        assert!(
            text.starts_with("d1 grant table, version 1, 1 of 4 frames\n"),
            "{text}"
        );
        assert!(text.contains("ref     8 used by d0"), "{text}");
        assert!(
            text.ends_with("readers 0 writers 1 entry: flags 0x19 d0 gfn 0x5\n"),
            "{text}"
        );
        text.clear();
        pair.mapper
            .grants
            .dump(pair.mapper.id, pair.fake.memory, &mut text)
            .unwrap();
        assert!(
            text.contains("maps 1 pages of others, 256 handles, 8 maptrack frames"),
            "{text}"
        );
    }
}

//! `disk=[…]`

use std::collections::HashSet;

use crate::disk::{DiskError, VirtualDisk, parse_disk};
use crate::model::{Disk, DomainConfig, DomainType};
use crate::problem::quoted;

use super::reader::Reader;

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let mut taken = HashSet::new();
    for item in reader.items("disk").unwrap_or_default() {
        let disk = match parse_disk(&[item.text]) {
            Ok(disk) => disk,
            Err(error) => {
                reader.problem(item.value.place_at(error.offset), error.message);
                continue;
            }
        };
        if disk.is_cdrom() && config.c_info.domain_type == DomainType::Pvh {
            let message =
                "a PVH domain cannot have a CD drive; attach the image as a read-only disk";
            reader.problem(item.value.place.clone(), message);
        }
        let vdev = disk.vdev.as_deref().unwrap_or_default();
        if !vdev
            .parse::<VirtualDisk>()
            .is_ok_and(|number| taken.insert(number))
        {
            let message = format!("the virtual disk {} is given twice", quoted(vdev));
            reader.problem(item.value.place.clone(), message);
        }
        config.disks.push(disk);
    }
}

/// Reads a disk from the words of a command line, e.g. `xl block-attach DOM phy:/dev/x xvdb w`.
///
/// # Errors
/// The first word that is wrong, or what is missing.
pub fn parse_disk_words(words: &[impl AsRef<str>]) -> Result<Disk, DiskError> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    parse_disk(&words)
}

//! Memory. Configurations count in MiB, libxl in KiB.

use crate::model::DomainConfig;
use crate::problem::quoted;

use super::reader::{Item, Reader};

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let info = &mut config.b_info;
    info.target_memkb = reader.mib_as_kib("memory");
    // The sum of the virtual nodes may have set it.
    let most = reader
        .mib_as_kib("maxmem")
        .or(info.max_memkb)
        .or(info.target_memkb);
    if let (Some(most), Some(target), Some(setting)) =
        (most, info.target_memkb, reader.setting("memory"))
        && target > most
    {
        let message = format!(
            "expected \"memory\" to be at most \"maxmem\", which is {} MiB, found {}",
            most / 1024,
            target / 1024
        );
        reader.problem(setting.value.place.clone(), message);
    }
    info.max_memkb = most;
    info.shadow_memkb = reader.mib_as_kib("shadow_memory");
    info.video_memkb = reader.mib_as_kib("videoram");
    for item in reader.items("llc_colors").unwrap_or_default() {
        read_colours(reader, item, &mut info.llc_colors);
    }
}

/// More cache colours than any machine has; it bounds what ranges can cost.
const MAX_COLOURS: usize = 1 << 16;

fn read_colours(reader: &mut Reader<'_>, item: Item<'_>, colours: &mut Vec<u32>) {
    match crate::cpus::parse_range(item.text) {
        Ok((first, last)) if (last - first) as usize + colours.len() < MAX_COLOURS => {
            colours.extend(first..=last)
        }
        Ok(_) => reader.problem(
            item.value.place.clone(),
            format!("expected at most {MAX_COLOURS} cache colours"),
        ),
        Err(_) => {
            let message = format!(
                "expected a cache colour or a range such as 0-3, found {}",
                quoted(item.text)
            );
            reader.problem(item.value.place.clone(), message);
        }
    }
}

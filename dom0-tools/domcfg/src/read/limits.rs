//! Time, limits of what a guest may use, and settings of one architecture.

use crate::model::{
    DomainConfig, DomainType, GicVersion, SveType, TeeType, TimerMode, TscMode, VuartType,
};

use super::reader::Reader;

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    read_time(reader, config);
    let info = &mut config.b_info;
    let defaults = &reader.context.defaults;
    info.claim_mode = Some(defaults.claim_mode);
    info.blkdev_start = defaults.blkdev_start.clone();
    info.event_channels = reader.number_as("max_event_channels").unwrap_or(0);
    info.max_grant_frames = reader
        .number_as("max_grant_frames")
        .or(defaults.max_grant_frames);
    info.max_maptrack_frames = reader
        .number_as("max_maptrack_frames")
        .or(defaults.max_maptrack_frames);
    info.max_grant_version = reader
        .number_as("max_grant_version")
        .or(defaults.max_grant_version);
    info.disable_migrate = reader.flag("nomigrate");
    info.acpi = reader.flag("acpi");

    let arm = &mut info.arch_arm;
    arm.vuart = reader
        .choice("vuart", VuartType::from_name)
        .unwrap_or_default();
    arm.gic_version = reader
        .choice("gic_version", GicVersion::from_name)
        .unwrap_or_default();
    arm.sve_vl = reader.choice("sve", SveType::from_name).unwrap_or_default();
    arm.nr_spis = reader.number_as("nr_spis").unwrap_or(0);
    info.tee = reader.choice("tee", TeeType::from_name).unwrap_or_default();
}

fn read_time(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let is_hardware_assisted = config.c_info.domain_type != DomainType::Pv;
    let info = &mut config.b_info;
    info.tsc_mode = mode(reader, "tsc_mode", TscMode::ALL, 0).unwrap_or_default();
    if is_hardware_assisted {
        // The numbers start after the value that means "not said".
        info.timer_mode = mode(reader, "timer_mode", TimerMode::ALL, 1).unwrap_or_default();
    }
    info.localtime = reader.flag("localtime");
    // Negative offsets are stored as their two's complement.
    info.rtc_timeoffset = reader
        .number_as::<i32>("rtc_timeoffset")
        .unwrap_or(0)
        .cast_unsigned();
}

/// A mode by name, or, as old files have it, by its place among the names after the first `skip`.
fn mode<T: Copy>(
    reader: &mut Reader<'_>,
    name: &str,
    all: &'static [(T, &'static str)],
    skip: usize,
) -> Option<T> {
    let named = all.get(skip..).unwrap_or_default();
    let by_number = |text: &str| {
        crate::number::parse(text).and_then(|number| named.get(usize::try_from(number).ok()?))
    };
    let by_name = |text: &str| {
        named
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
    };
    let mode = reader.choice(name, |text| {
        by_number(text).or_else(|| by_name(text)).copied()
    });
    if let (Some((_, new_name)), Some(setting)) = (mode, reader.setting(name))
        && setting
            .value
            .text()
            .is_some_and(|text| by_number(text).is_some())
    {
        let place = setting.value.place.clone();
        reader.warn(format!(
            "{place}: numbers for {name} are deprecated, write {name}=\"{new_name}\""
        ));
    }
    mode.map(|(mode, _)| mode)
}

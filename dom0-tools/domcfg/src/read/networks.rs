//! `vif=[…]`

use std::collections::HashMap;

use crate::model::{DomainConfig, DomainType, Nic, NicType};
use crate::network::{NicError, apply_word};
use crate::problem::quoted;

use super::reader::{Item, Reader};
use super::words::words;

pub fn read(source: &str, reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let mut unknown = Vec::new();
    let mut addresses = HashMap::new();
    for (index, item) in reader
        .items("vif")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let devid = u32::try_from(index).ok();
        let mut nic = Nic {
            devid,
            ..reader.context.defaults.nic.clone()
        };
        read_words(reader, item, &mut nic, &mut unknown);
        if nic.nictype == NicType::VifIoemu && config.c_info.domain_type == DomainType::Pvh {
            reader.problem(
                item.value.place.clone(),
                "a PVH domain cannot have an emulated network card; leave type=ioemu out",
            );
        }
        if !nic.mac.is_none() && addresses.insert(nic.mac, index).is_some() {
            reader.problem(
                item.value.place.clone(),
                format!("the address {} is given twice", nic.mac),
            );
        }
        config.nics.push(nic);
    }
    if !unknown.is_empty() {
        reader.warn(format!(
            "{source}: unknown words of network interfaces, ignored: {}",
            super::notes::listed(&unknown)
        ));
    }
}

fn read_words(reader: &mut Reader<'_>, item: Item<'_>, nic: &mut Nic, unknown: &mut Vec<String>) {
    for word in words(item.text) {
        let place = |offset| item.value.place_at(word.offset + offset);
        match apply_word(nic, word.text) {
            Ok(()) => {}
            Err(NicError::Value(offset, message)) => reader.problem(place(offset), message),
            Err(NicError::Unknown(text)) => {
                let place = place(0);
                unknown.push(format!(
                    "{} (line {}, column {})",
                    quoted(&text),
                    place.line,
                    place.column
                ));
            }
            Err(error @ NicError::Deprecated(..)) => reader.warn(format!("{}: {error}", place(0))),
        }
    }
}

/// Reads an interface from the words of a command line, e.g. `xl network-attach DOM bridge=xenbr0 mac=…`, on top of the defaults of
/// xl.conf(5).
///
/// # Errors
/// The first word that is unknown or has a wrong value.
pub fn parse_nic_words(defaults: &Nic, arguments: &[impl AsRef<str>]) -> Result<Nic, NicError> {
    let mut nic = defaults.clone();
    for argument in arguments {
        match apply_word(&mut nic, argument.as_ref()) {
            Ok(()) | Err(NicError::Deprecated(..)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(nic)
}

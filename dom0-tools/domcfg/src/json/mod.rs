//! The JSON form of a domain's configuration, as libxl writes it: `xl list -l` prints it and `/var/lib/xen/userdata-d.*.libxl-json`
//! holds it. One rule serves every record: a member that has its initial value is left out, nested records and unions never are.
//!
//! The rule and the names are those of libxl 4.20 (tools/libs/light/gentypes.py, libxl_types.idl, libxl_json.c).

mod names;
mod print;
mod record;
mod scalar;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::model::{Disk, DomainConfig, Nic};

pub use print::pretty;

pub(crate) use names::names;
pub(crate) use record::record;

/// A JSON text that is no domain configuration: where it went wrong and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: expected {expected}, found {found}", if path.is_empty() { "configuration" } else { path })]
pub struct JsonError {
    /// Members and indices from the outside in, e.g. `b_info.vcpu_hard_affinity[2]`; empty for the whole text.
    pub path: String,
    /// What libxl's schema wants there.
    pub expected: String,
    /// What is there, shortened.
    pub found: String,
}

impl JsonError {
    pub(crate) fn new(expected: impl Into<String>, found: &Value) -> Self {
        let mut text = found.to_string();
        if text.chars().count() > 40 {
            text = text.chars().take(37).chain("...".chars()).collect();
        }
        JsonError {
            path: String::new(),
            expected: expected.into(),
            found: text,
        }
    }

    /// The same error, seen from the record that has the member.
    pub(crate) fn within(mut self, member: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => member.to_owned(),
            path if path.starts_with('[') => format!("{member}{path}"),
            path => format!("{member}.{path}"),
        };
        self
    }
}

/// A type of libxl's schema.
pub(crate) trait Json: Sized + Default {
    /// The value as libxl writes it.
    fn to_json(&self) -> Value;

    /// The value libxl meant.
    fn from_json(value: &Value) -> Result<Self, JsonError>;

    /// Whether a record leaves the member out.
    fn is_initial(&self) -> bool;

    /// Adds the member to a record, or leaves it out. Unions override it: their key carries the variant's name.
    fn write_member(&self, key: &str, record: &mut Map<String, Value>) {
        if !self.is_initial() {
            record.insert(key.to_owned(), self.to_json());
        }
    }

    /// Takes the member out of a record; its initial value if it is not there.
    fn read_member(key: &str, record: &Map<String, Value>) -> Result<Self, JsonError> {
        match record.get(key) {
            Some(value) => Self::from_json(value).map_err(|error| error.within(key)),
            None => Ok(Self::default()),
        }
    }
}

impl DomainConfig {
    /// The configuration as libxl's `domain_config` JSON object.
    pub fn to_libxl_json(&self) -> Value {
        self.to_json()
    }

    /// Reads libxl's `domain_config` JSON object; members that libxl 4.20 does not know are skipped, as libxl does.
    ///
    /// # Errors
    /// A member of the wrong type or with a name or number that libxl does not know.
    pub fn from_libxl_json(value: &Value) -> Result<Self, JsonError> {
        Self::from_json(value)
    }

    /// Reads the text of a `libxl-json` file.
    ///
    /// # Errors
    /// Text that is no JSON, or a member as in [`DomainConfig::from_libxl_json`].
    pub fn from_libxl_json_text(text: &[u8]) -> Result<Self, JsonError> {
        // libxl stores the text with its terminating NUL.
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        let value = serde_json::from_slice(text).map_err(|error| JsonError {
            path: String::new(),
            expected: "a JSON object".to_owned(),
            found: error.to_string(),
        })?;
        Self::from_json(&value)
    }
}

impl Disk {
    /// The disk as libxl's `device_disk` JSON object.
    pub fn to_libxl_json(&self) -> Value {
        self.to_json()
    }
}

impl Nic {
    /// The interface as libxl's `device_nic` JSON object.
    pub fn to_libxl_json(&self) -> Value {
        self.to_json()
    }
}

//! Virtual network interfaces as xl-network-configuration(5) writes them.

mod mac;
mod rate;
mod specification;

pub use mac::{MacAddress, MacError};
pub use rate::{Rate, RateError};
pub use specification::{NicError, apply_word};

//! The parts of the hostile guest: what values it offers, what calls it shapes, how it treats its processor.

pub mod calls;
pub mod processor;
pub mod values;

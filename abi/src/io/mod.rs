//! Pages shared between a guest and the tools (`public/io`).

pub mod console;
pub mod xs_wire;

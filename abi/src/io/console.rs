//! The console ring (`public/io/console.h`). Indices run freely; the place in a ring is the index modulo its size.

structures! {
    /// The console page.
    pub struct XenconsInterface("struct xencons_interface", 3088) {
        /// To the guest.
        0 in_: [u8; 1024] => "in",
        /// From the guest.
        1024 out: [u8; 2048],
        /// Read by the guest.
        3072 in_cons: u32,
        /// Written for the guest.
        3076 in_prod: u32,
        /// Read from the guest.
        3080 out_cons: u32,
        /// Written by the guest.
        3084 out_prod: u32,
    }
}

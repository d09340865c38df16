//! Callback types (`public/callback.h`). PV only; HVM and PVH guests get `ENOSYS`.

numbers! {
    /// Register an entry point.
    pub const CALLBACKOP_REGISTER: u32 = 0;
    /// Remove an entry point.
    pub const CALLBACKOP_UNREGISTER: u32 = 1;
}

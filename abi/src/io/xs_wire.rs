//! Xenstore's messages and its ring (`public/io/xs_wire.h`). Indices run freely; the place in a ring is the index modulo its size.

numbers! {
    /// Commands to the daemon.
    pub const XS_CONTROL: u32 = 0 => "XS_CONTROL";
    /// Names of children.
    pub const XS_DIRECTORY: u32 = 1 => "XS_DIRECTORY";
    /// Value of a node.
    pub const XS_READ: u32 = 2 => "XS_READ";
    /// Permissions of a node.
    pub const XS_GET_PERMS: u32 = 3 => "XS_GET_PERMS";
    /// Watch a path.
    pub const XS_WATCH: u32 = 4 => "XS_WATCH";
    /// Stop watching.
    pub const XS_UNWATCH: u32 = 5 => "XS_UNWATCH";
    /// Start a transaction.
    pub const XS_TRANSACTION_START: u32 = 6 => "XS_TRANSACTION_START";
    /// End a transaction.
    pub const XS_TRANSACTION_END: u32 = 7 => "XS_TRANSACTION_END";
    /// Connect a domain.
    pub const XS_INTRODUCE: u32 = 8 => "XS_INTRODUCE";
    /// Disconnect a domain.
    pub const XS_RELEASE: u32 = 9 => "XS_RELEASE";
    /// Home of a domain.
    pub const XS_GET_DOMAIN_PATH: u32 = 10 => "XS_GET_DOMAIN_PATH";
    /// Set a value.
    pub const XS_WRITE: u32 = 11 => "XS_WRITE";
    /// Make a node.
    pub const XS_MKDIR: u32 = 12 => "XS_MKDIR";
    /// Remove a node.
    pub const XS_RM: u32 = 13 => "XS_RM";
    /// Set permissions.
    pub const XS_SET_PERMS: u32 = 14 => "XS_SET_PERMS";
    /// From the daemon: a watch fired.
    pub const XS_WATCH_EVENT: u32 = 15 => "XS_WATCH_EVENT";
    /// From the daemon: the request failed.
    pub const XS_ERROR: u32 = 16 => "XS_ERROR";
    /// Whether a domain is connected.
    pub const XS_IS_DOMAIN_INTRODUCED: u32 = 17 => "XS_IS_DOMAIN_INTRODUCED";
    /// A domain goes on after it was suspended.
    pub const XS_RESUME: u32 = 18 => "XS_RESUME";
    /// Name the domain a device model serves.
    pub const XS_SET_TARGET: u32 = 19 => "XS_SET_TARGET";
    /// Drop all watches and transactions.
    pub const XS_RESET_WATCHES: u32 = 21 => "XS_RESET_WATCHES";
    /// Names of children, in parts.
    pub const XS_DIRECTORY_PART: u32 = 22 => "XS_DIRECTORY_PART";
    /// Types there are.
    pub const XS_TYPE_COUNT: u32 = 23 => "XS_TYPE_COUNT";
    /// No type.
    pub const XS_INVALID: u32 = 0xffff => "XS_INVALID";

    /// Bytes of a ring.
    pub const XENSTORE_RING_SIZE: usize = 1024;
    /// Bytes of a message without its header.
    pub const XENSTORE_PAYLOAD_MAX: usize = 4096;
    /// Bytes of an absolute path.
    pub const XENSTORE_ABS_PATH_MAX: usize = 3072;
    /// Bytes of a relative path.
    pub const XENSTORE_REL_PATH_MAX: usize = 2048;
    /// Server feature: reconnection.
    pub const XENSTORE_SERVER_FEATURE_RECONNECTION: u32 = 1;
    /// Server feature: errors are told.
    pub const XENSTORE_SERVER_FEATURE_ERROR: u32 = 2;
    /// Connection state.
    pub const XENSTORE_CONNECTED: u32 = 0;
    /// Connection state: the guest wants to start anew.
    pub const XENSTORE_RECONNECT: u32 = 1;
    /// No error.
    pub const XENSTORE_ERROR_NONE: u32 = 0;
    /// The ring cannot be reached.
    pub const XENSTORE_ERROR_COMM: u32 = 1;
    /// Indices are wrong.
    pub const XENSTORE_ERROR_RINGIDX: u32 = 2;
    /// A message is wrong.
    pub const XENSTORE_ERROR_PROTO: u32 = 3;
}

structures! {
    /// Header of a message.
    pub struct XsdSockmsg("struct xsd_sockmsg", 16) {
        /// `XS_*`.
        0 kind: u32,
        /// Chosen by the client, repeated in the answer.
        4 req_id: u32,
        /// Transaction, 0 for none.
        8 tx_id: u32,
        /// Bytes that follow.
        12 len: u32,
    }

    /// The xenstore page; bytes after it are 0.
    pub struct XenstoreDomainInterface("struct xenstore_domain_interface", 2076) {
        /// Requests.
        0 req: [u8; 1024],
        /// Answers and watch events.
        1024 rsp: [u8; 1024],
        /// Requests read by the daemon.
        2048 req_cons: u32,
        /// Requests written by the guest.
        2052 req_prod: u32,
        /// Answers read by the guest.
        2056 rsp_cons: u32,
        /// Answers written by the daemon.
        2060 rsp_prod: u32,
        /// `XENSTORE_SERVER_FEATURE_*`.
        2064 server_features: u32,
        /// [`XENSTORE_CONNECTED`] or [`XENSTORE_RECONNECT`].
        2068 connection: u32,
        /// `XENSTORE_ERROR_*`.
        2072 error: u32,
    }
}

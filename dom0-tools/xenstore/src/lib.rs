//! xenstore: wire codec, paths, permissions, the store itself, and clients.

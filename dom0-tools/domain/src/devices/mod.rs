//! Disks and network interfaces, from the store to the back ends.

//! Where the store is found, as libxenstore 4.20 looks for it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Directory of the daemon's socket.
const RUN_DIR: &str = "/run/xenstored";
/// The same on systems where `/run` and `/var/run` are two places.
const OLD_RUN_DIR: &str = "/var/run/xenstored";
/// The kernel's own connection, for user space.
const DEVICE: &str = "/dev/xen/xenbus";
/// The same in old kernels.
const OLD_DEVICE: &str = "/proc/xen/xenbus";

/// A way to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// The daemon's Unix socket.
    Socket(PathBuf),
    /// The kernel's character device: one more client of the ring the kernel has to the daemon.
    Device(PathBuf),
}

/// The variables of the environment that move the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// `XENSTORED_PATH`: the socket, or the device, and nothing else.
    pub path: Option<OsString>,
    /// `XENSTORED_RUNDIR`: the directory of `socket`.
    pub run_dir: Option<OsString>,
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        let path = std::env::var_os("XENSTORED_PATH");
        let run_dir = std::env::var_os("XENSTORED_RUNDIR");
        Self { path, run_dir }
    }

    /// Where to look, in this order: the daemon's socket first, then the kernel's device. `is_socket` tells what a given path is.
    pub fn locations(&self, is_socket: impl Fn(&Path) -> bool) -> Vec<Location> {
        if let Some(path) = &self.path {
            let path = PathBuf::from(path);
            return vec![if is_socket(&path) {
                Location::Socket(path)
            } else {
                Location::Device(path)
            }];
        }
        let dirs = match &self.run_dir {
            Some(dir) => vec![PathBuf::from(dir)],
            None => [RUN_DIR, OLD_RUN_DIR].map(PathBuf::from).to_vec(),
        };
        let sockets = dirs
            .into_iter()
            .map(|dir| Location::Socket(dir.join("socket")));
        let devices = [DEVICE, OLD_DEVICE].map(|path| Location::Device(path.into()));
        sockets.chain(devices).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(environment: &Environment) -> Vec<String> {
        let name = |location| match location {
            Location::Socket(path) => format!("socket {}", path.display()),
            Location::Device(path) => format!("device {}", path.display()),
        };
        let is_socket = |path: &Path| path.ends_with("socket");
        let locations = environment.locations(is_socket);
        locations.into_iter().map(name).collect()
    }

    #[test]
    fn the_socket_comes_before_the_device() {
        let all = [
            "socket /run/xenstored/socket",
            "socket /var/run/xenstored/socket",
            "device /dev/xen/xenbus",
            "device /proc/xen/xenbus",
        ];
        assert_eq!(names(&Environment::default()), all);
    }

    #[test]
    fn the_environment_moves_the_socket() {
        let mut environment = Environment {
            path: None,
            run_dir: Some("/tmp/x".into()),
        };
        assert_eq!(names(&environment)[0], "socket /tmp/x/socket");
        assert_eq!(names(&environment).len(), 3);
        environment.path = Some("/tmp/y/socket".into());
        assert_eq!(names(&environment), ["socket /tmp/y/socket"]);
        environment.path = Some("/tmp/xenbus".into());
        assert_eq!(names(&environment), ["device /tmp/xenbus"]);
    }
}

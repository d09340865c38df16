//! Which tools dom0 has: Debian's, ours, or some of each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cpio::Archive;
use crate::dom0_initramfs::collect_files;

/// Where Debian's commands look for the programs of this version of Xen.
const PROGRAMS: &str = "usr/lib/xen-4.20/bin";
const DAEMONS: [&str; 2] = ["xenstored", "xenconsoled"];
const COMMANDS: [&str; 3] = ["xl", "xentop", "xenconsole"];
const START_UP: &str = "xen-init-dom0";
/// One program with many names.
const STORE_UTILITY: &str = "xenstore";
/// What scenarios load the store with.
const STORM: &str = "storm";
const STORE_UTILITIES: [&str; 8] = [
    "xenstore-chmod",
    "xenstore-exists",
    "xenstore-list",
    "xenstore-ls",
    "xenstore-read",
    "xenstore-rm",
    "xenstore-watch",
    "xenstore-write",
];

/// Where `make install-tools` puts them for [`Tools::Installed`].
const INSTALLED: &str = "target/installed";

/// The tools in dom0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tools {
    /// Debian's, unmodified.
    #[default]
    Stock,
    /// Ours, and nothing of Debian's.
    Own,
    /// Our daemons under Debian's commands.
    OwnDaemons,
    /// Our commands over Debian's daemons.
    OwnCommands,
    /// Debian's in their places, ours beside them in `/own`.
    Both,
    /// Debian's in their places, ours where `make install-tools` puts them.
    Installed,
}

impl Tools {
    /// `stock`, `own`, `own-daemons`, `own-commands`, `both`, `installed`.
    pub fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "stock" => Self::Stock,
            "own" => Self::Own,
            "own-daemons" => Self::OwnDaemons,
            "own-commands" => Self::OwnCommands,
            "both" => Self::Both,
            "installed" => Self::Installed,
            _ => return Err(format!("{word:?} is no set of tools")),
        })
    }

    /// The word for it in a log's name; nothing for Debian's.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Stock => "",
            Self::Own => "-own",
            Self::OwnDaemons => "-own-daemons",
            Self::OwnCommands => "-own-commands",
            Self::Both => "-both",
            Self::Installed => "-installed",
        }
    }

    /// Whether Debian's tools are in dom0 at all.
    pub const fn has_stock(self) -> bool {
        !matches!(self, Self::Own)
    }

    /// What is laid over dom0's files, with ours from the directory `built`.
    pub fn overlay(self, built: &Path) -> Result<Vec<u8>, String> {
        let mut archive = Archive::default();
        if self == Self::Installed {
            add_installed(&mut archive, Path::new(INSTALLED))?;
        }
        for (place, name) in self.programs() {
            let path = built.join(name);
            let bytes = fs::read(&path)
                .map_err(|error| format!("{}: {error}: run make tools", path.display()))?;
            archive.file(&place, true, &bytes);
        }
        if self == Self::Own {
            for name in STORE_UTILITIES {
                archive.link(&format!("usr/bin/{name}"), STORE_UTILITY);
            }
        }
        Ok(archive.finish())
    }

    /// Where which of ours goes.
    fn programs(self) -> Vec<(String, &'static str)> {
        let below = |directory: &str, names: &[&'static str]| {
            let place = |name: &&'static str| (format!("{directory}/{name}"), *name);
            names.iter().map(place).collect::<Vec<_>>()
        };
        match self {
            Self::Stock | Self::Installed => vec![],
            Self::OwnDaemons => below(PROGRAMS, &DAEMONS),
            Self::OwnCommands => below(PROGRAMS, &COMMANDS),
            Self::Own => [
                below(PROGRAMS, &DAEMONS),
                below(PROGRAMS, &COMMANDS),
                below(PROGRAMS, &[START_UP]),
                below("usr/bin", &[STORE_UTILITY, STORM]),
            ]
            .concat(),
            Self::Both => [
                below("own", &DAEMONS),
                below("own", &COMMANDS),
                below("own", &[START_UP]),
            ]
            .concat(),
        }
    }
}

/// Everything below the directory, as it would be on a disk.
fn add_installed(archive: &mut Archive, root: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    collect_files(root, &mut files)
        .map_err(|reason| format!("{reason}: run make install-tools DESTDIR={INSTALLED}"))?;
    for path in files {
        let failed = |error| format!("{}: {error}", path.display());
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        if path.is_symlink() {
            let target = fs::read_link(&path).map_err(failed)?;
            archive.link(&name, &target.to_string_lossy());
        } else {
            let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
            archive.file(&name, mode & 0o111 != 0, &fs::read(&path).map_err(failed)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_tools_and_its_log() {
        for word in ["own", "own-daemons", "own-commands", "both", "installed"] {
            let tools = Tools::parse(word).unwrap();
            assert_eq!(tools.suffix(), format!("-{word}"));
        }
        assert_eq!(Tools::parse("stock"), Ok(Tools::Stock));
        assert!(Tools::parse("ours").is_err());
    }

    #[test]
    fn a_missing_program_names_the_command_that_makes_it() {
        let reason = Tools::OwnDaemons
            .overlay(Path::new("/nowhere"))
            .unwrap_err();
        assert!(reason.contains("/nowhere/xenstored") && reason.contains("make tools"));
    }

    #[test]
    fn only_our_tools_alone_leave_debians_out() {
        assert!(!Tools::Own.has_stock());
        assert!(Tools::Both.has_stock() && Tools::OwnDaemons.has_stock());
    }
}

//! What the program does.

/// A command.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Shows values.
    Read,
    /// Sets values.
    Write,
    /// Removes nodes.
    Rm,
    /// Tells by its exit code whether nodes exist.
    Exists,
    /// Shows the names of children.
    List,
    /// Shows a part of the tree.
    Ls,
    /// Sets permissions.
    Chmod,
    /// Shows changes as they happen.
    Watch,
}

impl Mode {
    /// The command of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "read" => Self::Read,
            "write" => Self::Write,
            "rm" => Self::Rm,
            "exists" => Self::Exists,
            "list" => Self::List,
            "ls" => Self::Ls,
            "chmod" => Self::Chmod,
            "watch" => Self::Watch,
            _ => return None,
        })
    }

    /// Its options, one letter each. `h` and `s` are everybody's.
    pub const fn options(self) -> &'static str {
        match self {
            Self::Read => "pR",
            Self::Write => "R",
            Self::Rm => "t",
            Self::Exists => "",
            Self::List => "p",
            Self::Ls => "fp",
            Self::Chmod => "ur",
            Self::Watch => "n",
        }
    }

    /// How it is called, after its name.
    pub const fn usage(self) -> &'static str {
        match self {
            Self::Read => "[-h] [-p] [-R] key [...]",
            Self::Write => "[-h] [-R] key value [...]",
            Self::Rm => "[-h] [-t] key [...]",
            Self::Exists | Self::List => "[-h] [-p] key [...]",
            Self::Ls => "[-h] [-f] [-p] [path]",
            Self::Chmod => "[-h] [-u] [-r] key <mode [modes...]>",
            Self::Watch => "[-h] [-n NR] key",
        }
    }
}

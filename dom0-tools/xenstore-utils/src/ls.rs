//! The command ls: a part of the tree, a node a line, children after their parents.
//!
//! On a terminal, lines end at its border; elsewhere at 80 columns, as Xen's program has it. `-f` gives whole paths and whole values.

use std::io::{self, BufWriter, Write};

use rustix::stdio::stdout;
use rustix::termios::tcgetwinsize;
use xenstore::{Access, Tx};

use crate::command_line::CommandLine;
use crate::errors::{Failure, reason};
use crate::escape::escape;

/// What a value that was cut needs besides its text.
const TAG: usize = " = \"...\"".len();
/// Where permissions begin, if the line is not longer.
const PERMISSIONS_COLUMN: usize = 60;

/// How lines look.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Layout {
    /// `None`: lines are never cut.
    width: Option<usize>,
    is_flat: bool,
    has_permissions: bool,
}

/// Shows a part of the tree, or all of it.
pub fn run(store: &dyn Access, line: &CommandLine) -> Result<(), Failure> {
    let layout = Layout {
        width: if line.is_flat { None } else { width() },
        is_flat: line.is_flat,
        has_permissions: line.has_prefix,
    };
    let mut paths: Vec<String> = line.paths().collect();
    if paths.is_empty() {
        paths.push("/".into());
    }
    let mut output = BufWriter::new(io::stdout().lock());
    for path in paths {
        match children(store, &path, 0, layout, &mut output) {
            Ok(()) => {}
            Err(Problem::Refused(failure)) => return Err(failure),
            Err(Problem::Output(error)) => return written(Err(error)),
        }
    }
    written(output.flush())
}

/// A reader that went away has had enough.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::said(format_args!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// The terminal's; one that does not know its own is infinitely wide.
fn width() -> Option<usize> {
    match tcgetwinsize(stdout()) {
        Ok(size) => usize::from(size.ws_col).checked_sub(2),
        Err(_) => Some(80),
    }
}

#[derive(Debug)]
enum Problem {
    Refused(Failure),
    Output(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn children(
    store: &dyn Access,
    path: &str,
    depth: usize,
    layout: Layout,
    output: &mut impl Write,
) -> Result<(), Problem> {
    let names = match store.list(Tx::NONE, path) {
        Ok(names) => names,
        // It was removed while we went through its parent.
        Err(error) if depth > 0 && error.is_not_found() => return Ok(()),
        Err(error) => {
            let reason = reason(&error);
            let text = format_args!("xs_directory ({path}): {reason}").to_string();
            return Err(Problem::Refused(Failure::Said(text)));
        }
    };
    for name in names {
        let child = format!("{}/{name}", path.strip_suffix('/').unwrap_or(path));
        let value = store.read(Tx::NONE, &child).ok();
        output.write_all(
            layout
                .line(&child, &name, depth, value.as_deref())
                .as_bytes(),
        )?;
        if layout.has_permissions {
            show_permissions(store, &child, output)?;
        }
        output.write_all(b"\n")?;
        children(store, &child, depth + 1, layout, output)?;
    }
    Ok(())
}

fn show_permissions(store: &dyn Access, path: &str, output: &mut impl Write) -> io::Result<()> {
    // The node may be gone meanwhile; then the next list says so.
    let permissions = store.permissions(Tx::NONE, path).unwrap_or_default();
    let words: Vec<String> = permissions.iter().map(ToString::to_string).collect();
    write!(output, "  ({})", words.join(","))
}

impl Layout {
    /// A node without its permissions.
    fn line(self, path: &str, name: &str, depth: usize, value: Option<&[u8]>) -> String {
        let mut line = if self.is_flat {
            path.to_owned()
        } else {
            format!("{:depth$}{}", "", self.cut(name, depth))
        };
        let start = if self.is_flat { 0 } else { line.len() };
        let Some(value) = value else {
            return line + ":\n";
        };
        let text = escape(value);
        if self
            .width
            .is_some_and(|width| width < start + value.len() + TAG)
        {
            return line + &format!(" = \"{}\\...\"", self.cut(&text, start));
        }
        line.push_str(&format!(" = \"{text}\""));
        if self.has_permissions {
            line.push(' ');
            let end = self.width.map_or(0, |width| width.min(PERMISSIONS_COLUMN));
            let dots = (line.len()..end).map(|column| if column % 2 == 1 { '.' } else { ' ' });
            line.extend(dots);
        }
        line
    }

    /// As much of a text as there is room for, if there is any room at all.
    fn cut(self, text: &str, used: usize) -> &str {
        let room = self.width.and_then(|width| width.checked_sub(TAG + used));
        match room {
            Some(room) if room < text.len() => text.get(..room).unwrap_or(text),
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout {
        width: Some(80),
        is_flat: false,
        has_permissions: false,
    };

    #[test]
    fn children_are_indented() {
        let line = PLAIN.line("/local/domain/0", "0", 2, Some(b""));
        assert_eq!(line, r#"  0 = """#);
    }

    #[test]
    fn long_values_are_cut_at_the_border() {
        let line = PLAIN.line("/t/long", "long", 1, Some(&[b'x'; 200]));
        assert_eq!(line, format!(" long = \"{}\\...\"", "x".repeat(67)));
        let exact = PLAIN.line("/t/long", "long", 1, Some(&[b'x'; 67]));
        assert_eq!(exact, format!(" long = \"{}\"", "x".repeat(67)));
    }

    #[test]
    fn permissions_begin_in_one_column() {
        let layout = Layout {
            has_permissions: true,
            ..PLAIN
        };
        let line = layout.line("/t/a", "a", 0, Some(b"1"));
        assert_eq!(line.len(), PERMISSIONS_COLUMN);
        assert!(
            line.starts_with("a = \"1\"  . . .") && line.ends_with(" . ."),
            "{line}"
        );
    }

    #[test]
    fn whole_paths_have_whole_values() {
        let layout = Layout {
            width: None,
            is_flat: true,
            has_permissions: true,
        };
        let line = layout.line("/t/long", "long", 1, Some(&[b'x'; 200]));
        assert_eq!(line, format!("/t/long = \"{}\" ", "x".repeat(200)));
    }

    #[test]
    fn a_node_that_can_not_be_read_has_no_value() {
        assert_eq!(PLAIN.line("/t/a", "a", 0, None), "a:\n");
    }
}

//! The command line: options before the command, the command (or an unambiguous beginning of it), its options and arguments.
//!
//! Options, exit codes and the messages for wrong ones are those of xl 4.20. `--json`, `--help` and `--version` are additions.

pub mod generate;
pub mod usage;
mod verb;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser};

pub use verb::{Line, Verb};

use crate::failure::Failure;

/// Options before the command.
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "xl", disable_help_flag = true, args_override_self = true)]
pub struct Globals {
    /// Be verbose; more often for more.
    #[arg(short = 'v', action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Go on where xl would refuse.
    #[arg(short = 'f')]
    pub force: bool,
    /// Dry run: say what would be done, for the commands that can.
    #[arg(short = 'N')]
    pub dry_run: bool,
    /// Show progress on one line.
    #[arg(short = 't')]
    pub one_line: bool,
    /// Put time and process id before messages.
    #[arg(short = 'T')]
    pub timestamps: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// List the commands.
    #[arg(long)]
    pub help: bool,
    /// Print the version of this program.
    #[arg(long)]
    pub version: bool,
    /// Print shell completions (`completions bash`, `zsh`, `fish`) or a manual page (`man [COMMAND]`).
    #[arg(long, hide = true)]
    pub generate: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// A command to run.
    Run {
        /// The command.
        verb: Box<Verb>,
        /// `--json` stood behind it.
        json: bool,
    },
    /// Something to print.
    Print {
        /// For standard output.
        text: String,
        /// The exit code.
        code: u8,
    },
    /// Arguments are missing.
    Refuse {
        /// For standard error.
        complaint: String,
        /// For standard output.
        usage: String,
    },
}

/// Splits the options before the command from the rest, and reads them.
pub fn globals(arguments: Vec<OsString>) -> Result<(Globals, Vec<OsString>), Failure> {
    let starts_command = |word: &OsString| word == "--" || !word.to_string_lossy().starts_with('-');
    let options = arguments.iter().position(starts_command);
    let (options, rest) = arguments.split_at(options.unwrap_or(arguments.len()));
    let rest = match rest.split_first() {
        Some((separator, rest)) if separator == "--" => rest,
        _ => rest,
    };
    let program = OsString::from("xl");
    let parsed = Globals::try_parse_from(std::iter::once(&program).chain(options))
        .map_err(|_| Failure::said("unknown global option"))?;
    Ok((parsed, rest.to_vec()))
}

/// Reads the command and its arguments.
pub fn request(globals: &Globals, rest: &[OsString]) -> Result<Request, Failure> {
    if globals.version {
        return Ok(printed(format!("xl {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if globals.generate {
        return generate::text(rest).map(printed);
    }
    let Some((name, arguments)) = rest.split_first() else {
        let code = if globals.help { 0 } else { Failure::FAILED };
        let text = usage::all();
        return Ok(Request::Print { text, code });
    };
    let name = name.to_string_lossy();
    match verb::lookup(&name) {
        Some(verb::Found::Supported(name)) => command(globals, name, arguments),
        Some(verb::Found::Unsupported(command)) => Err(Failure::said(command.refusal())),
        None if name == "help" => {
            let about = arguments.first().map(|word| word.to_string_lossy());
            Ok(printed(usage::help(about.as_deref())))
        }
        None => Err(Failure::said("command not implemented")),
    }
}

fn printed(text: String) -> Request {
    Request::Print { text, code: 0 }
}

fn command(
    globals: &Globals,
    name: &'static str,
    arguments: &[OsString],
) -> Result<Request, Failure> {
    if globals.dry_run && !verb::can_dry_run(name) {
        return Err(Failure::said(
            "command does not implement -N (dryrun) option",
        ));
    }
    let words = [OsString::from("xl"), OsString::from(name)];
    let parsed = Line::command()
        .try_get_matches_from(words.iter().chain(arguments))
        .and_then(|matches| Line::from_arg_matches(&matches));
    match parsed {
        Ok(line) => Ok(Request::Run {
            verb: Box::new(line.verb),
            json: line.json,
        }),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(printed(usage::one(name))),
        Err(error) => refuse(name, &error),
    }
}

/// What xl says about a wrong option, a missing value or too few arguments. The last prints the command's usage, too.
fn refuse(name: &str, error: &clap::Error) -> Result<Request, Failure> {
    if error.kind() != ErrorKind::MissingRequiredArgument {
        return Err(Failure::with_code(
            Failure::USAGE,
            format!("option `{}' not supported.", culprit(name, error)),
        ));
    }
    let required = usage::required(name);
    let plural = if required > 1 { "s" } else { "" };
    Ok(Request::Refuse {
        complaint: format!("'xl {name}' requires at least {required} argument{plural}."),
        usage: usage::one(name),
    })
}

/// The option that `error` is about: its letter if it has one.
fn culprit(name: &str, error: &clap::Error) -> String {
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let command = usage::command(name);
    let letter = command
        .get_arguments()
        .find(|argument| argument.to_string() == about)
        .and_then(clap::Arg::get_short);
    let bare = about
        .strip_prefix('-')
        .filter(|rest| !rest.starts_with('-'));
    match (letter, bare.and_then(|rest| rest.chars().next())) {
        (Some(letter), _) | (None, Some(letter)) => letter.to_string(),
        (None, None) => about,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn read(line: &str) -> Result<Request, Failure> {
        let (globals, rest) = globals(words(line))?;
        request(&globals, &rest)
    }

    fn refused(line: &str) -> (u8, String) {
        let failure = read(line).expect_err(line);
        (failure.code, failure.message)
    }

    fn shown(line: &str) -> (u8, String) {
        match read(line) {
            Ok(Request::Print { text, code }) => (code, text),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn no_command_lists_all_and_fails() {
        let (code, text) = shown("");
        assert_eq!(code, 1);
        assert!(text.starts_with(
            "Usage xl [-vfNtT] <subcommand> [args]\n\nxl full list of subcommands:\n\n create "
        ));
        assert_eq!(shown("help"), (0, text));
    }

    #[test]
    fn options_of_a_command_do_not_belong_before_it() {
        assert_eq!(refused("-x list"), (1, "unknown global option".into()));
        assert_eq!(refused("--nonsense"), (1, "unknown global option".into()));
        assert!(matches!(read("-vvfT list -l"), Ok(Request::Run { .. })));
    }

    #[test]
    fn beginnings_of_names_are_enough_when_unambiguous() {
        assert!(matches!(read("li"), Ok(Request::Run { .. })));
        assert!(matches!(read("sched-credit"), Ok(Request::Run { .. })));
        assert_eq!(refused("c"), (1, "command not implemented".into()));
        assert_eq!(refused("nonsense"), (1, "command not implemented".into()));
    }

    #[test]
    fn unsupported_commands_say_so() {
        let (code, message) = refused("save alpha /tmp/x");
        assert_eq!(code, 1);
        assert_eq!(
            message,
            "'xl save' is not supported by this version of xl (Save a domain to a file)."
        );
    }

    #[test]
    fn wrong_options_are_named_by_letter() {
        assert_eq!(refused("list -x"), (2, "option `x' not supported.".into()));
        assert_eq!(refused("list -lx"), (2, "option `x' not supported.".into()));
        assert_eq!(
            refused("create -f"),
            (2, "option `f' not supported.".into())
        );
        assert_eq!(
            refused("sched-credit2 -d"),
            (2, "option `d' not supported.".into())
        );
    }

    #[test]
    fn too_few_arguments_print_the_usage() {
        let Ok(Request::Refuse { complaint, usage }) = read("rename 0") else {
            panic!("not refused");
        };
        assert_eq!(complaint, "'xl rename' requires at least 2 arguments.");
        assert!(usage.starts_with("Usage: xl [-vtTf] rename <Domain> <NewDomainName>\n\n"));
    }

    #[test]
    fn help_of_a_command_succeeds() {
        assert_eq!(shown("list -h").0, 0);
        assert_eq!(shown("list --help"), shown("help list"));
        assert_eq!(
            shown("help nonsense"),
            (0, "command \"nonsense\" not implemented\n".into())
        );
    }

    #[test]
    fn a_dry_run_is_for_commands_that_can() {
        let message = "command does not implement -N (dryrun) option";
        assert_eq!(refused("-N pause 0"), (1, message.into()));
        assert!(matches!(read("-N create x.cfg"), Ok(Request::Run { .. })));
    }

    #[test]
    fn options_may_follow_arguments_be_repeated_and_shortened() {
        assert!(matches!(
            read("list Domain-0 -l -l"),
            Ok(Request::Run { .. })
        ));
        assert!(matches!(read("list --verb"), Ok(Request::Run { .. })));
        assert!(matches!(
            read("sched-credit2 -d 0 -w -5"),
            Ok(Request::Run { .. })
        ));
        assert!(matches!(
            read("list --json Domain-0"),
            Ok(Request::Run { .. })
        ));
    }
}

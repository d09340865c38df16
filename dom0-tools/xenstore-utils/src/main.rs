//! `xenstore`: reads and changes the store from scripts. By the name `xenstore-read` it is `xenstore read`, and so on.
//!
//! Options, output and exit codes are those of Xen's programs: what scripts rely on.

mod change;
mod command_line;
mod errors;
mod escape;
mod ls;
mod mode;
mod read;
#[cfg(test)]
mod tests;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use xenstore::client::Client;
use xenstore::{Access, Tx};

use command_line::{CommandLine, Parsed, parse};
use errors::{Failure, reason};
use mode::Mode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = command_line::short_name(arguments.first());
    let say = |texts: Vec<String>| texts.iter().for_each(|text| eprintln!("{name}: {text}"));
    let outcome = match parse(&arguments) {
        Ok(Parsed { line, complaints }) => {
            say(complaints);
            run(&line)
        }
        Err(complaints) => {
            say(complaints);
            Err(Failure::Silent)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Failure::Said(text) = failure {
                eprintln!("{name}: {text}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(line: &CommandLine) -> Result<(), Failure> {
    let store = Client::connect()
        .map_err(|error| Failure::said(format_args!("xs_open: {}", reason(&error))))?;
    match line.mode {
        Mode::Ls => ls::run(&store, line),
        Mode::Watch => watch::run(&store, line),
        _ => in_transaction(&store, line),
    }
}

/// All of a command, or nothing; anew when somebody else changed the same nodes meanwhile. What was found so far is shown even if not all was.
fn in_transaction(store: &dyn Access, line: &CommandLine) -> Result<(), Failure> {
    loop {
        let tx = match line.needs_transaction() {
            true => store
                .begin()
                .map_err(|_| Failure::said("couldn't start transaction"))?,
            false => Tx::NONE,
        };
        let mut output = Vec::new();
        let result = perform(store, tx, line, &mut output);
        let is_done = tx == Tx::NONE
            || store
                .end(tx, result.is_ok())
                .map_err(|_| Failure::said("couldn't end transaction"))?;
        if is_done || result.is_err() {
            // A reader that went away has had enough.
            let _ = std::io::stdout().write_all(&output);
            return result;
        }
    }
}

fn perform(
    store: &dyn Access,
    tx: Tx,
    line: &CommandLine,
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    match line.mode {
        Mode::Read => read::read(store, tx, line, output),
        Mode::List => read::list(store, tx, line, output),
        Mode::Exists => read::exists(store, tx, line),
        Mode::Write => change::write(store, tx, line),
        Mode::Rm => change::remove(store, tx, line),
        Mode::Chmod => change::chmod(store, tx, line),
        Mode::Ls | Mode::Watch => Ok(()),
    }
}

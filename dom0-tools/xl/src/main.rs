//! The command `xl`: manages domains of a Xen-compatible hypervisor from dom0, as the xl of Xen 4.20 does.
//!
//! `cli` reads the command line, [`commands`] has a file for each command, `output` prints, and `context` opens what a command needs when it
//! needs it: everything goes through `xenctl::Hypervisor` and `xenstore::Access`, so that all commands run against fakes in tests.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod configuration;
mod context;
mod device;
mod failure;
mod life;
mod output;
mod parse;
mod progress;
mod select;
mod settings;
#[cfg(test)]
mod testing;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::{Globals, Request, Verb};
use crate::context::{Context, Dom0};
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    let code = match cli::globals(arguments) {
        Ok((globals, rest)) => match cli::request(&globals, &rest) {
            Ok(request) => serve(globals, request),
            Err(failure) => refuse(&failure),
        },
        Err(failure) => refuse(&failure),
    };
    ExitCode::from(code)
}

fn refuse(failure: &Failure) -> u8 {
    eprintln!("{failure}");
    failure.code
}

fn serve(globals: Globals, request: Request) -> u8 {
    match request {
        Request::Print { text, code } => {
            // Nobody may be there to read it.
            drop(std::io::stdout().write_all(text.as_bytes()));
            code
        }
        Request::Refuse { complaint, usage } => {
            eprintln!("{complaint}\n");
            drop(std::io::stdout().write_all(usage.as_bytes()));
            Failure::USAGE
        }
        Request::Run { verb, json } => {
            log_to_stderr(&globals);
            let globals = Globals {
                json: globals.json || json,
                ..globals
            };
            run(
                &Context::new(globals, Output::of_process(), Box::new(Dom0)),
                &verb,
            )
        }
    }
}

/// What the libraries report goes to standard error: warnings, and more with each `-v`.
fn log_to_stderr(globals: &Globals) {
    use tracing::level_filters::LevelFilter;
    let level = match globals.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // There is one only if this was called before.
    let _ = match globals.timestamps {
        true => lines.try_init(),
        false => lines.without_time().try_init(),
    };
}

/// Runs a command; reports how it ended, and gives the exit code.
fn run(context: &Context, verb: &Verb) -> u8 {
    let code = match verb.run(context) {
        Ok(()) => 0,
        Err(error) => report(context, &error),
    };
    match context.output.finish() {
        Err(error) if code == 0 => {
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                eprintln!("xl: stdout: {error}");
            }
            Failure::FAILED
        }
        _ => code,
    }
}

fn report(context: &Context, error: &anyhow::Error) -> u8 {
    let (code, lines) = failure::report(error);
    if context.json() && !lines.is_empty() {
        let text = json!({ "error": lines.last(), "causes": lines, "code": code });
        complain!(context, "{text}\n");
    } else {
        lines.iter().for_each(|line| complain!(context, "{line}\n"));
    }
    code
}

//! `xl help`: the list of commands, and the usage of one, made from the same definitions that read the command line.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::verb::{self, Line};

/// A command's definition.
pub fn command(name: &str) -> Command {
    let mut line = Line::command();
    line.build();
    let found = line.find_subcommand(name).cloned();
    found.unwrap_or_else(|| Command::new("xl"))
}

/// How many arguments a command can not do without.
pub fn required(name: &str) -> usize {
    let command = command(name);
    command
        .get_positionals()
        .filter(|argument| argument.is_required_set())
        .count()
}

/// What `xl help [ABOUT]` prints.
pub fn help(about: Option<&str>) -> String {
    match about {
        None | Some("help") => all(),
        Some(word) => match verb::lookup(word) {
            Some(verb::Found::Supported(name)) => one(name),
            Some(verb::Found::Unsupported(command)) => format!("{}\n", command.refusal()),
            None => format!("command \"{word}\" not implemented\n"),
        },
    }
}

/// All commands.
pub fn all() -> String {
    let mut text =
        "Usage xl [-vfNtT] <subcommand> [args]\n\nxl full list of subcommands:\n\n".to_owned();
    for command in Line::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        push(
            &mut text,
            format_args!(" {:<19} {about}\n", command.get_name()),
        );
    }
    text
}

/// Usage and options of a command.
pub fn one(name: &str) -> String {
    let command = command(name);
    let force = if verb::only_reads(name) { "" } else { "f" };
    let dry_run = if verb::can_dry_run(name) { "N" } else { "" };
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let arguments = arguments(&command);
    let mut text = format!("Usage: xl [-vtT{force}{dry_run}] {name}{arguments}\n\n{about}.\n\n");
    let options: Vec<String> = command
        .get_opts()
        .chain(flags(&command))
        .map(option)
        .collect();
    if !options.is_empty() {
        push(
            &mut text,
            format_args!("Options:\n\n{}\n\n", options.join("\n")),
        );
    }
    text
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_flag =
        |argument: &&Arg| !argument.is_positional() && !argument.get_action().takes_values();
    command.get_arguments().filter(is_flag)
}

fn arguments(command: &Command) -> String {
    let mut text = String::new();
    let has_options = command.get_arguments().any(|argument| {
        !argument.is_positional() && !matches!(argument.get_id().as_str(), "help" | "json")
    });
    if has_options {
        text.push_str(" [options]");
    }
    for argument in command
        .get_positionals()
        .filter(|argument| !argument.is_hide_set())
    {
        let name = argument.get_value_names().and_then(<[_]>::first);
        let name = name.map_or_else(String::new, ToString::to_string);
        let several = if matches!(argument.get_action(), ArgAction::Append) {
            " ..."
        } else {
            ""
        };
        if argument.is_required_set() {
            push(&mut text, format_args!(" <{name}>{several}"));
        } else {
            push(&mut text, format_args!(" [{name}{several}]"));
        }
    }
    text
}

fn option(argument: &Arg) -> String {
    let value = argument.get_action().takes_values().then(|| {
        let name = argument.get_value_names().and_then(<[_]>::first);
        name.map_or_else(|| "VALUE".to_owned(), ToString::to_string)
    });
    let short = argument.get_short().map(|letter| match &value {
        Some(value) => format!("-{letter} {value}"),
        None => format!("-{letter}"),
    });
    let long = argument.get_long().map(|long| match &value {
        Some(value) => format!("--{long}={value}"),
        None => format!("--{long}"),
    });
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let about = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("{:<36} {about}", names.join(", "))
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string can not fail.
    let _ = text.write_fmt(what);
}

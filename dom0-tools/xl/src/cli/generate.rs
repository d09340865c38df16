//! Shell completions and manual pages, made from the definitions that read the command line.

use std::ffi::OsString;

use clap::CommandFactory;
use clap_complete::Shell;

use super::usage;
use super::verb::{self, Line};
use crate::failure::Failure;

/// `completions SHELL` or `man [COMMAND]`.
pub fn text(words: &[OsString]) -> Result<String, Failure> {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    match words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["completions", shell] => completions(shell),
        ["man"] => page(Line::command(), "xl"),
        ["man", name] if verb::names().contains(name) => {
            page(usage::command(name), &format!("xl-{name}"))
        }
        ["man", name] => Err(Failure::said(format!("command \"{name}\" not implemented"))),
        _ => Err(Failure::with_code(
            Failure::USAGE,
            "xl --generate completions bash|zsh|fish, or xl --generate man [COMMAND]",
        )),
    }
}

fn completions(shell: &str) -> Result<String, Failure> {
    let shell: Shell = shell
        .parse()
        .map_err(|_| Failure::with_code(Failure::USAGE, format!("no completions for {shell}")))?;
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), "xl", &mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn page(command: clap::Command, title: &str) -> Result<String, Failure> {
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command)
        .title(title.to_owned())
        .section("1");
    page.render(&mut text)
        .map_err(|error| Failure::said(format!("can not make the page: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(line: &str) -> Result<String, Failure> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        text(&words)
    }

    #[test]
    fn completions_know_the_commands() {
        for shell in ["bash", "zsh", "fish"] {
            let text = made(&format!("completions {shell}")).expect(shell);
            assert!(text.contains("vcpu-pin"), "{shell}");
        }
        assert!(made("completions nonsense").is_err());
    }

    #[test]
    fn pages_describe_commands() {
        assert!(made("man").expect("page").contains("vcpu\\-pin"));
        assert!(made("man list").expect("page").contains("\\-\\-cpupool"));
        assert!(made("man nonsense").is_err());
    }
}

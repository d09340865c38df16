//! Shell completions and the manual page, made from the definition that reads the command line.

use anyhow::{Context, bail};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::options::Options;

const NAME: &str = "xentop";

/// `completions SHELL` or `man`.
pub fn text(words: &[String]) -> anyhow::Result<Vec<u8>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut text = Vec::new();
    match words.as_slice() {
        ["completions", shell] => {
            let shell: Shell = shell
                .parse()
                .map_err(|_| anyhow::anyhow!("no completions for {shell}"))?;
            clap_complete::generate(shell, &mut Options::command(), NAME, &mut text);
        }
        ["man"] => {
            let page = clap_mangen::Man::new(Options::command()).section("1");
            page.render(&mut text).context("making the page")?;
        }
        _ => bail!("xentop --generate completions bash|zsh|fish, or xentop --generate man"),
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(line: &str) -> anyhow::Result<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Ok(String::from_utf8(text(&words)?)?)
    }

    #[test]
    fn completions_and_page_know_the_options() {
        for shell in ["bash", "zsh", "fish"] {
            let text = made(&format!("completions {shell}")).unwrap();
            assert!(text.contains("dom0-first"), "{shell}");
        }
        let page = made("man").unwrap();
        assert!(page.starts_with(".ie"), "{page}");
        assert!(page.contains("\\-\\-json") && page.contains("Show the time of each virtual"));
    }

    #[test]
    fn other_words_are_refused() {
        for wrong in ["completions", "completions tcl", "man xentop", "pages"] {
            assert!(made(wrong).is_err(), "{wrong}");
        }
    }
}

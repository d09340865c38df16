//! The command line of Xen's client.

use clap::Parser;
use xenconsoled::client::{DEFAULT_ESCAPE, Kind};

/// Attaches to a virtual domain console
#[derive(Debug, Parser)]
#[command(
    name = "xenconsole",
    infer_long_args = true,
    disable_version_flag = true
)]
pub struct Options {
    /// The domain's number
    #[arg(value_name = "DOMID", allow_negative_numbers = true)]
    pub domain: Option<String>,
    /// Use console number N
    #[arg(short, long = "num", value_name = "N", default_value_t = 0)]
    pub number: u32,
    /// Console type: pv, serial or vuart
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// File descriptor that gets a zero byte as soon as the console is attached
    #[arg(long, value_name = "N")]
    pub start_notify_fd: Option<i32>,
    /// Read standard input even if it is no terminal
    #[arg(long)]
    pub interactive: bool,
    /// The character that ends the session: X, or ^X for Ctrl and X
    #[arg(long, value_name = "E")]
    pub escape: Option<String>,
}

/// What is wrong with a command line, in the words of Xen's client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// No domain.
    #[error("DOMID should be specified\nTry `xenconsole --help' for more information.")]
    NoDomain,
    /// No number.
    #[error("Invalid DOMID `{0}'\nTry `xenconsole --help' for more information.")]
    Domain(String),
    /// No such kind.
    #[error("Invalid type argument\nConsole types supported are: serial, pv, vuart")]
    Kind,
    /// More than a character.
    #[error("Invalid escape argument")]
    Escape,
}

impl Options {
    /// The domain's number; whether there is such a domain is another question.
    pub fn domain(&self) -> Result<u16, Wrong> {
        let text = self.domain.as_ref().ok_or(Wrong::NoDomain)?;
        text.trim_start()
            .parse()
            .map_err(|_| Wrong::Domain(text.clone()))
    }

    /// The kind of console, if one is asked for.
    pub fn kind(&self) -> Result<Option<Kind>, Wrong> {
        let kind = self.kind.as_ref().map(|kind| kind.parse());
        kind.transpose().map_err(|_| Wrong::Kind)
    }

    /// What ends the session.
    pub fn escape(&self) -> Result<u8, Wrong> {
        match self.escape.as_ref().map(|escape| escape.as_bytes()) {
            None => Ok(DEFAULT_ESCAPE),
            Some(&[b'^', letter]) => Ok(letter & 0x1f),
            Some(&[byte]) => Ok(byte),
            Some(_) => Err(Wrong::Escape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Options {
        let words = std::iter::once("xenconsole").chain(words.split_whitespace());
        Options::try_parse_from(words).unwrap()
    }

    #[test]
    fn the_call_of_xl_is_understood() {
        let options = parse("5 --num 0 --type serial --start-notify-fd 7 --escape ^a");
        assert_eq!(options.domain(), Ok(5));
        assert_eq!(options.kind(), Ok(Some(Kind::Serial)));
        assert_eq!((options.number, options.start_notify_fd), (0, Some(7)));
        assert_eq!(options.escape(), Ok(1));
        assert!(!options.interactive);
    }

    #[test]
    fn what_is_wrong_is_said_as_the_original_does() {
        let domain = |words| parse(words).domain().unwrap_err().to_string();
        assert!(domain("").starts_with("DOMID should be specified\nTry"));
        assert!(domain("zz").starts_with("Invalid DOMID `zz'\n"));
        assert_eq!(parse("-5").domain(), Err(Wrong::Domain("-5".into())));
        assert_eq!(parse("1 --type x").kind(), Err(Wrong::Kind));
        assert_eq!(parse("1 --escape abc").escape(), Err(Wrong::Escape));
        assert_eq!(parse("1 --escape x").escape(), Ok(b'x'));
        assert_eq!(parse("1").escape(), Ok(0x1d));
    }
}

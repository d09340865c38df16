//! The trace file: a line for every message and for every peer that comes or goes, when somebody asked for it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use xenstore::engine::ConnectionId;
use xenstore::wire::{Decoder, Message};

/// What can be traced, as xenstored 4.20 names it. The last three are for the inside of that daemon, and give nothing here.
pub const SWITCHES: [&str; 5] = ["obj", "io", "wrl", "acc", "tdb"];

/// Which way a message goes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// To the store.
    In,
    /// From the store.
    Out,
}

/// Not the name of a switch with `+` or `-` before it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trace switch is + or -, then one of obj, io, wrl, acc, tdb")]
pub struct NoSwitch;

/// The trace.
pub struct Trace {
    path: Option<PathBuf>,
    file: Option<File>,
    /// Of [`SWITCHES`].
    on: [bool; SWITCHES.len()],
    /// Messages that are not whole, of peers that were at the beginning of one when the trace began.
    partial: HashMap<(ConnectionId, Way), Decoder>,
}

impl Trace {
    /// Into a file, or nowhere until [`Self::set_path`].
    pub fn new(path: Option<PathBuf>) -> Self {
        let mut trace = Self {
            path,
            file: None,
            on: [true, true, false, false, false],
            partial: HashMap::new(),
        };
        trace.open();
        trace
    }

    /// Opens the file again, after it was moved away.
    pub fn open(&mut self) {
        self.file = None;
        let Some(path) = &self.path else {
            return;
        };
        let mut options = OpenOptions::new();
        let opened = options.append(true).create(true).mode(0o600).open(path);
        match opened {
            Ok(file) => self.file = Some(file),
            Err(error) => tracing::warn!("no trace in {}: {error}", path.display()),
        }
        self.line("*** OPEN");
    }

    /// Traces no longer.
    pub fn close(&mut self) {
        self.line("*** CLOSE");
        self.file = None;
        self.partial.clear();
    }

    /// Traces into another file.
    pub fn set_path(&mut self, path: &Path) {
        self.close();
        self.path = Some(path.to_owned());
        self.open();
    }

    /// `+io` and the like.
    pub fn switch(&mut self, text: &str) -> Result<(), NoSwitch> {
        let (sign, name) = text.split_at_checked(1).ok_or(NoSwitch)?;
        let on = match sign {
            "+" => true,
            "-" => false,
            _ => return Err(NoSwitch),
        };
        let place = SWITCHES.iter().position(|known| *known == name);
        self.on[place.ok_or(NoSwitch)?] = on;
        Ok(())
    }

    /// As `xenstore-control log` shows it.
    pub fn settings(&self) -> String {
        let lines = SWITCHES.iter().zip(self.on);
        let line = |(name, on): (&&str, bool)| {
            let state = if on { "on" } else { "off" };
            format!("{name:<8}: {state}\n")
        };
        lines.fold("Log switch settings:\n".to_owned(), |text, entry| {
            text + &line(entry)
        })
    }

    /// A peer came or went.
    pub fn object(&mut self, what: &str, connection: ConnectionId, domain: u16) {
        if self.on[0] {
            self.line(&format!("obj: {what} connection {connection} (d{domain})"));
        }
        self.partial.retain(|(known, _), _| *known != connection);
    }

    /// Bytes passed. `starts`: they begin a message.
    pub fn bytes(&mut self, way: Way, peer: (ConnectionId, u16), starts: bool, mut bytes: &[u8]) {
        if self.file.is_none() || !self.on[1] {
            return;
        }
        let key = (peer.0, way);
        if starts {
            self.partial.insert(key, Decoder::new());
        }
        let Some(mut decoder) = self.partial.remove(&key) else {
            return;
        };
        while let Ok(Some(message)) = decoder.next(&mut bytes) {
            self.message(way, peer, &message);
        }
        self.partial.insert(key, decoder);
    }

    /// What somebody had to say.
    pub fn print(&mut self, text: &str) {
        self.line(&format!("control: {text}"));
    }

    fn message(&mut self, way: Way, (connection, domain): (ConnectionId, u16), message: &Message) {
        let way = if way == Way::In { "IN" } else { "OUT" };
        let time = Zoned::now().strftime("%Y%m%d %H:%M:%S").to_string();
        let kind = message.kind.name().unwrap_or("**UNKNOWN**");
        let text: String = message
            .payload
            .iter()
            .map(|&byte| match byte {
                0x20..0x7f => char::from(byte),
                0 => ' ',
                _ => '?',
            })
            .collect();
        let tx = message.tx_id;
        self.line(&format!(
            "io: {way} {connection} (d{domain}) tx{tx} {time} {kind} ({text})"
        ));
    }

    fn line(&mut self, text: &str) {
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{text}")
        {
            tracing::warn!("the trace ends: {error}");
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use xenstore::engine::{Server, Settings};
    use xenstore::wire::MessageType;

    use super::*;

    #[test]
    fn switches_have_a_sign_and_a_name() {
        let mut trace = Trace::new(None);
        assert_eq!(trace.switch("-io"), Ok(()));
        assert_eq!(trace.switch("+tdb"), Ok(()));
        for bad in ["", "io", "+", "*io", "+nothing"] {
            assert_eq!(trace.switch(bad), Err(NoSwitch));
        }
        let settings = trace.settings();
        assert!(settings.starts_with("Log switch settings:\nobj     : on\nio      : off\n"));
        assert!(settings.ends_with("tdb     : on\n"));
    }

    #[test]
    fn messages_are_lines_once_they_are_whole() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("trace");
        let mut trace = Trace::new(Some(path.clone()));
        let connection = Server::new(&Settings::default()).connect_socket();
        let bytes = Message::new(MessageType::WRITE, *b"/a\0x\n").encode();
        trace.bytes(Way::In, (connection, 3), true, &bytes[..10]);
        trace.bytes(Way::In, (connection, 3), false, &bytes[10..]);
        // Not from its beginning.
        trace.bytes(Way::Out, (connection, 3), false, &bytes[10..]);
        let text = std::fs::read_to_string(path).expect("a trace");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].starts_with("io: IN ") && lines[1].ends_with(" WRITE (/a x?)"));
    }
}

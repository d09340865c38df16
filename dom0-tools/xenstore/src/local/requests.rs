//! The requests of [`Access`] to a store within the process.

use std::time::Duration;

use super::LocalStore;
use crate::wire::{MessageType, strings, terminated};
use crate::{Access, Errno, Error, Permission, Result, Tx, WatchEvent};

impl LocalStore {
    fn ask(
        &self,
        operation: &'static str,
        kind: MessageType,
        tx: Tx,
        words: &[&str],
    ) -> Result<Vec<u8>> {
        let subject = words.first().copied().unwrap_or("");
        if words.iter().any(|word| word.contains('\0')) {
            return Err(Error::refused(operation, subject, Errno::EINVAL));
        }
        self.request((operation, subject), kind, tx, terminated(words))
    }

    fn about(
        &self,
        operation: &'static str,
        kind: MessageType,
        domains: &[u16],
    ) -> Result<Vec<u8>> {
        let words: Vec<String> = domains.iter().map(u16::to_string).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.ask(operation, kind, Tx::NONE, &words)
    }

    fn list_in_parts(&self, tx: Tx, path: &str) -> Result<Vec<String>> {
        let mut list = Vec::new();
        let mut generation = Vec::new();
        while !list.ends_with(b"\0\0") && list != b"\0" {
            let offset = list.len().to_string();
            let part = self.ask("list", MessageType::DIRECTORY_PART, tx, &[path, &offset])?;
            let now = strings(&part).next().unwrap_or_default().to_vec();
            if generation != now {
                let first = generation.is_empty();
                generation = now;
                list.clear();
                if !first {
                    continue;
                }
            }
            list.extend_from_slice(&part[(generation.len() + 1).min(part.len())..]);
        }
        list.pop();
        texts(&list)
    }
}

fn text(payload: &[u8]) -> Result<String> {
    let mut all = texts(payload)?;
    let one = (all.len() == 1).then(|| all.remove(0));
    one.ok_or_else(|| Error::Protocol("not one text".to_owned()))
}

fn texts(payload: &[u8]) -> Result<Vec<String>> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    let texts: std::result::Result<Vec<_>, _> = strings(payload).map(text).collect();
    texts.map_err(|_| Error::Protocol("a text that is not UTF-8".to_owned()))
}

impl Access for LocalStore {
    fn read(&self, tx: Tx, path: &str) -> Result<Vec<u8>> {
        self.ask("read", MessageType::READ, tx, &[path])
    }

    fn write(&self, tx: Tx, path: &str, value: &[u8]) -> Result<()> {
        if path.contains('\0') {
            return Err(Error::refused("write", path, Errno::EINVAL));
        }
        let payload = [path.as_bytes(), b"\0", value].concat();
        self.request(("write", path), MessageType::WRITE, tx, payload)?;
        Ok(())
    }

    fn mkdir(&self, tx: Tx, path: &str) -> Result<()> {
        self.ask("mkdir", MessageType::MKDIR, tx, &[path]).map(drop)
    }

    fn remove(&self, tx: Tx, path: &str) -> Result<()> {
        self.ask("remove", MessageType::RM, tx, &[path]).map(drop)
    }

    fn list(&self, tx: Tx, path: &str) -> Result<Vec<String>> {
        match self.ask("list", MessageType::DIRECTORY, tx, &[path]) {
            Ok(list) => texts(&list),
            Err(error) if error.errno() == Some(Errno::E2BIG) => self.list_in_parts(tx, path),
            Err(error) => Err(error),
        }
    }

    fn permissions(&self, tx: Tx, path: &str) -> Result<Vec<Permission>> {
        let payload = self.ask("permissions", MessageType::GET_PERMS, tx, &[path])?;
        let parse = |text: String| {
            let parsed = text.parse();
            parsed.map_err(|error| Error::Protocol(format!("{text}: {error}")))
        };
        texts(&payload)?.into_iter().map(parse).collect()
    }

    fn set_permissions(&self, tx: Tx, path: &str, permissions: &[Permission]) -> Result<()> {
        let words: Vec<String> = permissions.iter().map(Permission::to_string).collect();
        let path = std::iter::once(path);
        let words: Vec<&str> = path.chain(words.iter().map(String::as_str)).collect();
        self.ask("set permissions", MessageType::SET_PERMS, tx, &words)
            .map(drop)
    }

    fn begin(&self) -> Result<Tx> {
        let payload = self.ask("begin", MessageType::TRANSACTION_START, Tx::NONE, &[""])?;
        let number = text(&payload)?.parse();
        number
            .map(Tx)
            .map_err(|_| Error::Protocol("no number of a transaction".to_owned()))
    }

    fn end(&self, tx: Tx, commit: bool) -> Result<bool> {
        let word = if commit { "T" } else { "F" };
        match self.ask("end", MessageType::TRANSACTION_END, tx, &[word]) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn watch(&self, path: &str, token: &str) -> Result<()> {
        self.ask("watch", MessageType::WATCH, Tx::NONE, &[path, token])
            .map(drop)
    }

    fn unwatch(&self, path: &str, token: &str) -> Result<()> {
        self.ask("unwatch", MessageType::UNWATCH, Tx::NONE, &[path, token])
            .map(drop)
    }

    fn next_event(&self, timeout: Option<Duration>) -> Result<Option<WatchEvent>> {
        Ok(self.wait_for_event(timeout))
    }

    fn domain_path(&self, domain: u16) -> Result<String> {
        text(&self.about("domain path", MessageType::GET_DOMAIN_PATH, &[domain])?)
    }

    fn introduce(&self, domain: u16, gfn: u64, port: u32) -> Result<()> {
        let words = [domain.to_string(), gfn.to_string(), port.to_string()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.ask("introduce", MessageType::INTRODUCE, Tx::NONE, &words)
            .map(drop)
    }

    fn release(&self, domain: u16) -> Result<()> {
        self.about("release", MessageType::RELEASE, &[domain])
            .map(drop)
    }

    fn is_introduced(&self, domain: u16) -> Result<bool> {
        let answer = self.about(
            "is introduced",
            MessageType::IS_DOMAIN_INTRODUCED,
            &[domain],
        )?;
        Ok(text(&answer)? == "T")
    }

    fn set_target(&self, domain: u16, target: u16) -> Result<()> {
        self.about("set target", MessageType::SET_TARGET, &[domain, target])
            .map(drop)
    }

    fn resume(&self, domain: u16) -> Result<()> {
        self.about("resume", MessageType::RESUME, &[domain])
            .map(drop)
    }

    fn control(&self, words: &[&str]) -> Result<String> {
        text(&self.ask("control", MessageType::CONTROL, Tx::NONE, words)?)
    }
}

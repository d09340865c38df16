//! The requests of [`Access`], as messages.

use super::directory::{Listing, names};
use super::*;

impl Client {
    /// A request that may be repeated.
    fn ask(
        &self,
        operation: &'static str,
        kind: MessageType,
        tx: Tx,
        path: &str,
    ) -> Result<Vec<u8>> {
        self.ask_with(operation, kind, tx, path, &words(operation, &[path])?)
    }

    fn ask_with(
        &self,
        operation: &'static str,
        kind: MessageType,
        tx: Tx,
        path: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>> {
        let repeat = Repeat::Always;
        let request = Request {
            operation,
            path,
            kind,
            repeat,
        };
        Ok(self.request(&request, tx, payload)?.payload)
    }

    fn list_in_parts(&self, tx: Tx, path: &str) -> Result<Vec<String>> {
        let mut listing = Listing::default();
        loop {
            let offset = listing.offset().to_string();
            let payload = words("list", &[path, &offset])?;
            let part = self.ask_with("list", MessageType::DIRECTORY_PART, tx, path, &payload)?;
            if listing.add(path, &part)? {
                return listing.names();
            }
        }
    }

    /// About a domain; the numbers are the payload.
    fn about(
        &self,
        operation: &'static str,
        kind: MessageType,
        numbers: &[u64],
    ) -> Result<Vec<u8>> {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let path = numbers.first().map_or("", String::as_str);
        let repeat = match kind {
            MessageType::RELEASE => Repeat::DoneIf(Errno::ENOENT),
            _ => Repeat::Always,
        };
        let request = Request {
            operation,
            path,
            kind,
            repeat,
        };
        let answer = self.request(&request, Tx::NONE, &terminated(&numbers))?;
        Ok(answer.payload)
    }

    fn begin_on(&self, answer: Answer) -> Result<Tx> {
        let text = text(answer.payload);
        let number = text.parse();
        let number = number.map_err(|_| Error::Protocol(format!("transaction {text}")))?;
        Ok(self.session().begun(answer.generation, number))
    }
}

impl Access for Client {
    fn read(&self, tx: Tx, path: &str) -> Result<Vec<u8>> {
        self.ask("read", MessageType::READ, tx, path)
    }

    fn write(&self, tx: Tx, path: &str, value: &[u8]) -> Result<()> {
        let mut payload = words("write", &[path])?;
        payload.extend_from_slice(value);
        self.ask_with("write", MessageType::WRITE, tx, path, &payload)
            .map(drop)
    }

    fn mkdir(&self, tx: Tx, path: &str) -> Result<()> {
        self.ask("mkdir", MessageType::MKDIR, tx, path).map(drop)
    }

    fn remove(&self, tx: Tx, path: &str) -> Result<()> {
        self.ask("remove", MessageType::RM, tx, path).map(drop)
    }

    fn list(&self, tx: Tx, path: &str) -> Result<Vec<String>> {
        match self.ask("list", MessageType::DIRECTORY, tx, path) {
            Ok(payload) => names(&payload),
            Err(error) if error.errno() == Some(Errno::E2BIG) => self.list_in_parts(tx, path),
            Err(error) => Err(error),
        }
    }

    fn permissions(&self, tx: Tx, path: &str) -> Result<Vec<Permission>> {
        let payload = self.ask("permissions", MessageType::GET_PERMS, tx, path)?;
        let parse = |text: String| {
            let permission = text.parse();
            permission.map_err(|error| Error::Protocol(format!("{path}: {text}: {error}")))
        };
        names(&payload)?.into_iter().map(parse).collect()
    }

    fn set_permissions(&self, tx: Tx, path: &str, permissions: &[Permission]) -> Result<()> {
        let operation = "set permissions of";
        let mut payload = words(operation, &[path])?;
        let permissions: Vec<String> = permissions.iter().map(Permission::to_string).collect();
        payload.extend(terminated(&permissions));
        self.ask_with(operation, MessageType::SET_PERMS, tx, path, &payload)
            .map(drop)
    }

    fn begin(&self) -> Result<Tx> {
        let request = Request {
            operation: "begin",
            path: "transaction",
            kind: MessageType::TRANSACTION_START,
            repeat: Repeat::Always,
        };
        self.begin_on(self.request(&request, Tx::NONE, b"\0")?)
    }

    fn end(&self, tx: Tx, commit: bool) -> Result<bool> {
        let request = Request {
            operation: "end",
            path: "transaction",
            kind: MessageType::TRANSACTION_END,
            repeat: if commit {
                Repeat::Never
            } else {
                Repeat::Always
            },
        };
        let payload: &[u8] = if commit { b"T\0" } else { b"F\0" };
        let result = self.request(&request, tx, payload);
        self.session().ended(tx);
        match result {
            Ok(_) => Ok(true),
            // Lost or in conflict. There is nothing left to be dropped either way.
            Err(error) if error.errno() == Some(Errno::EAGAIN) => Ok(!commit),
            // Nobody knows whether it was committed. To say so would end most callers, who would only have done it again.
            Err(Error::Io(_)) if commit => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn watch(&self, path: &str, token: &str) -> Result<()> {
        let payload = words("watch", &[path, token])?;
        let request = Request {
            operation: "watch",
            path,
            kind: MessageType::WATCH,
            repeat: Repeat::DoneIf(Errno::EEXIST),
        };
        self.session().add_watch(path, token);
        let result = self.request(&request, Tx::NONE, &payload);
        if result.is_err() {
            self.session().remove_watch(path, token);
        }
        result.map(drop)
    }

    fn unwatch(&self, path: &str, token: &str) -> Result<()> {
        let payload = words("unwatch", &[path, token])?;
        let request = Request {
            operation: "unwatch",
            path,
            kind: MessageType::UNWATCH,
            repeat: Repeat::DoneIf(Errno::ENOENT),
        };
        self.session().remove_watch(path, token);
        self.request(&request, Tx::NONE, &payload)?;
        self.session().drop_events(token);
        Ok(())
    }

    fn next_event(&self, timeout: Option<Duration>) -> Result<Option<WatchEvent>> {
        let _waiting = Waiting::new(&self.waiting);
        self.take_event(timeout)
    }

    fn domain_path(&self, domain: u16) -> Result<String> {
        let kind = MessageType::GET_DOMAIN_PATH;
        let payload = self.about("find the home of domain", kind, &[domain.into()])?;
        Ok(text(payload))
    }

    fn introduce(&self, domain: u16, gfn: u64, port: u32) -> Result<()> {
        let numbers = [domain.into(), gfn, port.into()];
        self.about("introduce domain", MessageType::INTRODUCE, &numbers)
            .map(drop)
    }

    fn release(&self, domain: u16) -> Result<()> {
        let numbers = [domain.into()];
        self.about("release domain", MessageType::RELEASE, &numbers)
            .map(drop)
    }

    fn is_introduced(&self, domain: u16) -> Result<bool> {
        let kind = MessageType::IS_DOMAIN_INTRODUCED;
        let payload = self.about("ask for domain", kind, &[domain.into()])?;
        Ok(text(payload) == "T")
    }

    fn set_target(&self, domain: u16, target: u16) -> Result<()> {
        let numbers = [domain.into(), target.into()];
        self.about(
            "set the target of domain",
            MessageType::SET_TARGET,
            &numbers,
        )
        .map(drop)
    }

    fn resume(&self, domain: u16) -> Result<()> {
        let numbers = [domain.into()];
        self.about("resume domain", MessageType::RESUME, &numbers)
            .map(drop)
    }

    fn control(&self, command: &[&str]) -> Result<String> {
        let request = Request {
            operation: "control",
            path: command.first().copied().unwrap_or_default(),
            kind: MessageType::CONTROL,
            repeat: Repeat::Never,
        };
        let payload = words("control", command)?;
        let answer = self.request(&request, Tx::NONE, &payload)?;
        Ok(text(answer.payload))
    }
}

/// A payload of strings; a nul within one would end it early.
fn words(operation: &'static str, words: &[&str]) -> Result<Vec<u8>> {
    match words.iter().find(|word| word.contains('\0')) {
        None => Ok(terminated(words)),
        Some(word) => Err(Error::refused(
            operation,
            word.replace('\0', "\\0"),
            Errno::EINVAL,
        )),
    }
}

/// An answer without the nul at its end.
fn text(mut payload: Vec<u8>) -> String {
    if payload.last() == Some(&0) {
        payload.pop();
    }
    String::from_utf8_lossy(&payload).into_owned()
}

//! A storm of requests on a store from several clients at once, whose outcome is known: at the end the store must hold exactly what was
//! acknowledged, whatever happened to its daemon in the meantime.
//!
//! `storm [--clients N] [--seconds S] [--socket PATH]` works below `/storm`, prints what it did, and ends with 1 if anything differs.
//!
//! Each client changes nodes of its own, alone and several in one transaction, and adds to a counter that all share. Every transaction also
//! notes its number in the client's own node, so that one whose acknowledgement was lost is recognised as done when it is repeated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use xenstore::client::Client;
use xenstore::{Access, Error, Result, Tx, transaction};

const ROOT: &str = "/storm";
const COUNTER: &str = "/storm/counter";
const NODES: u64 = 40;

struct Options {
    clients: u64,
    time: Duration,
    socket: Option<PathBuf>,
}

/// What all clients did together.
#[derive(Default)]
struct Sums {
    requests: AtomicU64,
    transactions: AtomicU64,
    repeated: AtomicU64,
}

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: storm [--clients N] [--seconds S] [--socket PATH]");
        return ExitCode::from(2);
    };
    match storm(&options) {
        Ok(report) => {
            println!("STORM {report}; the store is as it should be");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("STORM failed: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        clients: 4,
        time: Duration::from_secs(10),
        socket: None,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--clients" => options.clients = words.next()?.parse().ok()?,
            "--seconds" => options.time = Duration::from_secs(words.next()?.parse().ok()?),
            "--socket" => options.socket = Some(words.next()?.into()),
            _ => return None,
        }
    }
    Some(options)
}

fn connect(options: &Options) -> Result<Client> {
    options
        .socket
        .as_deref()
        .map_or_else(Client::connect, Client::connect_socket)
}

fn storm(options: &Options) -> std::result::Result<String, String> {
    let named = |error: Error| error.to_string();
    let store = connect(options).map_err(named)?;
    store.remove(Tx::NONE, ROOT).map_err(named)?;
    store.write(Tx::NONE, COUNTER, b"0").map_err(named)?;
    let sums = Sums::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..options.clients)
            .map(|number| {
                let sums = &sums;
                scope.spawn(move || Worker::new(options, number, sums)?.run(options.time))
            })
            .collect();
        clients.into_iter().try_for_each(|client| {
            client
                .join()
                .unwrap_or_else(|_| Err("a client panicked".into()))
        })
    })?;
    let counter = number_at(&store, Tx::NONE, COUNTER).map_err(named)?;
    let transactions = sums.transactions.load(Relaxed);
    if counter != transactions {
        return Err(format!(
            "the counter is {counter} after {transactions} transactions"
        ));
    }
    store.remove(Tx::NONE, ROOT).map_err(named)?;
    Ok(format!(
        "{} requests, {transactions} transactions, {} recognised as done before",
        sums.requests.load(Relaxed),
        sums.repeated.load(Relaxed)
    ))
}

/// One client and what the store must hold of it.
struct Worker<'a> {
    store: Client,
    home: String,
    expected: BTreeMap<String, Vec<u8>>,
    random: u64,
    /// Number of the last transaction.
    last: u64,
    sums: &'a Sums,
}

impl<'a> Worker<'a> {
    fn new(options: &Options, number: u64, sums: &'a Sums) -> std::result::Result<Self, String> {
        Ok(Self {
            store: connect(options).map_err(|error| error.to_string())?,
            home: format!("{ROOT}/{number}"),
            expected: BTreeMap::new(),
            random: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            last: 0,
            sums,
        })
    }

    fn run(mut self, time: Duration) -> std::result::Result<(), String> {
        let end = Instant::now() + time;
        self.set("last".into(), b"0".to_vec())
            .map_err(|error| error.to_string())?;
        while Instant::now() < end {
            self.step()
                .map_err(|error| format!("{}: {error}", self.home))?;
            self.sums.requests.fetch_add(1, Relaxed);
        }
        self.compare()
    }

    fn step(&mut self) -> Result<()> {
        match self.below(8) {
            0..3 => {
                let (name, value) = (self.name(), self.value());
                self.set(name, value)
            }
            3 => {
                let name = self.name();
                self.store.remove(Tx::NONE, &self.path(&name))?;
                self.expected.remove(&name);
                Ok(())
            }
            4..6 => self.several(),
            _ => self.look(),
        }
    }

    fn set(&mut self, name: String, value: Vec<u8>) -> Result<()> {
        self.store.write(Tx::NONE, &self.path(&name), &value)?;
        self.expected.insert(name, value);
        Ok(())
    }

    /// Several nodes and the shared counter in one transaction.
    fn several(&mut self) -> Result<()> {
        let changes: Vec<_> = (0..=self.below(4))
            .map(|_| (self.name(), self.value()))
            .collect();
        self.last += 1;
        let (this, number) = (&*self, self.last);
        let was_done = transaction(&this.store, |tx| {
            if number_at(&this.store, tx, &this.path("last"))? == number {
                return Ok(true);
            }
            for (name, value) in &changes {
                this.store.write(tx, &this.path(name), value)?;
            }
            let counter = number_at(&this.store, tx, COUNTER)? + 1;
            this.store
                .write(tx, COUNTER, counter.to_string().as_bytes())?;
            this.store
                .write(tx, &this.path("last"), number.to_string().as_bytes())?;
            Ok(false)
        })?;
        self.sums.repeated.fetch_add(was_done.into(), Relaxed);
        self.sums.transactions.fetch_add(1, Relaxed);
        self.expected.extend(changes);
        self.expected
            .insert("last".into(), number.to_string().into_bytes());
        Ok(())
    }

    /// Reads one node, which must be as expected.
    fn look(&mut self) -> Result<()> {
        let name = self.name();
        let found = match self.store.read(Tx::NONE, &self.path(&name)) {
            Ok(value) => Some(value),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        match found.as_ref() == self.expected.get(&name) {
            true => Ok(()),
            false => Err(Error::Protocol(format!(
                "{name} is {found:?}, not {:?}",
                self.expected.get(&name)
            ))),
        }
    }

    /// The whole of the client's part against what was acknowledged.
    fn compare(&self) -> std::result::Result<(), String> {
        let read_all = || -> Result<BTreeMap<String, Vec<u8>>> {
            let names = self.store.list(Tx::NONE, &self.home)?;
            let values = names.into_iter().map(|name| {
                let value = self.store.read(Tx::NONE, &self.path(&name))?;
                Ok((name, value))
            });
            values.collect()
        };
        let found = read_all().map_err(|error| error.to_string())?;
        match found == self.expected {
            true => Ok(()),
            false => Err(format!(
                "{}: {} nodes that differ from the {} expected",
                self.home,
                found
                    .iter()
                    .filter(|(name, value)| self.expected.get(*name) != Some(value))
                    .count(),
                self.expected.len()
            )),
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.home)
    }

    fn name(&mut self) -> String {
        format!("node{}", self.below(NODES))
    }

    fn value(&mut self) -> Vec<u8> {
        let length = self.below(64) as usize;
        let byte = b'a' + self.below(26) as u8;
        vec![byte; length]
    }

    /// A random number below `limit` (xorshift).
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }
}

fn number_at(store: &Client, tx: Tx, path: &str) -> Result<u64> {
    let text = xenstore::read_string(store, tx, path)?;
    text.parse()
        .map_err(|_| Error::Protocol(format!("{path} is no number: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(u64, u64, Option<PathBuf>)> {
        let options = parse(line.split_whitespace().map(str::to_owned))?;
        Some((options.clients, options.time.as_secs(), options.socket))
    }

    #[test]
    fn options_have_defaults_and_wrong_ones_are_refused() {
        assert_eq!(parsed(""), Some((4, 10, None)));
        assert_eq!(
            parsed("--seconds 3 --socket /s --clients 2"),
            Some((2, 3, Some("/s".into())))
        );
        for wrong in ["--clients", "--clients x", "--socket", "more"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}

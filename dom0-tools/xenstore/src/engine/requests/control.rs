//! `CONTROL`: what concerns the store itself. The rest is the daemon's.

use super::{Answer, Call};
use crate::Errno;
use crate::engine::change::{Change, SOFT_MEMORY};
use crate::engine::quota::Item;
use crate::engine::server::Server;
use crate::wire::strings;

const OWN: [(&str, &str); 4] = [
    ("check", ""),
    ("quota", "[set <name> <val>|<domid>|max [-r]]"),
    ("quota-soft", "[set <name> <val>]"),
    ("help", ""),
];

/// A command and its parameters.
pub fn run(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let words: Vec<&[u8]> = strings(call.payload).collect();
    let texts: Vec<&str> = words
        .iter()
        .map(|word| std::str::from_utf8(word).unwrap_or(""))
        .collect();
    let (command, parameters) = texts.split_first().ok_or(Errno::EINVAL)?;
    let answer = match *command {
        "check" => server.control_check(parameters)?,
        "quota" => server.control_quota(parameters)?,
        "quota-soft" => server.control_soft_quota(parameters)?,
        "help" => help(call, parameters)?,
        _ => call.host.control(&words)?,
    };
    let mut answer = answer.into_bytes();
    answer.push(0);
    Ok(answer)
}

fn help(call: &Call<'_>, parameters: &[&str]) -> Result<String, Errno> {
    if !parameters.is_empty() {
        return Err(Errno::EINVAL);
    }
    let commands = OWN.iter().chain(call.host.commands());
    Ok(commands
        .map(|(name, parameters)| format!("{name:<15} {parameters}\n"))
        .collect())
}

impl Server {
    fn control_check(&mut self, parameters: &[&str]) -> Result<String, Errno> {
        if !parameters.is_empty() {
            return Err(Errno::EINVAL);
        }
        match self.check() {
            Ok(()) => Ok("OK".to_owned()),
            Err(_) => Err(Errno::EIO),
        }
    }

    fn control_quota(&mut self, parameters: &[&str]) -> Result<String, Errno> {
        match parameters {
            [] => Ok(self.quotas_in_force()),
            ["set", name, value] => self.set_quota(name, value),
            ["set", ..] => Err(Errno::EINVAL),
            ["max"] => Ok(self.peaks()),
            ["max", "-r"] => {
                self.store.domains.reset_peaks();
                Ok(self.peaks())
            }
            [domain] => self.usage_of(domain),
            _ => Err(Errno::EINVAL),
        }
    }

    fn quotas_in_force(&self) -> String {
        let line = |item: Item| {
            let limit = self.store.quotas.limit(item);
            format!("{:<17}: {limit:8} {}\n", item.name(), item.about())
        };
        Item::all().fold("Quota settings:\n".to_owned(), |text, item| {
            text + &line(item)
        })
    }

    fn set_quota(&mut self, name: &str, value: &str) -> Result<String, Errno> {
        let item = Item::named(name).ok_or(Errno::EINVAL)?;
        let limit = positive(value)?;
        self.store.quotas.set(item, limit);
        let name = || item.name().to_owned();
        self.store.record(|| Change::Quota {
            name: name(),
            limit,
        });
        Ok("OK".to_owned())
    }

    fn peaks(&self) -> String {
        let line = |item: Item| {
            let peak = self.store.domains.peak(item);
            format!("{:<17}: {peak:8}\n", item.name())
        };
        let heading = "Max. seen accounting values:\n".to_owned();
        Item::all().fold(heading, |text, item| text + &line(item))
    }

    fn usage_of(&self, domain: &str) -> Result<String, Errno> {
        let domain = super::arguments::domain(domain.as_bytes())?;
        let mut text = format!("Domain {domain}:\n");
        for item in Item::all() {
            let (used, peak) = self
                .store
                .domains
                .usage(domain, item)
                .ok_or(Errno::ENOENT)?;
            text += &format!("{:<17}: {used:8} (max {peak:8})\n", item.name());
        }
        Ok(text)
    }

    fn control_soft_quota(&mut self, parameters: &[&str]) -> Result<String, Errno> {
        let memory = Item::Memory.name();
        match parameters {
            [] => {
                let limit = self.store.quotas.soft_memory;
                let about = "Bytes used by a domain (warning level)";
                Ok(format!(
                    "Quota settings:\n{memory:<17}: {limit:8} {about}\n"
                ))
            }
            ["set", name, value] if *name == memory => {
                let limit = positive(value)?;
                self.store.quotas.soft_memory = limit;
                let name = || SOFT_MEMORY.to_owned();
                self.store.record(|| Change::Quota {
                    name: name(),
                    limit,
                });
                Ok("OK".to_owned())
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

fn positive(text: &str) -> Result<u64, Errno> {
    let number = super::arguments::number(text.as_bytes());
    u64::try_from(number)
        .ok()
        .filter(|&value| value > 0)
        .ok_or(Errno::EINVAL)
}

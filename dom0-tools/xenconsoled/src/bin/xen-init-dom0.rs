//! `xen-init-dom0`: sets dom0 up after boot. An argument is dom0's UUID.

use std::process::ExitCode;

use anyhow::Context;
use xenconsoled::dom0::{Directories, Outcome, Uuid, set_up};
use xenctl::real::Xen;
use xenstore::client::Client;

fn main() -> ExitCode {
    match run() {
        Ok(Outcome::Done) => {
            println!("Done setting up Dom0");
            ExitCode::SUCCESS
        }
        Ok(Outcome::AlreadySetUp) => {
            eprintln!("Dom0 is already set up");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<Outcome> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(arguments.len() <= 1, "too many arguments");
    let store = Client::connect().context("cannot open xenstore connection")?;
    let xen = Xen::open().context("cannot reach the hypervisor")?;
    let uuid = match arguments.first() {
        Some(text) => text
            .parse::<Uuid>()
            .with_context(|| format!("failed to parse UUID {text}"))?,
        None => Uuid::default(),
    };
    Ok(set_up(&store, &xen, &Directories::default(), uuid)?)
}

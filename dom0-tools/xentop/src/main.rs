//! xentop: what domains use of a host, as a live table or as text.
//!
//! [`collect`] takes a [`sample`]; [`table`] makes lines of it and the one before, which [`batch`] writes and [`live`] draws on a [`screen`].

#![forbid(unsafe_code)]

mod batch;
mod collect;
mod column;
mod devices;
mod generate;
mod json;
mod keys;
mod live;
mod options;
#[cfg(test)]
mod original;
mod sample;
mod screen;
mod summary;
mod table;

use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use xenctl::real::Xen;
use xenstore::client::Client;

use collect::Collector;
use devices::Devices;
use keys::Controls;
use live::Live;
use options::Options;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Help and version are not mistakes. There is nobody to tell when this cannot be printed.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xentop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    if !options.generate.is_empty() {
        return Ok(stdout().write_all(&generate::text(&options.generate)?)?);
    }
    let format = options.format();
    ensure!(
        format.is_some() || stdout().is_terminal(),
        "the output is not a terminal; -b writes tables as text, --json as JSON"
    );
    let hypervisor = Xen::open()?;
    let store = Client::connect().context("reaching the store")?;
    let collector = Collector::new(&hypervisor, &store, Devices::below("/"))?;
    let (view, delay) = (options.view(), options.delay());
    if let Some(format) = format {
        let (iterations, mut out) = (options.iterations, stdout().lock());
        return batch::run(&collector, &view, format, delay, iterations, &mut out);
    }
    let live = Live {
        hypervisor: &hypervisor,
        collector,
        controls: Controls::new(view, delay),
        iterations: options.iterations,
    };
    live.run()
}

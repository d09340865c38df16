//! Updates one after the other, for a file or a pipe.

use std::io::{self, Write};
use std::time::Duration;

use crate::collect::Collector;
use crate::json;
use crate::sample::Sample;
use crate::table::View;

/// How an update is written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// As a table.
    Text,
    /// As a line of JSON.
    Json,
}

/// Writes an update every `delay`, `iterations` of them or without end. A reader that goes away is the end too.
pub fn run(
    collector: &Collector<'_>,
    view: &View,
    format: Format,
    delay: Duration,
    iterations: Option<u32>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut before: Option<Sample> = None;
    let mut done: u32 = 0;
    loop {
        let sample = collector.sample(view.vcpus || format == Format::Json)?;
        let written = match format {
            Format::Text => write(view, &sample, before.as_ref(), out),
            Format::Json => json::write(view, &sample, before.as_ref(), out),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
        before = Some(sample);
        done = done.saturating_add(1);
        if iterations.is_some_and(|iterations| done >= iterations) {
            return Ok(());
        }
        std::thread::sleep(delay);
    }
}

fn write(
    view: &View,
    sample: &Sample,
    before: Option<&Sample>,
    out: &mut impl Write,
) -> io::Result<()> {
    for line in view.lines(&view.order(sample, before), 0) {
        writeln!(out, "{}", line.text())?;
    }
    out.flush()
}

//! The live table: takes samples, draws, reads keys.

use std::process::Command as Process;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::Rect;
use xenctl::{DomId, Hypervisor};

use crate::collect::Collector;
use crate::column::Row;
use crate::keys::{Command, Controls, Target};
use crate::sample::Sample;
use crate::screen::Screen;

/// The clock is drawn at least this often, and samples are at least this far apart.
const TICK: Duration = Duration::from_millis(500);

/// A live table.
pub struct Live<'a> {
    /// Asked to pause domains.
    pub hypervisor: &'a dyn Hypervisor,
    /// Where samples come from.
    pub collector: Collector<'a>,
    /// What keys changed so far.
    pub controls: Controls,
    /// How many samples are taken; `None`: no end.
    pub iterations: Option<u32>,
}

impl Live<'_> {
    /// Until a key ends it, or the last sample was shown.
    pub fn run(mut self) -> anyhow::Result<()> {
        let mut terminal = ratatui::try_init().context("preparing the terminal")?;
        let result = self.show(&mut terminal);
        ratatui::restore();
        result
    }

    fn show(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
        let mut screen = Screen::default();
        let mut before = None;
        let mut sample = self.collector.sample(self.controls.view.vcpus)?;
        let mut left = self
            .iterations
            .map(|iterations| iterations.saturating_sub(1));
        loop {
            let rows = self.controls.view.order(&sample, before.as_ref());
            self.controls.selected = self.controls.selected.min(rows.len().saturating_sub(1));
            let controls = &self.controls;
            terminal.draw(|frame| {
                screen.draw(frame, &sample, &rows, controls, SystemTime::now());
            })?;
            let target = target(&rows, self.controls.selected);
            if left == Some(0) {
                return Ok(());
            }
            let due = sample.taken + self.controls.delay.max(TICK);
            let had_vcpus = self.controls.view.vcpus;
            match self.wait(due, target.as_ref())? {
                Some(Command::Quit) => return Ok(()),
                Some(Command::Repaint) => repaint(terminal)?,
                Some(command) => self.carry_out(&command),
                None => {}
            }
            let wants_more = self.controls.view.vcpus && !had_vcpus;
            if wants_more {
                // The same moment for what was shown, so that shares of time stay those of a whole delay.
                sample = self.again(&sample)?;
            } else if Instant::now() >= due {
                let next = self.collector.sample(self.controls.view.vcpus)?;
                before = Some(std::mem::replace(&mut sample, next));
                left = left.map(|left| left - 1);
            }
        }
    }

    /// A sample that has what the last one lacks, counted as taken when that was.
    fn again(&self, last: &Sample) -> anyhow::Result<Sample> {
        let mut sample = self.collector.sample(true)?;
        for domain in &mut sample.domains {
            if let Some(known) = last.domain(domain.id) {
                domain.cpu_ns = known.cpu_ns;
                domain.networks.clone_from(&known.networks);
                domain.disks.clone_from(&known.disks);
            }
        }
        sample.taken = last.taken;
        Ok(sample)
    }

    /// Waits for a key until `due`, or until the clock is to be drawn.
    fn wait(&mut self, due: Instant, target: Option<&Target>) -> anyhow::Result<Option<Command>> {
        let timeout = due.saturating_duration_since(Instant::now()).min(TICK);
        if !event::poll(timeout).context("waiting for a key")? {
            return Ok(None);
        }
        Ok(match event::read().context("reading a key")? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                self.controls.press(key, target)
            }
            _ => None,
        })
    }

    fn carry_out(&mut self, command: &Command) {
        let result = match *command {
            Command::Pause(domain) => self.hypervisor.pause_domain(domain).map_err(Into::into),
            Command::Unpause(domain) => self.hypervisor.unpause_domain(domain).map_err(Into::into),
            Command::Destroy(domain) => destroy(domain),
            Command::Quit | Command::Repaint => Ok(()),
        };
        self.controls.message = Some(match result {
            Ok(()) => "Done".into(),
            Err(error) => format!("{error:#}"),
        });
    }
}

/// As after a change of size. (To clear the terminal, ratatui asks it where its cursor is, which a serial line may not answer.)
fn repaint(terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
    let size = terminal.size()?;
    terminal.resize(Rect::new(0, 0, size.width, size.height))?;
    Ok(())
}

/// A domain's devices and nodes in the store go with it: that is `xl`'s work.
fn destroy(domain: DomId) -> anyhow::Result<()> {
    let output = Process::new("xl")
        .args(["destroy", &domain.to_string()])
        .output()
        .context("xl destroy")?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or("no reason given");
    let last: String = last.chars().filter(|c| !c.is_control()).collect();
    anyhow::bail!("xl destroy {domain}: {last}")
}

fn target(rows: &[Row<'_>], selected: usize) -> Option<Target> {
    let domain = rows.get(selected)?.domain;
    Some(Target {
        id: domain.id,
        name: domain.name.clone(),
        paused: domain.state.paused,
    })
}

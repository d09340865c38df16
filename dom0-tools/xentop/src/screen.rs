//! Draws the live table.

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line as StyledLine, Span, Text};

use crate::column::{Column, Row};
use crate::keys::Controls;
use crate::sample::Sample;
use crate::summary;
use crate::table::Line;

/// Where the table begins: lines above are scrolled away.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    first: usize,
}

impl Screen {
    /// Draws everything: summary, as much of the table as fits around the chosen line, and the last line.
    pub fn draw(
        &mut self,
        frame: &mut Frame<'_>,
        sample: &Sample,
        rows: &[Row<'_>],
        controls: &Controls,
        now: SystemTime,
    ) {
        let areas = Layout::vertical([
            Constraint::Length(3),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [top, middle, bottom] = areas.areas(frame.area());
        let summary = summary::lines(sample, now).map(StyledLine::from);
        frame.render_widget(Text::from(summary.to_vec()), top);
        frame.render_widget(Text::from(self.table(rows, controls, middle)), middle);
        frame.render_widget(last_line(controls), bottom);
    }

    fn table(
        &mut self,
        rows: &[Row<'_>],
        controls: &Controls,
        area: Rect,
    ) -> Vec<StyledLine<'static>> {
        let chosen = controls.selected.min(rows.len().saturating_sub(1));
        self.first = self.first.min(chosen);
        let height = usize::from(area.height);
        loop {
            let mut lines = controls.view.lines(rows, self.first);
            let is_chosen =
                |line: &Line| matches!(line, Line::Domain(place, _) if *place == chosen);
            let place = lines.iter().position(is_chosen);
            if place.is_some_and(|place| place >= height) && self.first < chosen {
                self.first += 1;
                continue;
            }
            lines.truncate(height);
            let style = |line| styled(line, controls.view.sort, chosen);
            return lines.into_iter().map(style).collect();
        }
    }
}

fn styled(line: Line, sort: Column, chosen: usize) -> StyledLine<'static> {
    let (cells, style) = match line {
        Line::Header(cells) => (cells, Style::new().reversed()),
        Line::Domain(place, cells) if place == chosen => (cells, Style::new().underlined()),
        Line::Domain(_, cells) => (cells, Style::new()),
        Line::Detail(text) => return StyledLine::raw(text),
    };
    let mut spans = Vec::new();
    for (column, cell) in Column::ALL.into_iter().zip(cells) {
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        let cell = Span::raw(cell);
        spans.push(if column == sort { cell.bold() } else { cell });
    }
    StyledLine::from(spans).style(style)
}

fn last_line(controls: &Controls) -> StyledLine<'static> {
    if let Some(prompt) = controls.prompt() {
        return StyledLine::raw(format!("  {prompt}"));
    }
    let view = &controls.view;
    let mut spans = vec![Span::raw("  ")];
    for (before, key, after, is_on) in [
        ("", "D", "elay", false),
        ("", "N", "etworks", view.networks),
        ("v", "B", "ds", view.vbds),
        ("", "V", "CPUs", view.vcpus),
        ("", "R", "epeat header", view.repeat_header),
        ("ra", "T", "es", view.rates),
        ("", "S", "ort order", false),
        ("", "P", "ause", false),
        ("", "K", "ill", false),
        ("", "Q", "uit", false),
    ] {
        let style = match is_on {
            true => Style::new().on_yellow(),
            false => Style::new(),
        };
        spans.push(Span::styled(before, style));
        spans.push(Span::styled(key, Style::new().reversed()));
        spans.push(Span::styled(after, style));
        spans.push(Span::raw("  "));
    }
    StyledLine::from(spans)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, UNIX_EPOCH};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::style::Modifier;
    use xenctl::DomId;

    use super::*;
    use crate::sample::{Domain, Host};
    use crate::table::View;

    fn sample(domains: u16) -> Sample {
        let domain = |id| Domain {
            id: DomId(id),
            name: format!("guest{id:02}"),
            ..Domain::default()
        };
        Sample {
            taken: Instant::now(),
            host: Host::default(),
            domains: (0..domains).map(domain).collect(),
        }
    }

    fn drawn(screen: &mut Screen, controls: &Controls, domains: u16) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(90, 8)).unwrap();
        let sample = sample(domains);
        let rows = controls.view.order(&sample, None);
        terminal
            .draw(|frame| screen.draw(frame, &sample, &rows, controls, UNIX_EPOCH))
            .unwrap();
        terminal
    }

    fn line(terminal: &Terminal<TestBackend>, y: u16) -> String {
        let buffer = terminal.backend().buffer();
        (0..90).map(|x| buffer[(x, y)].symbol()).collect()
    }

    #[test]
    fn the_table_is_between_summary_and_keys() {
        let controls = Controls::new(View::default(), Duration::from_secs(3));
        let terminal = drawn(&mut Screen::default(), &controls, 2);
        assert!(line(&terminal, 0).starts_with("xentop - 00:00:00 UTC"));
        assert!(line(&terminal, 1).starts_with("2 domains"));
        assert!(line(&terminal, 3).starts_with("      NAME  STATE"));
        assert!(line(&terminal, 4).starts_with("   guest00 ------"));
        assert!(line(&terminal, 7).starts_with("  Delay  Networks  vBds  VCPUs"));
        let header = terminal.backend().buffer()[(6, 3)].modifier;
        assert!(header.contains(Modifier::REVERSED | Modifier::BOLD));
        let chosen = terminal.backend().buffer()[(6, 4)].modifier;
        assert!(chosen.contains(Modifier::UNDERLINED));
    }

    #[test]
    fn the_chosen_domain_is_always_to_be_seen() {
        let mut controls = Controls::new(View::default(), Duration::from_secs(3));
        let mut screen = Screen::default();
        controls.selected = usize::MAX;
        let terminal = drawn(&mut screen, &controls, 20);
        assert!(
            line(&terminal, 6).contains("guest19"),
            "{}",
            line(&terminal, 6)
        );
        controls.selected = 3;
        let terminal = drawn(&mut screen, &controls, 20);
        assert!(
            line(&terminal, 4).contains("guest03"),
            "{}",
            line(&terminal, 4)
        );
        drawn(&mut screen, &controls, 0);
    }
}

//! What a scenario expects to read on the serial console, and the judge that reads it line by line.

use std::collections::BTreeMap;

/// Text that means a machine is beyond help whatever the scenario is about, unless the scenario allows it.
const ALWAYS_FORBIDDEN: [&str; 6] = [
    "PANIC",
    "panicked at",
    "Panic on CPU",
    "Kernel panic",
    "BUG: unable to handle",
    "general protection fault",
];
const STEP_FAILED: &str = "FAIL ";

/// Texts that must stand in one line in this order, with anything between them; or one of several such rows.
///
/// Written `first ... second || other first ... other second`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Vec<String>>);

impl Pattern {
    /// Reads the written form; an empty text is an error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let row = |row: &str| {
            row.split(" ... ")
                .map(|part| part.trim().to_string())
                .collect::<Vec<_>>()
        };
        let rows: Vec<_> = text.split(" || ").map(row).collect();
        let has_gap = rows.iter().flatten().any(String::is_empty);
        if has_gap {
            Err(format!("empty text in the pattern {text:?}"))
        } else {
            Ok(Self(rows))
        }
    }

    fn is_in(&self, line: &str) -> bool {
        self.0.iter().any(|row| after(row, line).is_some())
    }

    fn starts(&self, line: &str) -> bool {
        self.0
            .iter()
            .any(|row| line.starts_with(&row[0]) && after(row, line).is_some())
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: Vec<_> = self.0.iter().map(|row| row.join(" ... ")).collect();
        write!(out, "{}", rows.join(" || "))
    }
}

fn after<'a>(row: &[String], line: &'a str) -> Option<&'a str> {
    row.iter().try_fold(line, |rest, text| {
        rest.find(text.as_str()).map(|at| &rest[at + text.len()..])
    })
}

/// One thing that must be read, after everything before it in the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// A line holds the pattern.
    Anywhere(Pattern),
    /// A line begins with the pattern.
    LineStart(Pattern),
    /// dom0's script reported the step as passed.
    Step(String),
}

impl Expectation {
    fn is_met_by(&self, line: &str) -> bool {
        match self {
            Self::Anywhere(pattern) => pattern.is_in(line),
            Self::LineStart(pattern) => pattern.starts(line),
            Self::Step(name) => line.strip_prefix("PASS ") == Some(name),
        }
    }
}

impl std::fmt::Display for Expectation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anywhere(pattern) => write!(out, "{:?}", pattern.to_string()),
            Self::LineStart(pattern) => {
                write!(out, "a line starting with {:?}", pattern.to_string())
            }
            Self::Step(name) => write!(out, "step {name} to pass"),
        }
    }
}

/// Something the runner does to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Types bytes on the serial console.
    Send(Vec<u8>),
    /// Gives the emulator's monitor a command.
    Monitor(String),
}

impl Action {
    /// Reads text to be typed: `^A` is Ctrl-a, `\n` the return key, `\\` and `\^` the characters themselves.
    pub fn typed(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let mut rest = text.chars();
        while let Some(first) = rest.next() {
            let mut next = || {
                rest.next()
                    .ok_or_else(|| format!("{text:?} ends in the middle"))
            };
            let typed = match first {
                '^' => char::from(next()?.to_ascii_uppercase() as u8 & 0x1f),
                '\\' => match next()? {
                    'n' => '\r',
                    other => other,
                },
                other => other,
            };
            bytes.extend(typed.encode_utf8(&mut [0; 4]).bytes());
        }
        Ok(Self::Send(bytes))
    }
}

/// Everything a scenario demands of the console.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Met one after another, the last one ends the scenario.
    pub ordered: Vec<Expectation>,
    /// What is done once so many of [`Self::ordered`] are met, in this order.
    pub actions: Vec<(usize, Action)>,
    /// Texts that fail the scenario at once.
    pub forbidden: Vec<String>,
    /// Texts among the always forbidden that this scenario is about.
    pub allowed: Vec<String>,
    /// Pairs of line beginnings whose next word must be equal.
    pub equal: Vec<(String, String)>,
}

/// What the judge thinks after the lines so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More must be read.
    Open,
    /// All demands are met.
    Passed,
    /// They cannot be met any more; the reason.
    Failed(String),
}

/// Reads the console and decides.
pub struct Judge<'a> {
    demands: &'a Demands,
    met: usize,
    done: usize,
    values: BTreeMap<&'a str, String>,
    failed_steps: Vec<String>,
    verdict: Verdict,
}

impl<'a> Judge<'a> {
    /// A judge who has read nothing.
    pub fn new(demands: &'a Demands) -> Self {
        Self {
            demands,
            met: 0,
            done: 0,
            values: BTreeMap::new(),
            failed_steps: Vec::new(),
            verdict: Verdict::Open,
        }
    }

    /// Takes the next line of the console, without its end. What a carriage return begins is a line of its own: a progress message is written
    /// over by what follows.
    pub fn read(&mut self, raw: &str) {
        let parts = raw.split('\r').filter(|part| !part.is_empty());
        parts.for_each(|part| self.read_part(part));
    }

    fn read_part(&mut self, raw: &str) {
        if self.verdict != Verdict::Open {
            return;
        }
        let line = without_escapes(raw);
        if let Some(text) = self.forbidden_in(&line) {
            self.verdict = Verdict::Failed(
                self.with_steps(format!("forbidden text {text:?}: {}", line.trim())),
            );
            return;
        }
        self.failed_steps.extend(
            line.strip_prefix(STEP_FAILED)
                .map(|name| name.trim().to_string()),
        );
        self.note_values(&line);
        let ordered = &self.demands.ordered;
        if ordered
            .get(self.met)
            .is_some_and(|next| next.is_met_by(&line))
        {
            self.met += 1;
        } else if ordered.last().is_none_or(|last| !last.is_met_by(&line)) {
            return;
        } else {
            self.met = self.met.min(ordered.len() - 1);
            self.verdict = Verdict::Failed(self.with_steps(self.waiting_for()));
        }
        if self.met == ordered.len() {
            self.verdict = self.last_word();
        }
    }

    /// What is to be done to the machine now; each action once.
    pub fn due(&mut self) -> Vec<&'a Action> {
        let due: Vec<_> = self.demands.actions[self.done..]
            .iter()
            .take_while(|(after, _)| *after <= self.met)
            .map(|(_, action)| action)
            .collect();
        self.done += due.len();
        due
    }

    /// The decision so far.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The decision when no more lines come, because of `why`.
    pub fn close(self, why: &str) -> Verdict {
        match self.verdict {
            Verdict::Open => {
                Verdict::Failed(self.with_steps(format!("{why}, {}", self.waiting_for())))
            }
            decided => decided,
        }
    }

    fn waiting_for(&self) -> String {
        self.demands
            .ordered
            .get(self.met)
            .map_or_else(String::new, |next| format!("expected {next}"))
    }

    fn with_steps(&self, reason: String) -> String {
        if self.failed_steps.is_empty() {
            reason
        } else {
            format!("failed in dom0: {}; {reason}", self.failed_steps.join(", "))
        }
    }

    fn forbidden_in(&self, line: &str) -> Option<&'a str> {
        let always = ALWAYS_FORBIDDEN
            .iter()
            .copied()
            .filter(|text| !self.demands.allowed.iter().any(|allowed| allowed == text));
        let mut all = always.chain(self.demands.forbidden.iter().map(String::as_str));
        all.find(|text| line.contains(text))
    }

    fn note_values(&mut self, line: &str) {
        for key in self
            .demands
            .equal
            .iter()
            .flat_map(|(one, other)| [one, other])
        {
            if let Some(value) = line
                .strip_prefix(key.as_str())
                .and_then(|rest| rest.split_whitespace().next())
            {
                self.values.insert(key, value.into());
            }
        }
    }

    fn last_word(&self) -> Verdict {
        if !self.failed_steps.is_empty() {
            return Verdict::Failed(format!("failed in dom0: {}", self.failed_steps.join(", ")));
        }
        for (one, other) in &self.demands.equal {
            let value = |key: &str| self.values.get(key).map_or("nothing", String::as_str);
            if value(one) == "nothing" || value(one) != value(other) {
                return Verdict::Failed(format!(
                    "{one} is {}, but {other} is {}",
                    value(one),
                    value(other)
                ));
            }
        }
        Verdict::Passed
    }
}

/// The line as a terminal would leave it: no escape sequences (GRUB sends some), no carriage returns.
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            chars.by_ref().find(|end| end.is_ascii_alphabetic());
        } else if !char.is_control() || char == '\t' {
            plain.push(char);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demands(ordered: &[&str]) -> Demands {
        let ordered = ordered
            .iter()
            .map(|text| Expectation::Anywhere(Pattern::parse(text).unwrap()))
            .collect();
        Demands {
            ordered,
            ..Demands::default()
        }
    }

    fn judged(demands: &Demands, lines: &[&str]) -> Verdict {
        let mut judge = Judge::new(demands);
        lines.iter().for_each(|line| judge.read(line));
        judge.close("the machine stopped")
    }

    fn reason(verdict: Verdict) -> String {
        match verdict {
            Verdict::Failed(reason) => reason,
            other => panic!("{other:?} is not a failure"),
        }
    }

    #[test]
    fn a_line_written_over_a_progress_message_counts() {
        let wanted = Demands {
            ordered: vec![Expectation::LineStart(
                Pattern::parse("PASS create").unwrap(),
            )],
            ..Demands::default()
        };
        let line = "\rCreating demo … 1 s\rCreating demo … 2 s\r\x1b[KPASS create\r";
        assert_eq!(judged(&wanted, &[line]), Verdict::Passed);
    }

    #[test]
    fn texts_are_expected_in_order() {
        let wanted = demands(&["one", "two"]);
        assert_eq!(
            judged(&wanted, &["noise", "one", "noise", "two"]),
            Verdict::Passed
        );
        assert!(reason(judged(&wanted, &["one", "noise"])).contains("two"));
    }

    #[test]
    fn the_last_expectation_ends_a_run_that_missed_another() {
        assert!(reason(judged(&demands(&["one", "end"]), &["end", "one", "end"])).contains("one"));
    }

    #[test]
    fn a_pattern_has_gaps_and_alternatives() {
        let pattern = Pattern::parse("a ... b || z").unwrap();
        assert!(pattern.is_in("x a x b") && pattern.is_in("z") && !pattern.is_in("b a"));
        assert!(pattern.starts("a b") && !pattern.starts("x a b"));
        assert!(Pattern::parse("a ...  ... b").is_err() && Pattern::parse("").is_err());
    }

    #[test]
    fn a_panic_fails_unless_the_scenario_is_about_it() {
        let mut wanted = demands(&["Panic on CPU"]);
        let line = "(XEN) Panic on CPU 0:";
        assert!(reason(judged(&wanted, &[line])).contains("forbidden"));
        wanted.allowed.push("Panic on CPU".into());
        assert_eq!(judged(&wanted, &[line]), Verdict::Passed);
    }

    #[test]
    fn a_failed_step_is_named() {
        let mut wanted = demands(&["RUN-DONE"]);
        assert!(reason(judged(&wanted, &["FAIL xl-create", "RUN-DONE"])).contains("xl-create"));
        wanted
            .ordered
            .insert(0, Expectation::Step("xl-create".into()));
        assert!(
            reason(judged(&wanted, &["FAIL xl-create", "RUN-DONE"]))
                .contains("failed in dom0: xl-create")
        );
        assert_eq!(
            judged(&wanted, &["PASS xl-create\r", "RUN-DONE"]),
            Verdict::Passed
        );
    }

    #[test]
    fn equal_values_must_be_there_and_equal() {
        let mut wanted = demands(&["end"]);
        wanted.equal.push(("SENT".into(), "GOT".into()));
        assert_eq!(
            judged(&wanted, &["SENT 12", "GOT 12  -", "end"]),
            Verdict::Passed
        );
        assert!(reason(judged(&wanted, &["SENT 12", "GOT 13", "end"])).contains("13"));
        assert!(reason(judged(&wanted, &["end"])).contains("nothing"));
    }

    #[test]
    fn escape_sequences_are_not_read() {
        assert_eq!(without_escapes("\u{1b}[1;1H\u{1b}[Jtext\r"), "text");
    }
}

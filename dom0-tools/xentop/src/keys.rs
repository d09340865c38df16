//! What keys do to the live table.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use xenctl::DomId;

use crate::table::View;

/// Digits of a delay.
const MAX_INPUT: usize = 9;

/// A domain that a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its number.
    pub id: DomId,
    /// Its name, for the question.
    pub name: String,
    /// Whether it is paused now.
    pub paused: bool,
}

/// What the program is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End.
    Quit,
    /// Draw the whole screen again.
    Repaint,
    /// Pause a domain.
    Pause(DomId),
    /// Let a domain run on.
    Unpause(DomId),
    /// Remove a domain.
    Destroy(DomId),
}

/// What the last line waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Prompt {
    Delay(String),
    Sure(String, Command),
}

/// State that keys change.
#[derive(Clone, Debug)]
pub struct Controls {
    /// What is shown.
    pub view: View,
    /// Time between updates.
    pub delay: Duration,
    /// The chosen line of the table, from the top.
    pub selected: usize,
    /// What came of the last command.
    pub message: Option<String>,
    prompt: Option<Prompt>,
}

impl Controls {
    /// As the command line says.
    pub fn new(view: View, delay: Duration) -> Self {
        Self {
            view,
            delay,
            selected: 0,
            message: None,
            prompt: None,
        }
    }

    /// A question or message for the last line, instead of its usual text.
    pub fn prompt(&self) -> Option<String> {
        match &self.prompt {
            Some(Prompt::Delay(input)) => Some(format!("Delay(sec): {input}")),
            Some(Prompt::Sure(question, _)) => Some(format!("{question} (y/n)")),
            None => self.message.clone(),
        }
    }

    /// Takes a key; `target` is the domain in the chosen line.
    pub fn press(&mut self, key: KeyEvent, target: Option<&Target>) -> Option<Command> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Command::Quit),
                KeyCode::Char('l') => Some(Command::Repaint),
                _ => None,
            };
        }
        self.message = None;
        match self.prompt.take() {
            Some(prompt) => self.answer(prompt, key.code),
            None => self.command(key.code, target),
        }
    }

    fn command(&mut self, key: KeyCode, target: Option<&Target>) -> Option<Command> {
        let toggle = |switch: &mut bool| *switch = !*switch;
        match key {
            KeyCode::Esc => return Some(Command::Quit),
            KeyCode::Down => self.selected = self.selected.saturating_add(1),
            KeyCode::Up => self.selected = self.selected.saturating_sub(1),
            KeyCode::Home => self.selected = 0,
            KeyCode::End => self.selected = usize::MAX,
            KeyCode::Left => self.view.sort = self.view.sort.before(),
            KeyCode::Right => self.view.sort = self.view.sort.after(1),
            KeyCode::Char(letter) => match letter.to_ascii_lowercase() {
                'q' => return Some(Command::Quit),
                'n' => toggle(&mut self.view.networks),
                'b' => toggle(&mut self.view.vbds),
                'v' => toggle(&mut self.view.vcpus),
                'r' => toggle(&mut self.view.repeat_header),
                't' => toggle(&mut self.view.rates),
                's' => self.view.sort = self.view.sort.after(1),
                'd' => self.prompt = Some(Prompt::Delay(String::new())),
                'p' => self.ask_pause(target?),
                'k' => self.ask_destroy(target?),
                _ => {}
            },
            _ => {}
        }
        None
    }

    fn ask_pause(&mut self, target: &Target) {
        if self.is_dom0(target) {
            return;
        }
        let (verb, command) = match target.paused {
            true => ("Unpause", Command::Unpause(target.id)),
            false => ("Pause", Command::Pause(target.id)),
        };
        self.prompt = Some(Prompt::Sure(question(verb, target), command));
    }

    fn ask_destroy(&mut self, target: &Target) {
        if self.is_dom0(target) {
            return;
        }
        let question = question("Destroy", target);
        self.prompt = Some(Prompt::Sure(question, Command::Destroy(target.id)));
    }

    fn is_dom0(&mut self, target: &Target) -> bool {
        let is_dom0 = target.id == DomId::DOM0;
        if is_dom0 {
            self.message = Some("This is the domain the tools run in".into());
        }
        is_dom0
    }

    fn answer(&mut self, prompt: Prompt, key: KeyCode) -> Option<Command> {
        match prompt {
            Prompt::Sure(_, command) => match key {
                KeyCode::Char('y' | 'Y') => Some(command),
                _ => None,
            },
            Prompt::Delay(input) => {
                self.edit_delay(input, key);
                None
            }
        }
    }

    fn edit_delay(&mut self, mut input: String, key: KeyCode) {
        match key {
            KeyCode::Esc => return,
            KeyCode::Enter => {
                match input.parse() {
                    Ok(seconds @ 1..) => self.delay = Duration::from_secs(seconds),
                    _ => self.message = Some("A delay is a number of seconds, 1 or more".into()),
                }
                return;
            }
            KeyCode::Backspace => drop(input.pop()),
            KeyCode::Char(digit @ '0'..='9') if input.len() < MAX_INPUT => input.push(digit),
            _ => {}
        }
        self.prompt = Some(Prompt::Delay(input));
    }
}

fn question(verb: &str, target: &Target) -> String {
    format!("{verb} domain {} ({})?", target.id, target.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Column;

    fn controls() -> Controls {
        Controls::new(View::default(), Duration::from_secs(3))
    }

    fn guest(paused: bool) -> Target {
        Target {
            id: DomId(4),
            name: "four".into(),
            paused,
        }
    }

    fn press(controls: &mut Controls, keys: &str, target: &Target) -> Option<Command> {
        let mut last = None;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\x08' => KeyCode::Backspace,
                key => KeyCode::Char(key),
            };
            last = controls.press(KeyEvent::from(code), Some(target));
        }
        last
    }

    #[test]
    fn destroying_needs_a_yes() {
        let mut controls = controls();
        assert_eq!(press(&mut controls, "k", &guest(false)), None);
        assert_eq!(controls.prompt().unwrap(), "Destroy domain 4 (four)? (y/n)");
        assert_eq!(press(&mut controls, "n", &guest(false)), None);
        assert_eq!(controls.prompt(), None);
        assert_eq!(
            press(&mut controls, "y", &guest(false)),
            None,
            "no question is open"
        );
        let sure = press(&mut controls, "Ky", &guest(false));
        assert_eq!(sure, Some(Command::Destroy(DomId(4))));
    }

    #[test]
    fn the_question_keeps_its_domain_when_the_table_moves() {
        let mut controls = controls();
        press(&mut controls, "k", &guest(false));
        let other = Target {
            id: DomId(5),
            ..guest(false)
        };
        assert_eq!(
            press(&mut controls, "y", &other),
            Some(Command::Destroy(DomId(4)))
        );
    }

    #[test]
    fn a_paused_domain_is_let_run_on() {
        let mut controls = controls();
        assert_eq!(
            press(&mut controls, "py", &guest(false)),
            Some(Command::Pause(DomId(4)))
        );
        assert_eq!(
            press(&mut controls, "py", &guest(true)),
            Some(Command::Unpause(DomId(4)))
        );
    }

    #[test]
    fn dom0_is_not_asked_about() {
        let mut controls = controls();
        let dom0 = Target {
            id: DomId::DOM0,
            ..guest(false)
        };
        assert_eq!(press(&mut controls, "ky", &dom0), None);
        assert_eq!(press(&mut controls, "py", &dom0), None);
    }

    #[test]
    fn a_delay_is_a_positive_number() {
        let mut controls = controls();
        press(&mut controls, "d1x7\x08\n", &guest(false));
        assert_eq!(controls.delay, Duration::from_secs(1));
        press(&mut controls, "d0\n", &guest(false));
        assert_eq!(controls.delay, Duration::from_secs(1));
        assert!(controls.prompt().unwrap().contains("1 or more"));
        press(&mut controls, "d99999999999999999999\n", &guest(false));
        assert_eq!(controls.delay, Duration::from_secs(999_999_999));
    }

    #[test]
    fn letters_switch_what_is_shown_and_the_order() {
        let mut controls = controls();
        press(&mut controls, "nBvRts", &guest(false));
        let view = &controls.view;
        assert!(view.networks && view.vbds && view.vcpus && view.repeat_header && view.rates);
        assert_eq!(view.sort, Column::State);
        controls.press(KeyEvent::from(KeyCode::Left), None);
        controls.press(KeyEvent::from(KeyCode::Left), None);
        assert_eq!(controls.view.sort, Column::Label, "around the start");
        assert_eq!(
            press(&mut controls, "q", &guest(false)),
            Some(Command::Quit)
        );
    }
}

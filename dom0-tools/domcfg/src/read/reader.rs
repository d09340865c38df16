//! Typed access to settings: each value is checked against its key's type, and what is wrong is collected with its place.

use crate::grammar::{Setting, Settings, Value, ValueKind};
use crate::keys::{self, Kind};
use crate::number;
use crate::problem::{MAX_PROBLEMS, Place, Problem, quoted};

use super::Context;

/// Settings under reading. Accessors give `None` both for a key that is not there and for a value that is wrong; the latter is
/// remembered.
pub struct Reader<'a> {
    settings: &'a Settings,
    /// What the configuration depends on.
    pub context: &'a Context,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// A string of the configuration and the value it is.
#[derive(Copy, Clone, Debug)]
pub struct Item<'a> {
    /// The characters.
    pub text: &'a str,
    /// For places inside the string.
    pub value: &'a Value,
}

impl<'a> Reader<'a> {
    pub fn new(settings: &'a Settings, context: &'a Context) -> Self {
        Reader {
            settings,
            context,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What was wrong, and what is to be told.
    pub fn finish(mut self) -> (Vec<Problem>, Vec<String>) {
        self.problems.sort_by_key(|problem| {
            (
                &*problem.place.source == "command line",
                problem.place.line,
                problem.place.column,
            )
        });
        self.problems.truncate(MAX_PROBLEMS);
        (self.problems, self.warnings)
    }

    pub fn setting(&self, name: &str) -> Option<&'a Setting> {
        self.settings.get(name)
    }

    pub fn settings(&self) -> impl Iterator<Item = &'a Setting> {
        self.settings.iter()
    }

    pub fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem {
            place,
            message: message.into(),
        });
    }

    pub fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }

    /// Reports that the value of `name` is not what the key's type says.
    pub fn unexpected(&mut self, name: &str, value: &Value) {
        let expectation = keys::find(name).map_or("another value", |key| key.kind.expectation());
        self.unexpected_with(name, value, expectation);
    }

    /// Reports that the value of `name` is not what `expectation` says.
    pub fn unexpected_with(&mut self, name: &str, value: &Value, expectation: &str) {
        let message = format!(
            "expected {expectation} after {}, found {}",
            quoted(name),
            found(value)
        );
        self.problem(value.place.clone(), message);
    }

    /// A single string.
    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = &self.setting(name)?.value;
        let text = value.text();
        if text.is_none() {
            self.unexpected(name, value);
        }
        text
    }

    /// A single string, copied.
    pub fn string(&mut self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A number within the bounds of the key's type.
    pub fn number(&mut self, name: &str) -> Option<i64> {
        let setting = self.setting(name)?;
        let value = &setting.value;
        if setting.is_addition {
            self.problem(
                setting.place.clone(),
                format!("cannot use \"+=\" with {}, which is a number", quoted(name)),
            );
            return None;
        }
        let Some(number) = value.text().and_then(number::parse) else {
            self.unexpected(name, value);
            return None;
        };
        match keys::find(name).map(|key| key.kind) {
            Some(Kind::Number(what, least, most)) if !(least..=most).contains(&number) => {
                self.unexpected_with(name, value, &format!("{what} from {least} to {most}"));
                None
            }
            _ => Some(number),
        }
    }

    /// A number that fits the type it is read into; the bounds in the table of keys see to that.
    pub fn number_as<T: TryFrom<i64>>(&mut self, name: &str) -> Option<T> {
        let number = self.number(name)?;
        let converted = T::try_from(number).ok();
        if let (None, Some(setting)) = (&converted, self.setting(name)) {
            self.unexpected(name, &setting.value);
        }
        converted
    }

    /// An amount of memory given in MiB, in KiB.
    pub fn mib_as_kib(&mut self, name: &str) -> Option<u64> {
        self.number_as::<u64>(name)
            .map(|mib| mib.saturating_mul(1024))
    }

    /// A yes or no.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.number(name).map(|number| number != 0)
    }

    /// One of the names of an enumeration.
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        from_name: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let choice = from_name(text);
        if let (None, Some(setting)) = (&choice, self.setting(name)) {
            self.unexpected(name, &setting.value);
        }
        choice
    }

    /// The strings of a list; `None` if the key is not there. An element that is a list itself is reported.
    pub fn items(&mut self, name: &str) -> Option<Vec<Item<'a>>> {
        let value = &self.setting(name)?.value;
        match &value.kind {
            ValueKind::Text(_) => {
                self.unexpected(name, value);
                None
            }
            ValueKind::List(items) => Some(self.strings_of(name, items)),
        }
    }

    /// The strings among the elements of a list.
    pub fn strings_of(&mut self, name: &str, items: &'a [Value]) -> Vec<Item<'a>> {
        let mut strings = Vec::with_capacity(items.len());
        for value in items {
            match value.text() {
                Some(text) => strings.push(Item { text, value }),
                None => {
                    let message = format!(
                        "expected a string in the list of {}, found a list",
                        quoted(name)
                    );
                    self.problem(value.place.clone(), message);
                }
            }
        }
        strings
    }

    /// The strings of a list, copied.
    pub fn strings(&mut self, name: &str) -> Option<Vec<String>> {
        self.items(name)
            .map(|items| items.iter().map(|item| item.text.to_owned()).collect())
    }
}

/// A value as "found ..." says it.
pub fn found(value: &Value) -> String {
    value.text().map_or_else(|| "a list".to_owned(), quoted)
}

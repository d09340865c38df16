//! Values and settings, with the places they come from.

use std::collections::HashMap;

use crate::problem::Place;

use super::MAX_STRING;

/// A value: a single one, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Where it starts.
    pub place: Place,
    /// What it is.
    pub kind: ValueKind,
}

/// The two kinds of values; numbers and strings are the same to xl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A number or string.
    Text(Text),
    /// A list.
    List(Vec<Value>),
}

/// A number or string with its escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The characters.
    pub text: String,
    /// Columns from the value's start to its first character, if every character stands in the file as it is here; `None` when
    /// escapes or `+=` came between.
    indent: Option<u32>,
}

impl Text {
    pub(super) fn new(text: String, indent: Option<u32>) -> Self {
        Text { text, indent }
    }
}

impl Value {
    /// The text, unless it is a list.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            ValueKind::Text(text) => Some(&text.text),
            ValueKind::List(_) => None,
        }
    }

    /// Where the character at byte `offset` of the text stands, as near as is known.
    pub fn place_at(&self, offset: usize) -> Place {
        let mut place = self.place.clone();
        if let ValueKind::Text(Text {
            text,
            indent: Some(indent),
        }) = &self.kind
        {
            let before = text
                .get(..offset)
                .map_or(0, |before| before.chars().count());
            let shift = u32::try_from(before).unwrap_or(0).saturating_add(*indent);
            place.column = place.column.saturating_add(shift);
        }
        place
    }

    /// Puts `more` behind the value.
    pub(super) fn append(&mut self, more: Value) -> Result<(), CannotAdd> {
        match (&mut self.kind, more.kind) {
            (ValueKind::Text(text), ValueKind::Text(more)) => {
                if text.text.len() + more.text.len() > MAX_STRING {
                    return Err(CannotAdd::TooLong);
                }
                text.text.push_str(&more.text);
                text.indent = None;
                Ok(())
            }
            (ValueKind::List(items), ValueKind::List(more)) => {
                items.extend(more);
                Ok(())
            }
            _ => Err(CannotAdd::Mismatch),
        }
    }
}

/// Why `+=` cannot be carried out.
pub(super) enum CannotAdd {
    /// A list was added to a string, or a string to a list.
    Mismatch,
    /// The string would be longer than [`MAX_STRING`].
    TooLong,
}

/// What a file says for a key, after all its assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub name: String,
    /// Where the key stands in the last assignment.
    pub place: Place,
    /// Its value.
    pub value: Value,
    /// Whether the last assignment was a `+=`.
    pub is_addition: bool,
}

/// All settings, in the order of their keys' first mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    settings: Vec<Setting>,
    index: HashMap<String, usize>,
}

impl Settings {
    /// The setting of a key.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.index
            .get(name)
            .and_then(|index| self.settings.get(*index))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter()
    }

    /// `key = value` replaces what was there; `key += value` adds to it.
    pub(super) fn assign(&mut self, setting: Setting) -> Result<(), CannotAdd> {
        let found = self
            .index
            .get(&setting.name)
            .and_then(|index| self.settings.get_mut(*index));
        match found {
            None => {
                self.index.insert(setting.name.clone(), self.settings.len());
                self.settings.push(setting);
            }
            Some(old) if setting.is_addition => {
                old.value.append(setting.value)?;
                old.place = setting.place;
                old.is_addition = true;
            }
            Some(old) => *old = setting,
        }
        Ok(())
    }
}

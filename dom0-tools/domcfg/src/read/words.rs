//! Device specifications: words separated by commas, most of them `key=value`.

use crate::problem::{Place, quoted};

use super::reader::{Item, Reader};

/// A word of a specification.
#[derive(Copy, Clone, Debug)]
pub struct Word<'a> {
    /// The characters, without blanks before them.
    pub text: &'a str,
    /// Where they start in the specification.
    pub offset: usize,
}

impl<'a> Word<'a> {
    /// The parts before and after the first `=`.
    pub fn pair(&self) -> Option<(&'a str, Word<'a>)> {
        let (key, value) = self.text.split_once('=')?;
        Some((
            key,
            Word {
                text: value,
                offset: self.offset + key.len() + 1,
            },
        ))
    }

    /// The same without blanks at either end.
    pub fn trimmed(&self) -> Word<'a> {
        let start = self.text.trim_start();
        Word {
            text: start.trim_end(),
            offset: self.offset + self.text.len() - start.len(),
        }
    }

    pub fn string(&self) -> Option<String> {
        Some(self.text.to_owned())
    }
}

/// The words of a specification; empty ones are left out.
pub fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    split(text, ',')
}

/// The parts of a text between separators, without blanks before them; empty ones are left out.
pub fn split(text: &str, separator: char) -> impl Iterator<Item = Word<'_>> {
    let mut offset = 0;
    text.split(separator).filter_map(move |part| {
        let start = offset;
        offset += part.len() + separator.len_utf8();
        let text = part.trim_start_matches(' ');
        (!text.is_empty()).then(|| Word {
            text,
            offset: start + part.len() - text.len(),
        })
    })
}

/// A specification under reading: remembers what it is of, for messages.
pub struct Specification<'r, 's, 'a> {
    pub reader: &'r mut Reader<'s>,
    pub item: Item<'a>,
    /// The kind of device, e.g. "disk".
    pub what: &'static str,
}

impl<'r, 's, 'a> Specification<'r, 's, 'a> {
    pub fn new(reader: &'r mut Reader<'s>, item: Item<'a>, what: &'static str) -> Self {
        Specification { reader, item, what }
    }

    pub fn place(&self, word: Word<'_>) -> Place {
        self.item.value.place_at(word.offset)
    }

    /// Reports a word that stands for nothing.
    pub fn unknown(&mut self, word: Word<'_>) {
        let message = format!(
            "unknown word {} in the specification of a {}",
            quoted(word.text),
            self.what
        );
        self.reader.problem(self.place(word), message);
    }

    /// Reports a value that is not what `expectation` says.
    pub fn unexpected(&mut self, key: &str, value: Word<'_>, expectation: &str) {
        let message = format!(
            "expected {expectation} after \"{key}=\", found {}",
            quoted(value.text)
        );
        self.reader.problem(self.place(value), message);
    }

    /// Reports what is missing in the specification as a whole.
    pub fn incomplete(&mut self, message: &str) {
        self.reader.problem(self.item.value.place.clone(), message);
    }

    /// A number without sign.
    pub fn number<T: TryFrom<i64>>(&mut self, key: &str, value: Word<'_>) -> Option<T> {
        let number = crate::number::parse(value.text).filter(|number| *number >= 0);
        let converted = number.and_then(|number| T::try_from(number).ok());
        match (number, &converted) {
            (None, _) => self.unexpected(key, value, "a number"),
            (Some(_), None) => self.unexpected(key, value, "a smaller number"),
            (Some(_), Some(_)) => {}
        }
        converted
    }

    /// A yes or no.
    pub fn flag(&mut self, key: &str, value: Word<'_>) -> Option<bool> {
        let number = crate::number::parse(value.text);
        if number.is_none() {
            self.unexpected(key, value, "0 or 1");
        }
        number.map(|number| number != 0)
    }

    /// One of the names of an enumeration.
    pub fn choice<T>(
        &mut self,
        key: &str,
        value: Word<'_>,
        choice: Option<T>,
        expectation: &str,
    ) -> Option<T> {
        if choice.is_none() {
            self.unexpected(key, value, expectation);
        }
        choice
    }
}

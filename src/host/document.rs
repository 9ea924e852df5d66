//! TOML files, read key by key: a key that nobody asked for is an error that names the nearest one
//! that would have been understood, and every error names the file and the line.

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fmt;
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, vec};

use toml::de::{DeTable, DeValue};

use super::duration;

/// One table of a document. The keys that are asked for are the ones that are known;
/// [`finish`](Self::finish) refuses the rest.
#[derive(Debug)]
pub struct Table<'a> {
    source: Source<'a>,
    /// `identity.hub`; empty at the top.
    path: String,
    entries: DeTable<'a>,
    known: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

/// What is wrong with a document, and where.
#[derive(Debug)]
pub struct DocumentError(String);

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for DocumentError {}

impl<'a> Table<'a> {
    /// Reads a document; `file` is what errors call it.
    ///
    /// # Errors
    /// [`DocumentError`] if `text` is not TOML.
    pub fn parse(file: &'a str, text: &'a str) -> Result<Self, DocumentError> {
        let source = Source { file, text };
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().unwrap_or_default();
            source.error(place.start, error.message())
        })?;
        Ok(Self::new(source, String::new(), table.into_inner()))
    }

    fn new(source: Source<'a>, path: String, entries: DeTable<'a>) -> Self {
        Self {
            source,
            path,
            entries,
            known: Vec::new(),
        }
    }

    /// The value of `key`, a string.
    ///
    /// # Errors
    /// If it is something else.
    pub fn string(&mut self, key: &'static str) -> Result<Option<String>, DocumentError> {
        self.read(key, "a string", |value| match value {
            DeValue::String(text) => Some(text.into_owned()),
            _ => None,
        })
    }

    /// The value of `key`, a string, a whole number or a truth value, as text, and its line.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&mut self, key: &'static str) -> Result<Option<(String, usize)>, DocumentError> {
        let line = self.line(key);
        let text = self.read(key, "a string, a number, or true or false", scalar)?;
        Ok(text.map(|text| (text, line)))
    }

    /// The value of `key`, as [`text`](Self::text), or a list of such values, and its line.
    ///
    /// # Errors
    /// If it is something else.
    pub fn texts(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(Vec<String>, usize)>, DocumentError> {
        let Some((_, DeValue::Array(_))) = self
            .entries
            .get_key_value(key)
            .map(|(name, value)| (name, value.get_ref()))
        else {
            let text = self.text(key)?;
            return Ok(text.map(|(text, line)| (vec![text], line)));
        };
        let line = self.line(key);
        let list = self.read(key, "a list of strings or numbers", |value| match value {
            DeValue::Array(items) => items
                .into_iter()
                .map(|item| scalar(item.into_inner()))
                .collect(),
            _ => None,
        })?;
        Ok(list.map(|texts| (texts, line)))
    }

    /// The value of `key`, a list of strings; one string stands for a list of one. Empty if it is not there.
    ///
    /// # Errors
    /// If it is something else.
    pub fn strings(&mut self, key: &'static str) -> Result<Vec<String>, DocumentError> {
        let list = self.read(key, "a list of strings", |value| match value {
            DeValue::String(text) => Some(vec![text.into_owned()]),
            DeValue::Array(items) => items
                .into_iter()
                .map(|item| match item.into_inner() {
                    DeValue::String(text) => Some(text.into_owned()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })?;
        Ok(list.unwrap_or_default())
    }

    /// The value of `key`: `true` or `false`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, DocumentError> {
        self.read(key, "true or false", |value| match value {
            DeValue::Boolean(value) => Some(value),
            _ => None,
        })
    }

    /// The value of `key`: a number of seconds, or a string that [`duration::parse`] reads.
    ///
    /// # Errors
    /// If it is something else.
    pub fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, DocumentError> {
        self.read(
            key,
            "a duration such as \"30m\" or a number of seconds",
            |value| match value {
                DeValue::Integer(number) => duration::parse(&number.to_string()).ok(),
                DeValue::String(text) => duration::parse(&text).ok(),
                _ => None,
            },
        )
    }

    /// The tables below `key`, with their names, in the order of the document: all `[identity.NAME]`
    /// for `identity`.
    ///
    /// # Errors
    /// If there is something else than tables.
    pub fn tables(&mut self, key: &'static str) -> Result<Vec<(String, Self)>, DocumentError> {
        let Some(parent) = self.table(key)? else {
            return Ok(Vec::new());
        };
        let mut tables = Vec::new();
        let mut entries: Vec<_> = parent.entries.into_iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let path = format!("{}.{}", parent.path, name.get_ref());
            let DeValue::Table(table) = value.into_inner() else {
                let what = format!("`{path}` has to be a table, [{path}]");
                return Err(self.source.error(name.span().start, &what));
            };
            let name = name.into_inner().into_owned();
            tables.push((name, Self::new(self.source, path, table)));
        }
        Ok(tables)
    }

    /// The table `[key]`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn table(&mut self, key: &'static str) -> Result<Option<Self>, DocumentError> {
        let table = self.read(key, "a table", |value| match value {
            DeValue::Table(table) => Some(table),
            _ => None,
        })?;
        Ok(table.map(|table| Self::new(self.source, self.path_of(key), table)))
    }

    /// Ends the reading of this table.
    ///
    /// # Errors
    /// If it holds a key that was not asked for.
    pub fn finish(self) -> Result<(), DocumentError> {
        let Some(key) = self.entries.keys().next() else {
            return Ok(());
        };
        let mut what = format!("unknown key `{}`", self.path_of(key.get_ref()));
        if let Some(known) = nearest(key.get_ref(), self.known.iter().copied()) {
            what += &format!("; did you mean `{known}`?");
        } else if !self.known.is_empty() {
            what += &format!("; known here: {}", self.known.join(", "));
        }
        Err(self.source.error(key.span().start, &what))
    }

    /// An error about this table as a whole, for what only its reader can know.
    pub fn error(&self, what: &str) -> DocumentError {
        let file = self.source.file;
        if self.path.is_empty() {
            DocumentError(format!("{file}: {what}"))
        } else {
            DocumentError(format!("{file}, [{}]: {what}", self.path))
        }
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(DeValue<'a>) -> Option<T>,
    ) -> Result<Option<T>, DocumentError> {
        self.known.push(key);
        let Some((name, value)) = self.entries.remove_entry(key) else {
            return Ok(None);
        };
        match read(value.into_inner()) {
            Some(value) => Ok(Some(value)),
            None => {
                let what = format!("`{}` has to be {expected}", self.path_of(key));
                Err(self.source.error(name.span().start, &what))
            }
        }
    }

    fn line(&self, key: &str) -> usize {
        let entry = self.entries.get_key_value(key);
        entry.map_or(0, |(name, _)| self.source.line(name.span().start))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// A string, a whole number or a truth value, as text.
fn scalar(value: DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|&&byte| byte == b'\n').count()
    }

    fn error(&self, offset: usize, what: &str) -> DocumentError {
        DocumentError(format!("{}, line {}: {what}", self.file, self.line(offset)))
    }
}

/// The word of `known` that `word` was probably meant to be, if one is close.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, candidate)| distance <= candidate.chars().count().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
region = "eu-west-1"
buckets = "one"
strict = true

[profile.hub]
roles = ["A", "B"]
session-duration = "30m"

[profile.another]
session-duration = 900
"#;

    #[test]
    fn values_of_every_kind() -> Result<(), DocumentError> {
        let mut top = Table::parse("x.toml", TEXT)?;
        assert_eq!(top.string("region")?.as_deref(), Some("eu-west-1"));
        assert_eq!(top.string("account")?, None);
        assert_eq!(top.strings("buckets")?, ["one"]);
        assert_eq!(top.text("none")?, None);
        assert_eq!(top.texts("none")?, None);
        assert_eq!(top.boolean("strict")?, Some(true));
        let mut profiles = top.tables("profile")?;
        assert_eq!(profiles.len(), 2);
        let (name, hub) = &mut profiles[0];
        assert_eq!(name, "hub");
        assert_eq!(hub.strings("roles")?, ["A", "B"]);
        assert_eq!(
            hub.duration("session-duration")?,
            Some(Duration::from_secs(1800))
        );
        top.finish()
    }

    fn error<T>(result: Result<T, DocumentError>) -> String {
        result
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn errors_name_the_line_and_the_nearest_key() -> Result<(), DocumentError> {
        let mut top = Table::parse("x.toml", "regoin = \"a\"\nbuckets = 1\nvery-odd = 1\n")?;
        top.string("region")?;
        assert_eq!(
            error(top.strings("buckets")),
            "x.toml, line 2: `buckets` has to be a list of strings"
        );
        assert_eq!(
            error(top.finish()),
            "x.toml, line 1: unknown key `regoin`; did you mean `region`?"
        );
        let mut top = Table::parse("x.toml", "\nvery-odd = 1")?;
        top.string("region")?;
        assert_eq!(
            error(top.finish()),
            "x.toml, line 2: unknown key `very-odd`; known here: region"
        );
        let mut top = Table::parse("x.toml", "[profile]\nhub = 3")?;
        assert_eq!(
            error(top.tables("profile")),
            "x.toml, line 2: `profile.hub` has to be a table, [profile.hub]"
        );
        let broken = error(Table::parse("x.toml", "a = 1\nb ="));
        assert!(broken.starts_with("x.toml, line 2: "), "{broken}");
        Ok(())
    }

    #[test]
    fn nearest_only_if_it_is_near() {
        let known = ["throttle", "slow", "skew"];
        assert_eq!(nearest("trottle", known), Some("throttle"));
        assert_eq!(nearest("skwe", known), Some("skew"));
        assert_eq!(nearest("explode", known), None);
    }
}

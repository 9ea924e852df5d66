//! Sections of `keystead.toml` that belong to commands: `[serve]`, `[push]`, `[spool]`. Each of their keys is
//! a flag and a variable as well.

use std::string::String;
use std::vec::Vec;

use super::config::Config;
use super::document::{DocumentError, Table};

/// A setting of a section.
pub trait SectionSetting: Copy + PartialEq + 'static {
    /// All settings of the section, in the order in which people read them.
    const SETTINGS: &'static [Self];

    /// The key in the file.
    fn key(self) -> &'static str;

    /// The flag without its dashes.
    fn flag_name(self) -> &'static str;

    /// The environment variable.
    fn variable_name(self) -> String;

    /// Whether it may have several values.
    fn has_several(self) -> bool;

    /// Whether a variable has one value alone all the same: what it names may have commas in it.
    fn is_name(self) -> bool {
        false
    }

    /// Where a configuration has the section.
    fn section(config: &Config) -> &SectionConfig<Self>;
}

/// What the file says in a section.
#[derive(Debug)]
pub struct SectionConfig<S> {
    values: Vec<SectionValue<S>>,
}

/// A setting as the file has it.
#[derive(Debug)]
pub struct SectionValue<S> {
    /// Which one.
    pub setting: S,
    /// Its values; numbers and truth values as text.
    pub texts: Vec<String>,
    /// The line of its key.
    pub line: usize,
}

impl<S> Default for SectionConfig<S> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl<S: SectionSetting> SectionConfig<S> {
    /// Reads the section.
    ///
    /// # Errors
    /// [`DocumentError`] if it holds an unknown key, or a value of the wrong type.
    pub fn read(mut table: Table<'_>) -> Result<Self, DocumentError> {
        let mut values = Vec::new();
        for &setting in S::SETTINGS {
            let found = match setting.has_several() {
                true => table.texts(setting.key())?,
                false => {
                    let found = table.text(setting.key())?;
                    found.map(|(text, line)| (std::vec![text], line))
                }
            };
            if let Some((texts, line)) = found {
                values.push(SectionValue {
                    setting,
                    texts,
                    line,
                });
            }
        }
        table.finish()?;
        Ok(Self { values })
    }

    /// What it says of a setting.
    pub fn value(&self, setting: S) -> Option<&SectionValue<S>> {
        self.values.iter().find(|value| value.setting == setting)
    }
}

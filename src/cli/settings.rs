//! Where a setting of a command comes from: flags over environment over the command's section of
//! `keystead.toml`, as with those of an identity.

use core::fmt;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, vec};

use clap::ArgMatches;

use super::context::Context;
use super::error::CliError;
use super::plan::REQUIRED;
use super::sources::{Origin, Sources};
use super::{flags, place};
use crate::backend::secret::Environment;
use crate::host::config::Config;
use crate::host::section::SectionSetting;

/// All sources of them.
pub struct Settings<'a> {
    flags: &'a ArgMatches,
    environment: &'a dyn Environment,
    file: Option<(PathBuf, Config)>,
}

/// What a setting is, and who says so.
pub struct Given {
    /// Its values, none of them empty.
    pub values: Vec<OsString>,
    /// Who says so.
    pub origin: Origin,
}

impl<'a> Settings<'a> {
    /// Reads the file, if an identity is not complete without it.
    ///
    /// # Errors
    /// [`CliError`] if a file was asked for and is not there, or is wrong.
    pub fn new(flags: &'a ArgMatches, context: &Context<'a>) -> Result<Self, CliError> {
        Ok(Self {
            flags,
            environment: context.environment,
            file: Sources::new(flags, context).document(&REQUIRED)?,
        })
    }

    /// Reads the file, if there is one: for commands that say more than an identity does.
    ///
    /// # Errors
    /// [`CliError`] if a file was asked for and is not there, or is wrong.
    pub fn with_file(flags: &'a ArgMatches, context: &Context<'a>) -> Result<Self, CliError> {
        Ok(Self {
            flags,
            environment: context.environment,
            file: Sources::new(flags, context).any_document()?,
        })
    }

    /// The identity of the file, if it has one alone.
    pub fn only_identity(&self) -> Option<&str> {
        match self.file.as_ref()?.1.identities() {
            [only] => Some(only.name()),
            _ => None,
        }
    }

    /// What a setting is, if anyone says so.
    pub fn get<S: SectionSetting>(&self, setting: S) -> Option<Given> {
        let given = |values: Vec<OsString>, origin| {
            let values: Vec<_> = values
                .into_iter()
                .filter(|value| !value.is_empty())
                .collect();
            (!values.is_empty()).then_some(Given { values, origin })
        };
        let flag = setting.flag_name();
        let values = self.flags.try_get_many::<OsString>(flag).ok().flatten();
        let values = values.map(|values| values.cloned().collect());
        if let Some(found) = values.and_then(|values| given(values, Origin::Flag(flag))) {
            return Some(found);
        }
        let variable = setting.variable_name();
        let values = self
            .environment
            .var(&variable)
            .map(|value| split(setting, &value));
        if let Some(found) = values.and_then(|values| given(values, Origin::Variable(variable))) {
            return Some(found);
        }
        let (path, config) = self.file.as_ref()?;
        let value = S::section(config).value(setting)?;
        let values = value.texts.iter().map(OsString::from).collect();
        let origin = Origin::File {
            path: path.clone(),
            line: value.line,
        };
        given(values, origin)
    }

    /// A setting that is true or false; false if nobody says anything.
    ///
    /// # Errors
    /// [`CliError`] if it is neither.
    pub fn switch<S: SectionSetting>(&self, setting: S) -> Result<bool, CliError> {
        let given = self.parsed(setting, |text| {
            flags::parse_switch(OsStr::new(text)).ok_or("this is neither true nor false")
        })?;
        Ok(given.unwrap_or_default())
    }

    /// A setting that is a path; one in a file is relative to the file's folder.
    pub fn path<S: SectionSetting>(&self, setting: S) -> Option<PathBuf> {
        let given = self.get(setting)?;
        let path = PathBuf::from(given.values.last()?);
        Some(match &given.origin {
            Origin::File { path: file, .. } => file.with_file_name("").join(path),
            _ => path,
        })
    }

    /// A setting that is several paths.
    pub fn paths<S: SectionSetting>(&self, setting: S) -> Vec<PathBuf> {
        let Some(given) = self.get(setting) else {
            return vec![];
        };
        let place = |path: &OsString| match &given.origin {
            Origin::File { path: file, .. } => file.with_file_name("").join(path),
            _ => path.into(),
        };
        given.values.iter().map(place).collect()
    }

    /// A setting that `parse` reads.
    ///
    /// # Errors
    /// [`CliError`] with what `parse` says.
    pub fn parsed<S: SectionSetting, T, E: fmt::Display>(
        &self,
        setting: S,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, CliError> {
        Ok(self.all(setting, parse)?.pop())
    }

    /// A setting with several values that `parse` reads.
    ///
    /// # Errors
    /// [`CliError`] with what `parse` says.
    pub fn all<S: SectionSetting, T, E: fmt::Display>(
        &self,
        setting: S,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, CliError> {
        let Some(given) = self.get(setting) else {
            return Ok(vec![]);
        };
        let values = given.values.iter();
        values
            .map(|value| {
                let text = value
                    .to_str()
                    .ok_or_else(|| given.invalid(value, "this is not UTF-8"))?;
                parse(text).map_err(|error| given.invalid(value, error))
            })
            .collect()
    }
}

impl Given {
    /// The values as they may be shown.
    pub fn shown(&self) -> String {
        let values = self.values.iter();
        let values: Vec<_> = values
            .map(|value| place::shown(&value.to_string_lossy()))
            .collect();
        values.join(", ")
    }

    fn invalid(&self, value: &OsStr, why: impl fmt::Display) -> CliError {
        let value = place::shown(&value.to_string_lossy());
        CliError::usage(format!("{}: `{value}`: {why}", self.origin), "")
    }
}

/// A variable has a list's values with commas between them.
fn split<S: SectionSetting>(setting: S, value: &OsStr) -> Vec<OsString> {
    match value.to_str() {
        Some(text) if setting.has_several() && !setting.is_name() => text
            .split(',')
            .map(|part| part.trim().to_string().into())
            .collect(),
        _ => vec![value.into()],
    }
}

//! What is decided about files and batches when they are accepted.

use std::ffi::OsStr;
use std::format;
use std::string::String;

use crate::cli::error::CliError;
use crate::cli::push::attributes::AttributesPlan;
use crate::cli::push::target::{OwnFacts, Target};
use crate::core::time::UnixTime;
use crate::host::key_template::SourceName;
use crate::host::spool::Naming;
use crate::host::spool::record::CONTENT_TYPE;

/// Makes keys of names.
#[derive(Debug, Clone)]
pub struct Namer {
    target: Target,
    attributes: AttributesPlan,
    facts: OwnFacts,
    has_type: bool,
}

impl Namer {
    /// Keys as `target` has them. `has_type` says whether the user has given a content type.
    ///
    /// # Errors
    /// [`CliError`] if all of them would be the same.
    pub fn new(
        target: Target,
        attributes: AttributesPlan,
        facts: OwnFacts,
        has_type: bool,
    ) -> Result<Self, CliError> {
        if !target.template.tells_names_apart() {
            return Err(CliError::usage(
                "many objects will be made, and all of them would have the same key",
                "put {name} into the key, or a / at its end",
            ));
        }
        Ok(Self {
            target,
            attributes,
            facts,
            has_type,
        })
    }

    /// A file's. Its time is that of its last change: taken twice, it has the same key twice.
    ///
    /// # Errors
    /// A sentence, if there is no such key.
    pub fn of_file(&self, name: &OsStr, modified: UnixTime) -> Result<Naming, String> {
        self.naming(&SourceName::given(name), modified)
    }

    /// A batch's.
    ///
    /// # Errors
    /// A sentence, if there is no such key.
    pub fn of_batch(&self, name: &str, begun: UnixTime) -> Result<Naming, String> {
        let mut naming = self.naming(&SourceName::given(OsStr::new(name)), begun)?;
        if !self.has_type {
            // The name says what it is packed in.
            naming.attributes.content_type = Some(CONTENT_TYPE.into());
        }
        Ok(naming)
    }

    fn naming(&self, name: &SourceName, time: UnixTime) -> Result<Naming, String> {
        let key = self.facts.key_at(time, &self.target.template, name);
        let key = key.map_err(|error| format!("{error}"))?;
        Ok(Naming {
            bucket: self.target.bucket.clone(),
            attributes: self.attributes.of(&key, name),
            key,
        })
    }
}

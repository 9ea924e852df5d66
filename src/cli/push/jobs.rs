//! What is uploaded, file by file, and under which keys.

use std::boxed::Box;
use std::ffi::OsString;
use std::format;
use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use super::display::Display;
use super::inputs::Input;
use super::target::OwnFacts;
use crate::cli::error::{CliError, Exit};
use crate::cli::place;
use crate::host::key_template::{KeyTemplate, SourceName};

/// How folders are gone through.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// With everything in them.
    pub recursive: bool,
    /// Where symbolic links in them lead as well.
    pub follow: bool,
}

/// One object to be.
#[derive(Debug)]
pub struct Job {
    /// Where its content is.
    pub source: Source,
    /// What the source is called in keys.
    pub name: SourceName,
    /// The key.
    pub key: String,
    /// Bytes, as far as that is known.
    pub length: u64,
}

/// Where content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a file.
    File(Box<Path>),
    /// In a pipe, or whatever else is read once.
    Stream(Box<Path>),
    /// Standard input.
    Stdin,
}

impl Source {
    /// What people call it.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) | Self::Stream(path) => place::shown(&path.to_string_lossy()),
            Self::Stdin => String::from("standard input"),
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Jobs {
    /// In the order in which it was named; what is in folders by name.
    pub jobs: Vec<Job>,
    /// Why others are none.
    pub failures: Vec<CliError>,
}

impl Jobs {
    /// Looks for everything that is named. What cannot be read is told, and does not keep the rest from being uploaded.
    ///
    /// # Errors
    /// [`CliError`] if two of them would have the same key, or one has none.
    pub fn find(
        inputs: &[Input],
        walk: Walk,
        template: &KeyTemplate,
        facts: &OwnFacts,
        display: &Display,
    ) -> Result<Self, CliError> {
        let mut finding = Finding {
            walk,
            template,
            facts,
            display,
            found: Self::default(),
        };
        for input in inputs {
            match input {
                Input::Stdin(name) => finding.add(Source::Stdin, name.clone(), 0)?,
                Input::Path(path) => finding.named(path)?,
            }
        }
        finding.found.check()?;
        Ok(finding.found)
    }

    /// Bytes of everything, as far as that is known.
    pub fn length(&self) -> u64 {
        self.jobs.iter().map(|job| job.length).sum()
    }

    fn check(&self) -> Result<(), CliError> {
        let mut by_key: Vec<&Job> = self.jobs.iter().collect();
        by_key.sort_by(|one, other| one.key.cmp(&other.key));
        let mut pairs = by_key.windows(2);
        match pairs.find(|pair| pair[0].key == pair[1].key) {
            None => Ok(()),
            Some(pair) => Err(CliError::usage(
                format!(
                    "{} and {} would have the same key, {}",
                    pair[0].source.shown(),
                    pair[1].source.shown(),
                    place::shown(&pair[0].key)
                ),
                "put {name} or {path} into the key, or a / at its end; or upload them one after the other",
            )),
        }
    }
}

struct Finding<'a> {
    walk: Walk,
    template: &'a KeyTemplate,
    facts: &'a OwnFacts,
    display: &'a Display,
    found: Jobs,
}

impl Finding<'_> {
    fn add(&mut self, source: Source, name: SourceName, length: u64) -> Result<(), CliError> {
        let key = self.facts.key(self.template, &name, source.shown())?;
        self.found.jobs.push(Job {
            source,
            name,
            key,
            length,
        });
        Ok(())
    }

    /// What a person has named, by whatever way leads there.
    fn named(&mut self, path: &Path) -> Result<(), CliError> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.failed(path, &error);
                return Ok(());
            }
        };
        let kind = metadata.file_type();
        if kind.is_file() {
            let source = Source::File(path.into());
            return self.add(source, SourceName::of_file(path), metadata.len());
        }
        if !kind.is_dir() {
            return self.add(Source::Stream(path.into()), SourceName::of_file(path), 0);
        }
        if !self.walk.recursive {
            self.found.failures.push(CliError::usage(
                format!("{} is a folder", place::shown(&path.to_string_lossy())),
                "--recursive uploads what is in it",
            ));
            return Ok(());
        }
        self.folder(path, &metadata)
    }

    /// What is in a folder and below it.
    fn folder(&mut self, root: &Path, metadata: &Metadata) -> Result<(), CliError> {
        // Each with its ancestors, so that a link to one of them ends there.
        let mut open = Vec::from([(PathBuf::new(), Vec::from([id(metadata)]))]);
        while let Some((below, ancestors)) = open.pop() {
            let mut folders = Vec::new();
            for name in self.names(&root.join(&below)) {
                let relative = below.join(&name);
                let path = root.join(&relative);
                let Some((kind, metadata)) = self.look(&path) else {
                    continue;
                };
                if kind.is_file() {
                    let name = SourceName::beneath(&relative);
                    self.add(Source::File(path.into()), name, metadata.len())?;
                } else if kind.is_dir() && ancestors.contains(&id(&metadata)) {
                    self.left_out(&path, "is a link to a folder above it");
                } else if kind.is_dir() {
                    let mut ancestors = ancestors.clone();
                    ancestors.push(id(&metadata));
                    folders.push((relative, ancestors));
                } else {
                    self.left_out(&path, "is neither a file nor a folder");
                }
            }
            // The first one is the next one.
            open.extend(folders.into_iter().rev());
        }
        Ok(())
    }

    fn names(&mut self, folder: &Path) -> Vec<OsString> {
        let read = fs::read_dir(folder).and_then(|entries| {
            let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
            names.collect::<io::Result<Vec<_>>>()
        });
        match read {
            Ok(mut names) => {
                names.sort();
                names
            }
            Err(error) => {
                self.failed(folder, &error);
                Vec::new()
            }
        }
    }

    fn look(&mut self, path: &Path) -> Option<(FileType, Metadata)> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() && !self.walk.follow => {
                self.left_out(path, "is a symbolic link");
                return None;
            }
            Ok(metadata) if metadata.is_symlink() => fs::metadata(path),
            other => other,
        };
        match metadata {
            Ok(metadata) => Some((metadata.file_type(), metadata)),
            Err(error) => {
                self.failed(path, &error);
                None
            }
        }
    }

    fn left_out(&self, path: &Path, why: &str) {
        let path = place::shown(&path.to_string_lossy());
        let remedy = match why {
            "is a symbolic link" => "--follow-symlinks goes where it leads",
            _ => "",
        };
        self.display
            .warn(&format!("{path} {why}, and is left out"), remedy);
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        let what = format!("{}: {error}", place::shown(&path.to_string_lossy()));
        self.found
            .failures
            .push(CliError::new(Exit::Internal, what, ""));
    }
}

/// What a folder is, whatever it is called.
fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Opens a file of a job, and gives its length as it is now.
///
/// # Errors
/// Those of the system; also if it is not a file any more.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::other("this is no file any more")),
    }
}

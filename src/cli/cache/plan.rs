//! Where credentials are kept, if anywhere.

use core::fmt;
use core::time::Duration;
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::vec;
use std::vec::Vec;

use crate::cli::context::{Console, Context};
use crate::cli::error::CliError;
use crate::cli::plan;
use crate::cli::sources::Sources;
use crate::host::cache::{Cache, Place, PlaceError};
use crate::host::config::Setting;
use crate::host::duration;

/// Where credentials are kept, if anywhere.
#[derive(Debug)]
pub struct CachePlan {
    /// Why they are not kept.
    off: Option<String>,
    /// Where they may be kept; the first that can be used counts.
    places: Vec<Place>,
    /// Whether somebody chose the place.
    is_chosen: bool,
    /// How long they have to live at least.
    pub min_life: Option<Duration>,
    /// The identity's name in `keystead.toml`; may be empty.
    pub identity: String,
}

impl CachePlan {
    /// Checks what is said of the cache.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(sources: &Sources<'_>, context: &Context<'_>) -> Result<Self, CliError> {
        let chosen = sources.file(Setting::CacheDir);
        let is_chosen = chosen.is_some();
        let no_cache = sources.get(Setting::NoCache);
        let is_off = sources.switch(Setting::NoCache)?;
        let off = match no_cache {
            Some(found) if is_off => Some(format!("{}", found.origin)),
            // Who runs AWS's helper gets a new session each time, and finds no files.
            None if context.drop_in && !is_chosen => Some(String::from(
                "started as aws_signing_helper; --no-cache=false turns it on",
            )),
            _ => None,
        };
        let places = match chosen {
            Some(folder) => vec![Place::chosen(folder)],
            None => usual(context),
        };
        let configuration = sources.configuration();
        Ok(Self {
            off,
            places,
            is_chosen,
            min_life: sources.parsed(Setting::CacheMinLife, duration::parse)?,
            identity: configuration
                .map(|(_, identity)| identity.name().to_string())
                .unwrap_or_default(),
        })
    }

    /// Opens the first place that can be used, with `open`. Why another one cannot is a warning if it was
    /// chosen, else for `note`.
    pub fn open(
        &self,
        open: &dyn Fn(&Place) -> Result<Cache, PlaceError>,
        console: Console,
        note: &dyn Fn(fmt::Arguments<'_>),
    ) -> Option<Cache> {
        if let Some(why) = &self.off {
            note(format_args!("off: {why}"));
            return None;
        }
        if self.places.is_empty() {
            note(format_args!(
                "off: neither XDG_RUNTIME_DIR nor RUNTIME_DIRECTORY says where"
            ));
        }
        for place in &self.places {
            match open(place) {
                Ok(cache) => return Some(cache),
                Err(error) if self.is_chosen => console.warn(
                    &format!("credentials are not kept: {error}"),
                    "--cache-dir names a folder with mode 0700 of the user who runs keystead, or one that \
                     it can make",
                ),
                Err(error) => note(format_args!("off: {error}")),
            }
        }
        None
    }

    /// The places, as a person may know them.
    pub fn shown(&self) -> String {
        match (&self.off, self.places.first()) {
            (Some(why), _) => format!("none ({why})"),
            (None, Some(place)) => place.path().display().to_string(),
            (None, None) => String::from("none"),
        }
    }

    /// The places.
    pub fn places(&self) -> &[Place] {
        &self.places
    }
}

/// In memory: the user's folder, or the service's.
fn usual(context: &Context<'_>) -> Vec<Place> {
    let folder = |name| {
        let folders = context.environment.var(name)?;
        plan::first(&folders).filter(|folder| *folder != PathBuf::new())
    };
    let user = folder("XDG_RUNTIME_DIR").map(Place::of_user);
    let service = folder("RUNTIME_DIRECTORY").map(Place::of_service);
    user.into_iter().chain(service).collect()
}

//! Changes three settings of one profile, and no other byte.

use core::fmt;
use core::ops::Range;
use std::vec::Vec;

use zeroize::Zeroizing;

use super::outline::{Header, Kind, Line, Setting, header, outline, setting, split_blanks};
use super::profile::Profile;
use crate::host::session::Credentials;

/// Our settings, in the order in which they are written.
const NAMES: [&str; 3] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];

/// The session token's older name, which the AWS command line and boto3 take first. It is never written
/// where it is not.
const OLD_TOKEN: &str = "aws_security_token";

/// Gives the file with these credentials in the profile: in every section of it, and in a new one at the end
/// if there is none that every program finds.
///
/// # Errors
/// [`EditError`] if that cannot be done, or not without a loss.
pub fn set(
    contents: &[u8],
    profile: &Profile,
    credentials: &Credentials,
) -> Result<Zeroizing<Vec<u8>>, EditError> {
    let values = [
        credentials.access_key_id.as_bytes(),
        credentials.secret_access_key.as_bytes(),
        credentials.session_token.as_bytes(),
    ];
    let is_writable = |value: &&[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
    if !values.iter().all(is_writable) {
        return Err(EditError::Values);
    }
    Edit::new(contents, profile)?.edited(Some(values))
}

/// Gives the file without credentials in the profile. Its sections stay.
///
/// # Errors
/// [`EditError`] if that cannot be done, or not without a loss.
pub fn unset(contents: &[u8], profile: &Profile) -> Result<Zeroizing<Vec<u8>>, EditError> {
    Edit::new(contents, profile)?.edited(None)
}

/// The access key's id that a program finds in the profile: the last one.
pub fn access_key_id<'a>(contents: &'a [u8], profile: &Profile) -> Option<&'a [u8]> {
    let (_, lines) = outline(contents);
    let ours = |line: &Line<'a>| match line.kind {
        Kind::Setting(setting) if own(setting.name) == Some(0) => Some(setting.value),
        _ => None,
    };
    let sections = sections(&lines, profile);
    let inside = sections.iter().flat_map(|range| &lines[range.clone()]);
    inside.filter_map(ours).next_back()
}

/// Which of our settings has this name. Some programs do not look at the case.
fn own(name: &[u8]) -> Option<usize> {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    NAMES
        .iter()
        .position(|known| is(known))
        .or(is(OLD_TOKEN).then_some(OLD))
}

/// What [`own`] gives for [`OLD_TOKEN`].
const OLD: usize = NAMES.len();

fn name_of(own: usize) -> &'static [u8] {
    NAMES.get(own).map_or(OLD_TOKEN, |name| name).as_bytes()
}

/// The spacing of a setting: indentation is never written.
#[derive(Clone, Copy)]
struct Spacing<'a> {
    before_equals: &'a [u8],
    after_equals: &'a [u8],
}

const USUAL_SPACING: Spacing<'static> = Spacing {
    before_equals: b" ",
    after_equals: b" ",
};

struct Edit<'a> {
    profile: &'a Profile,
    mark: &'a [u8],
    lines: Vec<Line<'a>>,
    /// The lines of each section of the profile, its header first.
    sections: Vec<Range<usize>>,
    /// What ends a new line.
    ending: &'a [u8],
    /// The new file. Only when its length is known it is put together: no secret is left in memory by
    /// growing.
    pieces: Vec<&'a [u8]>,
}

impl<'a> Edit<'a> {
    fn new(contents: &'a [u8], profile: &'a Profile) -> Result<Self, EditError> {
        // As in UTF-16, and after crashes of some file systems.
        if contents.contains(&0) {
            return Err(EditError::NoText);
        }
        let (mark, lines) = outline(contents);
        let sections = sections(&lines, profile);
        let edit = Self {
            profile,
            mark,
            ending: lines
                .first()
                .map(|line| line.ending)
                .filter(|ending| !ending.is_empty())
                .unwrap_or(b"\n"),
            pieces: Vec::with_capacity(lines.len() + 64),
            sections,
            lines,
        };
        edit.check()?;
        Ok(edit)
    }

    /// Refuses lines that are a part of the value above them for some programs, and for others what we would
    /// have to change: whatever was done with them would be wrong for one of them.
    fn check(&self) -> Result<(), EditError> {
        // Below settings of ours that are not indented, an indented header is none for Python.
        for section in &self.sections {
            if let Some(next) = self.lines.get(section.end)
                && !split_blanks(next.text).0.is_empty()
            {
                let line = section.end + 1;
                return Err(EditError::Disputed { line });
            }
        }
        for (index, line) in self.lines.iter().enumerate() {
            let Kind::Continuation { after_value } = line.kind else {
                continue;
            };
            let (indent, trimmed) = split_blanks(line.text);
            let is_ours = header(trimmed).is_some_and(|header| is_of(&header, self.profile));
            let section = self.sections.iter().find(|range| range.contains(&index));
            let in_ours = section.is_some_and(|section| {
                let is_own = |setting: Setting<'_>| own(setting.name).is_some();
                let above = self.lines[section.start..index].iter().rev();
                let mut above = above.filter_map(|line| match line.kind {
                    Kind::Setting(setting) => Some(setting),
                    _ => None,
                });
                above.next().is_some_and(is_own)
                    || trimmed.starts_with(b"[")
                    || (after_value && setting(indent, trimmed).is_some_and(is_own))
            });
            if is_ours || in_ours {
                return Err(EditError::Disputed { line: index + 1 });
            }
        }
        Ok(())
    }

    fn edited(mut self, values: Option<[&'a [u8]; 3]>) -> Result<Zeroizing<Vec<u8>>, EditError> {
        self.pieces.push(self.mark);
        let mut done = 0;
        for section in self.sections.clone() {
            self.copy(done..section.start);
            self.section(section.clone(), values);
            done = section.end;
        }
        self.copy(done..self.lines.len());
        if let Some(values) = values
            && !self.has_exact()
        {
            self.append(values);
        }
        Ok(Zeroizing::new(self.pieces.concat()))
    }

    fn copy(&mut self, lines: Range<usize>) {
        for line in &self.lines[lines] {
            self.pieces.extend([line.text, line.ending]);
        }
    }

    /// A section with other values, or without.
    ///
    /// Indented settings are found by Python and JavaScript alone: they make room for new ones. What is not
    /// there goes below what is, or below the header; but where an indented line would follow then, which
    /// Python would take for a part of ours, to the section's end.
    fn section(&mut self, section: Range<usize>, values: Option<[&'a [u8]; 3]>) {
        let mut keep = Vec::with_capacity(section.len());
        let mut found = [false; OLD + 1];
        for index in section.clone() {
            let Some((own, setting)) = own_setting(&self.lines[index]) else {
                keep.push((index, None));
                continue;
            };
            let stays = values.is_some() && setting.indent.is_empty() && !found[own];
            if stays {
                found[own] = true;
                keep.push((index, Some((own, setting))));
            }
        }
        let missing = match values {
            Some(_) => NAMES.len() - found[..OLD].iter().filter(|found| **found).count(),
            None => 0,
        };
        let place = self.place(&keep);
        for (position, &(index, own)) in keep.iter().enumerate() {
            let line = self.lines[index];
            let mut spacing = USUAL_SPACING;
            match (own, values) {
                (Some((own, setting)), Some(values)) => {
                    spacing = Spacing {
                        before_equals: setting.before_equals,
                        after_equals: setting.after_equals,
                    };
                    let comment = comment(setting.value);
                    if !comment.is_empty() {
                        self.pieces.extend([comment, self.ending_of(&line)]);
                    }
                    self.setting(own, values, spacing);
                }
                _ => self.pieces.push(line.text),
            }
            if let Some(values) = values
                && position == place
                && missing > 0
            {
                let missing = (0..NAMES.len()).filter(|own| !found[*own]);
                for own in missing {
                    self.pieces.push(self.ending_of(&line));
                    self.setting(own, values, spacing);
                }
            }
            self.pieces.push(line.ending);
        }
    }

    /// Below which of the lines that are kept new ones go.
    fn place(&self, keep: &[(usize, Option<(usize, Setting<'a>)>)]) -> usize {
        if let Some(last) = keep.iter().rposition(|(_, own)| own.is_some()) {
            return last;
        }
        let line = |&(index, _): &(usize, _)| &self.lines[index];
        let is_indented = |line: &Line<'_>| {
            matches!(line.kind, Kind::Setting(_) | Kind::Other)
                && !split_blanks(line.text).0.is_empty()
        };
        if keep.iter().map(line).any(is_indented) {
            let is_content = |kept: &_| line(kept).kind != Kind::Blank;
            return keep.iter().rposition(is_content).unwrap_or_default();
        }
        0
    }

    fn ending_of(&self, line: &Line<'a>) -> &'a [u8] {
        if line.ending.is_empty() {
            self.ending
        } else {
            line.ending
        }
    }

    fn setting(&mut self, own: usize, values: [&'a [u8]; 3], spacing: Spacing<'a>) {
        let [.., token] = values;
        let value = values.get(own).copied().unwrap_or(token);
        self.pieces.extend([
            name_of(own),
            spacing.before_equals,
            b"=",
            spacing.after_equals,
            value,
        ]);
    }

    /// Whether there is a section that Python finds under the profile's name.
    fn has_exact(&self) -> bool {
        self.lines.iter().any(|line| match line.kind {
            Kind::Header(header) => header.exact == self.profile.as_str().as_bytes(),
            _ => false,
        })
    }

    fn append(&mut self, values: [&'a [u8]; 3]) {
        if let Some(last) = self.lines.last() {
            if last.ending.is_empty() {
                self.pieces.push(self.ending);
            }
            if !last.text.is_empty() {
                self.pieces.push(self.ending);
            }
        }
        let name = self.profile.as_str().as_bytes();
        self.pieces.extend([b"[", name, b"]", self.ending]);
        for own in 0..NAMES.len() {
            self.setting(own, values, USUAL_SPACING);
            self.pieces.push(self.ending);
        }
    }
}

/// Our setting that a line is.
fn own_setting<'a>(line: &Line<'a>) -> Option<(usize, Setting<'a>)> {
    match line.kind {
        Kind::Setting(setting) => Some((own(setting.name)?, setting)),
        _ => None,
    }
}

fn is_of(header: &Header<'_>, profile: &Profile) -> bool {
    let name = profile.as_str().as_bytes();
    header.name == name || header.exact == name
}

fn sections(lines: &[Line<'_>], profile: &Profile) -> Vec<Range<usize>> {
    let mut headers = lines
        .iter()
        .enumerate()
        .filter_map(|(index, line)| match line.kind {
            Kind::Header(header) => Some((index, header)),
            _ => None,
        });
    let mut sections = Vec::new();
    let mut next = headers.next();
    while let Some((start, header)) = next {
        next = headers.next();
        if is_of(&header, profile) {
            sections.push(start..next.map_or(lines.len(), |(end, _)| end));
        }
    }
    sections
}

/// A comment behind a value, which Python takes for a part of the value.
fn comment(value: &[u8]) -> &[u8] {
    if value.starts_with(b"#") || value.starts_with(b";") {
        return value;
    }
    let mut pairs = value.windows(2);
    let start =
        pairs.position(|pair| matches!(pair[0], b' ' | b'\t') && matches!(pair[1], b'#' | b';'));
    start.map_or(b"", |start| &value[start + 1..])
}

/// Why a file was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditError {
    /// It is no text that programs could read.
    NoText,
    /// This line, counted from 1, means different things to different programs.
    Disputed {
        /// The line.
        line: usize,
    },
    /// The service's values cannot be written.
    Values,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoText => f.write_str("it has null bytes: it is damaged, or UTF-16"),
            Self::Disputed { line } => write!(
                f,
                "line {line} is indented: some programs take it for a part of the value above it, others do \
                 not"
            ),
            Self::Values => {
                f.write_str("the service's answer has values that no such file can hold")
            }
        }
    }
}

impl core::error::Error for EditError {}

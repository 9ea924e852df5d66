//! Dates in keys, as `date(1)` and strftime(3) write them. Always UTC: hubs in two time zones that feed one
//! prefix sort alike, and no hour comes twice in autumn.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::TemplateError;
use crate::core::time::UnixTime;

/// What may stand after a `%`.
pub(super) const FIELDS: [char; 11] = ['Y', 'm', 'd', 'H', 'M', 'S', 'y', 'j', 'F', 'T', 's'];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateFormat(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    Field(char),
}

impl DateFormat {
    pub(super) fn parse(format: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '%' => match chars.next() {
                    Some('%') => Piece::Char('%'),
                    Some(field) if FIELDS.contains(&field) => Piece::Field(field),
                    other => return Err(TemplateError::Date(other)),
                },
                c => Piece::Char(c),
            });
        }
        Ok(Self(pieces))
    }

    pub(super) fn of(&self, time: UnixTime) -> String {
        // YYYY-MM-DDTHH:MM:SSZ
        let text = time.to_string();
        let mut date = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Char(c) => date.push(*c),
                Piece::Field('j') => date += &format!("{:03}", day_of_year(time, &text)),
                Piece::Field('s') => date += &time.as_secs().to_string(),
                Piece::Field(field) => {
                    let digits = match field {
                        'Y' => 0..4,
                        'y' => 2..4,
                        'm' => 5..7,
                        'd' => 8..10,
                        'F' => 0..10,
                        'H' => 11..13,
                        'M' => 14..16,
                        'S' => 17..19,
                        _ => 11..19,
                    };
                    date += text.get(digits).unwrap_or_default();
                }
            }
        }
        date
    }
}

/// From 1 on.
fn day_of_year(time: UnixTime, text: &str) -> i64 {
    let year = text.get(..4).unwrap_or_default();
    let begin = UnixTime::parse_rfc3339(&format!("{year}-01-01T00:00:00Z"));
    1 + begin.map_or(0, |begin| time.since(begin) / 86_400)
}

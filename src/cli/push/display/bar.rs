//! Progress as text: `[#####.....]  43%  12.3 of 28.6 MiB  1.2 MiB/s  14 s left  3/12 files`.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::State;
use crate::host::size::Bytes;

/// Columns of the bar itself: at least, and at most.
const NARROW: usize = 8;
const WIDE: usize = 30;

/// Columns around it.
const AROUND: usize = 3;

/// On a narrower terminal figures go before the bar.
const WITH_BAR: usize = 50;

/// What is known, the most important first.
pub struct Figures {
    percent: Option<u64>,
    parts: Vec<String>,
}

impl Figures {
    /// Those of a moment.
    pub fn of(state: &State) -> Self {
        let (there, total) = (state.reading.there, state.reading.total);
        let total = state.is_total_known.then(|| total.max(there));
        let mut parts = Vec::new();
        parts.push(match total {
            Some(total) => of(there, total),
            None => format!("{}", Bytes(there)),
        });
        if let Some(rate) = state.rate {
            parts.push(format!("{}/s", Bytes(rate)));
        }
        match (state.rate, total) {
            (Some(rate @ 1..), Some(total)) if total > there => {
                parts.push(format!("{} left", span((total - there).div_ceil(rate))));
            }
            _ => {}
        }
        if state.files > 1 {
            parts.push(format!("{}/{} files", state.uploaded, state.files));
        }
        if state.failed > 0 {
            parts.push(format!("{} failed", state.failed));
        }
        Self {
            percent: total.map(|total| match total {
                0 => 100,
                total => (u128::from(there) * 100 / u128::from(total)) as u64,
            }),
            parts,
        }
    }
}

/// `12.3 of 28.6 MiB`.
fn of(there: u64, total: u64) -> String {
    let (there, total) = (format!("{}", Bytes(there)), format!("{}", Bytes(total)));
    let units = (there.split_once(' '), total.split_once(' '));
    match units {
        (Some((number, one)), Some((_, other))) if one == other => format!("{number} of {total}"),
        _ => format!("{there} of {total}"),
    }
}

/// A line that a terminal of `width` columns does not break.
pub fn line(figures: &Figures, width: usize) -> String {
    // A line that fills the last column makes some terminals begin another one.
    let width = width.saturating_sub(1);
    let for_bar = match figures.percent {
        Some(_) if width >= WITH_BAR => NARROW + AROUND,
        _ => 0,
    };
    let mut text = match figures.percent {
        Some(percent) => format!("{percent:3}%"),
        None => String::new(),
    };
    for part in &figures.parts {
        let between = if text.is_empty() { "" } else { "  " };
        if text.len() + between.len() + part.len() + for_bar <= width {
            text += between;
            text += part;
        }
    }
    let room = width.saturating_sub(text.len() + AROUND).min(WIDE);
    match figures.percent {
        Some(percent) if room >= NARROW => {
            let filled = room * usize::try_from(percent.min(100)).unwrap_or(100) / 100;
            format!(
                "[{}{}] {text}",
                "#".repeat(filled),
                ".".repeat(room - filled)
            )
        }
        _ => text,
    }
}

/// The same for a log.
pub fn text(figures: &Figures) -> String {
    let percent = figures.percent.map(|percent| format!("{percent}%"));
    let parts: Vec<String> = percent.into_iter().chain(figures.parts.clone()).collect();
    parts.join(", ")
}

/// What it came to.
pub fn summary(state: &State) -> String {
    let seconds = state.elapsed.as_secs_f64().max(0.001);
    let rate = Bytes((state.reading.sent as f64 / seconds) as u64);
    let files = match state.uploaded {
        1 => String::from("1 file"),
        number => format!("{number} files"),
    };
    let failed = match state.failed {
        0 => String::new(),
        number => format!(", {number} failed"),
    };
    format!(
        "{files}{failed}, {} in {} ({rate}/s)",
        Bytes(state.reading.there),
        span(state.elapsed.as_secs())
    )
}

/// A time for people.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::push::tally::Reading;
    use core::time::Duration;

    fn state(there: u64, total: u64, rate: Option<u64>, files: usize) -> State {
        State {
            reading: Reading {
                total,
                there,
                sent: there,
            },
            is_total_known: true,
            rate,
            files,
            uploaded: 3,
            failed: 0,
            elapsed: Duration::from_secs(10),
        }
    }

    #[test]
    fn a_line_of_any_width() {
        let figures = Figures::of(&state(512 << 10, 2 << 20, Some(100 << 10), 12));
        assert_eq!(
            line(&figures, 120),
            "[#######.......................]  25%  512.0 KiB of 2.0 MiB  100.0 KiB/s  16 s left  3/12 files"
        );
        // A usual terminal has room for the bar beside everything.
        let line_of_80 = line(&figures, 80);
        assert!(line_of_80.starts_with("[###") && line_of_80.ends_with(" files"));
        for width in 0..150 {
            let line = line(&figures, width);
            assert!(line.len() < width.max(5), "{width}: {line}");
        }
        assert_eq!(
            line(&figures, 40),
            " 25%  512.0 KiB of 2.0 MiB  100.0 KiB/s"
        );
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let stream = State {
            is_total_known: false,
            ..state(5 << 20, 0, None, 1)
        };
        assert_eq!(line(&Figures::of(&stream), 80), "5.0 MiB");
        assert_eq!(text(&Figures::of(&state(0, 0, None, 1))), "100%, 0 of 0 B");
        let slow = state(0, 100, Some(0), 1);
        assert_eq!(text(&Figures::of(&slow)), "0%, 0 of 100 B, 0 B/s");
    }

    #[test]
    fn times() {
        for (seconds, text) in [
            (59, "59 s"),
            (61, "1 min 1 s"),
            (7260, "2 h 1 min"),
            (200_000, "2 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(
            summary(&state(2 << 20, 2 << 20, None, 3)),
            "3 files, 2.0 MiB in 10 s (204.7 KiB/s)"
        );
    }
}

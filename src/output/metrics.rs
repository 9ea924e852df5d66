//! What a monitoring system reads, in the text format of Prometheus (version 0.0.4).

use core::fmt::{self, Display, Write as _};
use std::string::String;

use crate::host::refresh::Status;

/// The type of such a document.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Text in the format. Writing into a string does not fail.
pub struct Page(String);

impl Page {
    /// A page with the program's version.
    pub fn new() -> Self {
        let mut page = Self(String::new());
        page.family("build_info", "gauge", "The version of keystead.");
        page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP keystead_{name} {help}");
        let _ = writeln!(self.0, "# TYPE keystead_{name} {kind}");
    }

    /// A sample of the family that was begun.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "keystead_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { "{" } else { "," };
            let _ = write!(self.0, "{before}{label}=\"{}\"", Escaped(text));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    /// A family with one sample.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// What there is to know of identities.
    pub fn identities(&mut self, statuses: &[Status]) {
        self.each(
            statuses,
            "credential_expiration_timestamp_seconds",
            "gauge",
            "When the credentials that are handed out expire; 0 where there are none.",
            |status| Some(status.expiration.map_or(0, |time| time.as_secs())),
        );
        self.each(
            statuses,
            "certificate_expiration_timestamp_seconds",
            "gauge",
            "When the certificate expires.",
            |status| Some(status.certificate_expires?.as_secs()),
        );
        self.family(
            "refreshes_total",
            "counter",
            "Refreshes, by how they ended.",
        );
        for status in statuses {
            let outcomes = [
                ("success", status.successes),
                ("temporary", status.temporary),
                ("throttled", status.throttled),
                ("lasting", status.lasting),
            ];
            self.outcomes("refreshes_total", status, &outcomes);
        }
        self.each(
            statuses,
            "reloads_refused_total",
            "counter",
            "Changes of certificate, key or settings that could not be used.",
            |status| Some(status.reloads_refused),
        );
        self.family("signatures_total", "counter", "Signatures of the key.");
        for status in statuses {
            let (made, failed) = (status.signatures.made, status.signatures.failed);
            let outcomes = [("success", made), ("failure", failed)];
            self.outcomes("signatures_total", status, &outcomes);
        }
        self.family(
            "signature_seconds",
            "summary",
            "How long signatures took, those that failed included.",
        );
        for status in statuses {
            let labels = [("identity", status.name.as_str())];
            let (signatures, time) = (&status.signatures, status.signatures.time);
            self.sample("signature_seconds_sum", &labels, time.as_secs_f64());
            let count = signatures.made + signatures.failed;
            self.sample("signature_seconds_count", &labels, count);
        }
        self.each(
            statuses,
            "pin_tries_left",
            "gauge",
            "How many times a wrong PIN may still be given, where the device says so.",
            |status| status.pin_tries,
        );
    }

    /// Samples of an identity, by outcome.
    fn outcomes(&mut self, name: &str, status: &Status, outcomes: &[(&str, u64)]) {
        for (outcome, count) in outcomes {
            let labels = [("identity", status.name.as_str()), ("outcome", *outcome)];
            self.sample(name, &labels, count);
        }
    }

    /// A family with a sample for each identity of which there is something to say.
    fn each<V: Display>(
        &mut self,
        statuses: &[Status],
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&Status) -> Option<V>,
    ) {
        self.family(name, kind, help);
        for status in statuses {
            if let Some(value) = value(status) {
                self.sample(name, &[("identity", &status.name)], value);
            }
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

//! What a monitoring system reads, in the text format of Prometheus (version 0.0.4).

use core::fmt::{self, Display, Write as _};
use std::collections::BTreeMap;
use std::string::String;

use super::Endpoint;
use crate::host::refresh::Status;
use crate::output::http::{Body, Response};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Requests that were answered, by what they asked for and by the answer's status.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<(Endpoint, u16), u64>);

impl Counts {
    /// Counts one.
    pub fn add(&mut self, endpoint: Endpoint, status: u16) {
        *self.0.entry((endpoint, status)).or_default() += 1;
    }
}

/// The whole document.
pub fn response(statuses: &[Status], counts: &Counts) -> Response {
    let body = text(statuses, counts);
    Response::new(200, CONTENT_TYPE, Body::Text(body.into()))
}

fn text(statuses: &[Status], counts: &Counts) -> String {
    let mut page = Page(String::new());
    page.family("build_info", "gauge", "The version of keystead.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.each(
        statuses,
        "credential_expiration_timestamp_seconds",
        "gauge",
        "When the credentials that are handed out expire; 0 where there are none.",
        |status| Some(status.expiration.map_or(0, |time| time.as_secs())),
    );
    page.each(
        statuses,
        "certificate_expiration_timestamp_seconds",
        "gauge",
        "When the certificate expires.",
        |status| Some(status.certificate_expires?.as_secs()),
    );
    page.family(
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
        page.outcomes("refreshes_total", status, &outcomes);
    }
    page.each(
        statuses,
        "reloads_refused_total",
        "counter",
        "Changes of certificate, key or settings that could not be used.",
        |status| Some(status.reloads_refused),
    );
    page.family("signatures_total", "counter", "Signatures of the key.");
    for status in statuses {
        let (made, failed) = (status.signatures.made, status.signatures.failed);
        let outcomes = [("success", made), ("failure", failed)];
        page.outcomes("signatures_total", status, &outcomes);
    }
    page.family(
        "signature_seconds",
        "summary",
        "How long signatures took, those that failed included.",
    );
    for status in statuses {
        let labels = [("identity", status.name.as_str())];
        let (signatures, time) = (&status.signatures, status.signatures.time);
        page.sample("signature_seconds_sum", &labels, time.as_secs_f64());
        let count = signatures.made + signatures.failed;
        page.sample("signature_seconds_count", &labels, count);
    }
    page.each(
        statuses,
        "pin_tries_left",
        "gauge",
        "How many times a wrong PIN may still be given, where the device says so.",
        |status| status.pin_tries,
    );
    page.family(
        "http_requests_total",
        "counter",
        "Requests that were answered, by what they asked for and by the answer's status.",
    );
    for ((endpoint, status), count) in &counts.0 {
        let status = std::format!("{status}");
        let labels = [("endpoint", endpoint.label()), ("code", status.as_str())];
        page.sample("http_requests_total", &labels, count);
    }
    page.0
}

impl Endpoint {
    fn label(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Imds => "imds",
            Self::Health => "healthz",
            Self::Metrics => "metrics",
        }
    }
}

/// Text in the format. Writing into a string does not fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP keystead_{name} {help}");
        let _ = writeln!(self.0, "# TYPE keystead_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "keystead_{name}{{");
        for (index, (label, text)) in labels.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(self.0, "{comma}{label}=\"{}\"", Escaped(text));
        }
        let _ = writeln!(self.0, "}} {value}");
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

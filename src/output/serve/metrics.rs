//! What a monitoring system reads of what is served.

use std::collections::BTreeMap;

use super::Endpoint;
use crate::host::refresh::Status;
use crate::output::http::{Body, Response};
use crate::output::metrics::{CONTENT_TYPE, Page};

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
    let mut page = Page::new();
    page.identities(statuses);
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
    Response::new(200, CONTENT_TYPE, Body::Text(page.into_text().into()))
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

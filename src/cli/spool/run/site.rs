//! What is asked of a running delivery, and what the service manager hears of it.

use core::time::Duration;
use std::format;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use crate::cli::daemon::Reporter;
use crate::cli::spool::intake::Tally;
use crate::cli::spool::report::{Delivery, LastError, Report};
use crate::core::time::UnixTime;
use crate::host::refresh::Refresher;
use crate::host::size::Bytes;
use crate::output::http::{Body, Handler, Outcome, Request, Response};
use crate::output::metrics::{CONTENT_TYPE, Page};
use crate::output::push::deliver::{Counts, Deliverer, Rate};

/// How often the line for the service manager may change.
const PULSE: Duration = Duration::from_secs(10);

/// What is asked, and who knows.
pub struct Site {
    deliverer: Arc<Deliverer>,
    tally: Arc<Tally>,
    refreshers: Vec<Refresher>,
    reporter: Reporter,
    since: UnixTime,
}

impl Site {
    /// The site of that delivery.
    pub fn new(
        deliverer: Arc<Deliverer>,
        tally: Arc<Tally>,
        refreshers: Vec<Refresher>,
        since: UnixTime,
        reporter: Reporter,
    ) -> Self {
        Self {
            since,
            deliverer,
            tally,
            refreshers,
            reporter,
        }
    }

    /// Leaves in the spool how things are, for when nobody delivers it.
    pub fn leave(&self) {
        // Who cannot write there has said so before.
        if let Ok(report) = self.report() {
            let _ = report.leave(self.deliverer.spool().path());
        }
    }

    fn report(&self) -> Result<Report, String> {
        let spool = self.deliverer.spool();
        let status = self.deliverer.status();
        let mut report = Report::of(spool).map_err(|error| format!("{error}"))?;
        report.running = true;
        report.oldest = status.oldest.map(UnixTime::as_secs);
        if let Some(Rate {
            accepted,
            delivered,
        }) = status.rate
        {
            report.accepted_per_second = Some(accepted);
            report.delivered_per_second = Some(delivered);
            report.full_in_seconds = report.full_in(accepted - delivered);
        }
        let identity = self.refreshers.first().map(Refresher::status);
        let Counts {
            delivered,
            delivered_bytes,
            sent_bytes,
            set_aside,
            ..
        } = status.counts;
        report.delivery = Some(Delivery {
            since: self.since.as_secs(),
            sending: status.in_flight as u64,
            delivered,
            delivered_bytes,
            sent_bytes,
            set_aside,
            failures: status
                .counts
                .failures()
                .iter()
                .map(|(_, count)| count)
                .sum(),
            failing: status.is_failing,
            last_delivery: status.last_delivery.map(UnixTime::as_secs),
            last_error: status.last_error.map(|error| LastError {
                what: error.what,
                remedy: error.remedy,
                at: error.at.as_secs(),
            }),
            next_attempt_in_seconds: status.next_attempt.map(|after| after.as_secs()),
            window_opens_in_seconds: status.window_opens.map(|after| after.as_secs()),
            session_expires: identity
                .as_ref()
                .and_then(|identity| Some(identity.expiration?.as_secs())),
            identity: identity.map(|identity| identity.name),
        });
        Ok(report)
    }

    fn metrics(&self) -> Result<String, String> {
        let report = self.report()?;
        let delivery = report.delivery.clone().unwrap_or_default();
        let mut page = Page::new();
        let gauges: [(&str, &str, u64); 7] = [
            ("spool_entries", "Entries that wait.", report.entries),
            (
                "spool_bytes",
                "Bytes of all files, as the quota counts them.",
                report.bytes,
            ),
            ("spool_aside", "Entries that are set aside.", report.aside),
            (
                "spool_oldest_timestamp_seconds",
                "When the oldest entry that waits was accepted; 0 if none waits.",
                report.oldest.unwrap_or_default(),
            ),
            (
                "spool_failing",
                "Whether nothing passes now.",
                delivery.failing.into(),
            ),
            (
                "spool_sending",
                "Entries that are on their way.",
                delivery.sending,
            ),
            (
                "spool_last_delivery_timestamp_seconds",
                "When S3 last confirmed an entry; 0 if it has not since the start.",
                delivery.last_delivery.unwrap_or_default(),
            ),
        ];
        for (name, help, value) in gauges {
            page.one(name, "gauge", help, value);
        }
        for (name, help, value) in [
            ("spool_bytes_limit", "The quota in bytes.", report.max_bytes),
            (
                "spool_entries_limit",
                "The quota in entries.",
                report.max_entries,
            ),
        ] {
            if let Some(value) = value {
                page.one(name, "gauge", help, value);
            }
        }
        let counters: [(&str, &str, u64); 6] = [
            (
                "spool_delivered_total",
                "Entries that S3 has confirmed.",
                delivery.delivered,
            ),
            (
                "spool_delivered_bytes_total",
                "Bytes of these.",
                delivery.delivered_bytes,
            ),
            (
                "spool_sent_bytes_total",
                "Bytes of contents that were sent, those that were sent again included.",
                delivery.sent_bytes,
            ),
            (
                "spool_set_aside_total",
                "Entries that were set aside.",
                delivery.set_aside,
            ),
            (
                "spool_rejected_total",
                "New entries that were refused because the spool was full, since it was made.",
                report.rejected,
            ),
            (
                "spool_dropped_total",
                "Entries that were dropped to make room, since the spool was made.",
                report.dropped,
            ),
        ];
        for (name, help, value) in counters {
            page.one(name, "counter", help, value);
        }
        page.family(
            "spool_failures_total",
            "counter",
            "Attempts that failed, by what kept them.",
        );
        for (reason, count) in self.deliverer.status().counts.failures() {
            page.sample("spool_failures_total", &[("reason", reason)], count);
        }
        self.tally.metrics(&mut page);
        let statuses: Vec<_> = self.refreshers.iter().map(Refresher::status).collect();
        page.identities(&statuses);
        Ok(page.into_text())
    }

    fn answer(&self, request: &Request<'_>) -> Response {
        if request.headers.contains("Origin") {
            return Response::text(403, "requests from websites are refused\n");
        }
        if !matches!(request.method, "GET" | "HEAD") {
            let mut response = Response::text(405, "this is for GET and HEAD\n");
            response.headers.push(("Allow", "GET, HEAD".into()));
            return response;
        }
        let made = |made: Result<String, String>, kind| match made {
            Ok(text) => Response::new(200, kind, Body::Text(text.into())),
            Err(error) => Response::new(500, "text/plain", Body::Text(error.into())),
        };
        match request.path {
            "/status" => made(
                self.report().map(|report| report.json()),
                "application/json",
            ),
            "/metrics" => made(self.metrics(), CONTENT_TYPE),
            "/healthz" if self.deliverer.status().is_failing => Response::text(503, "failing\n"),
            "/healthz" => Response::text(200, "ok\n"),
            _ => Response::text(404, "here are /status, /metrics and /healthz\n"),
        }
    }

    /// How things are, in a line.
    fn line(&self) -> String {
        let Ok(report) = self.report() else {
            return String::new();
        };
        let delivery = report.delivery.unwrap_or_default();
        let waiting = format!("{} waiting, {}", report.entries, Bytes(report.bytes));
        match (delivery.failing, delivery.last_error) {
            (true, Some(error)) => format!("{waiting}; nothing passes: {}", error.what),
            _ => format!("{waiting}; {} delivered", delivery.delivered),
        }
    }
}

impl Handler for Site {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        Outcome::Done(self.answer(request))
    }

    fn woken(&mut self) {
        self.reporter.due();
    }

    fn tick(&mut self) -> Option<Duration> {
        if self.reporter.is_due() {
            let line = self.line();
            self.reporter.changed_with(&line);
        }
        match self.deliverer.is_stuck() {
            true => Some(PULSE),
            false => Some(
                self.reporter
                    .beat()
                    .map_or(PULSE, |interval| interval.min(PULSE)),
            ),
        }
    }
}

//! What was handed out, and what was wrong with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hsm_tests::lab::now;
use keystead::core::time::UnixTime;
use serde_json::Value;

/// Credentials as a client got them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub id: String,
    pub secret: String,
    pub token: String,
    /// Where it is said.
    pub expiration: Option<UnixTime>,
}

impl Got {
    /// From JSON; the names of the token differ.
    ///
    /// # Errors
    /// What is missing.
    pub fn from_json(text: &str, token: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
        let field = |name: &str| match json[name].as_str() {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(format!("there is no {name} in {text}")),
        };
        let expiration = field("Expiration")?;
        let parsed = UnixTime::parse_rfc3339(&expiration);
        Ok(Self {
            id: field("AccessKeyId")?,
            secret: field("SecretAccessKey")?,
            token: field(token)?,
            expiration: Some(parsed.ok_or(format!("{expiration} is no time"))?),
        })
    }
}

/// Everything that was handed out so far.
#[derive(Default)]
pub struct Ledger(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    sessions: HashMap<String, Got>,
    handed_out: u64,
    denied: u64,
    wrong: Vec<String>,
}

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody was given credentials, which have to live still at `asked`, the time when he asked.
    pub fn handed_out(&self, got: Got, asked: UnixTime) {
        let mut pages = self.pages();
        pages.handed_out += 1;
        if let Some(expiration) = got.expiration
            && expiration.since(asked) <= 0
        {
            let said = format!("{} expired at {expiration}, and it was {asked}", got.id);
            pages.wrong.push(said);
        }
        // The first who sees a session may have seen the halves of two; the next one who sees either says so.
        let known = pages.sessions.entry(got.id.clone());
        let known = known.or_insert_with(|| got.clone());
        let is_same = (&known.secret, &known.token) == (&got.secret, &got.token)
            && (known.expiration == got.expiration || got.expiration.is_none());
        if !is_same {
            let said = format!("{} is torn: it comes with two secrets or tokens", got.id);
            pages.wrong.push(said);
        }
    }

    /// Somebody was told, in so many words, that there are none.
    pub fn denied(&self) {
        self.pages().denied += 1;
    }

    /// Something that must never be.
    pub fn wrong(&self, what: impl Into<String>) {
        self.pages().wrong.push(what.into());
    }

    /// The sessions that were seen.
    pub fn sessions(&self) -> usize {
        self.pages().sessions.len()
    }

    /// How often credentials were given, and refused.
    pub fn counts(&self) -> (u64, u64) {
        let pages = self.pages();
        (pages.handed_out, pages.denied)
    }

    /// All that was wrong.
    pub fn all_wrong(&self) -> Vec<String> {
        let pages = self.pages();
        let mut wrong = pages.wrong.clone();
        let tokens = |token: &str| {
            let sessions = pages.sessions.values();
            sessions.filter(|got| got.token == token).count()
        };
        for got in pages.sessions.values() {
            if tokens(&got.token) > 1 {
                wrong.push(format!("{} has the token of another session", got.id));
            }
        }
        wrong
    }
}

/// Somebody who asks again and again, and knows what he got before.
pub struct Witness<'a> {
    ledger: &'a Ledger,
    clock_is_wrong: &'a AtomicBool,
    /// The end of what he got last, unless the clock went wrong since.
    lives_until: Option<UnixTime>,
}

impl<'a> Witness<'a> {
    pub fn new(ledger: &'a Ledger, clock_is_wrong: &'a AtomicBool) -> Self {
        Self {
            ledger,
            clock_is_wrong,
            lives_until: None,
        }
    }

    /// Asks. As long as a session lives, nobody is told that there is none.
    pub fn look(&mut self, ask: impl FnOnce() -> Result<Option<Got>, String>) {
        let asked = now();
        let was_wrong = self.clock_is_wrong.load(Ordering::Relaxed);
        let answer = ask();
        if was_wrong || self.clock_is_wrong.load(Ordering::Relaxed) {
            self.lives_until = None;
        }
        match answer {
            Err(why) => self.ledger.wrong(why),
            Ok(Some(got)) => {
                self.lives_until = self.lives_until.max(got.expiration);
                self.ledger.handed_out(got, asked);
            }
            Ok(None) => {
                self.ledger.denied();
                // For their last five seconds nobody gets them; and expirations have whole seconds.
                if let Some(end) = self.lives_until
                    && end.since(now()) > 7
                {
                    let said = format!("a session lives until {end}, and was not given at {asked}");
                    self.ledger.wrong(said);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn got(id: &str, part: &str) -> Got {
        let text = format!(
            "{{\"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"secret {part}\", \"Token\": \"token {part}\", \
             \"Expiration\": \"{WHEN}\"}}"
        );
        Got::from_json(&text, "Token").expect("whole credentials")
    }

    #[test]
    fn what_is_torn_dead_or_empty_is_noticed() {
        let ledger = Ledger::default();
        let before = WHEN.offset_by(-1);
        for (id, part) in [("one", "1"), ("two", "2"), ("one", "1")] {
            ledger.handed_out(got(id, part), before);
        }
        assert_eq!((ledger.sessions(), ledger.all_wrong().len()), (2, 0));
        ledger.handed_out(got("one", "1"), WHEN);
        assert!(ledger.all_wrong()[0].contains("expired at"));
        ledger.handed_out(got("one", "2"), before);
        assert!(ledger.all_wrong()[1].contains("is torn"));
        let ledger = Ledger::default();
        ledger.handed_out(got("one", "1"), before);
        ledger.handed_out(got("two", "1"), before);
        assert_eq!(ledger.all_wrong().len(), 2);
        for (text, why) in [
            ("", "EOF"),
            ("{\"Expiration\": \"2027-01-15T08:00:00Z\"}", "AccessKeyId"),
            (
                "{\"Expiration\": \"soon\", \"AccessKeyId\": \"x\"}",
                "SecretAccessKey",
            ),
            ("{\"AccessKeyId\": \"\"}", "Expiration"),
        ] {
            let error = Got::from_json(text, "Token").unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
